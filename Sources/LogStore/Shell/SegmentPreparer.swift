import Primitives

/// A thread that makes segments ready in the background, in small steps so that the log's own syncs keep the device.
final class SegmentPreparer<D: Disk>: @unchecked Sendable {
    enum Outcome: Sendable {
        case ready(PreparedSegment<D.File>)
        case failed(DiskFailure, SpareSegment?)
    }

    private let monitor = Monitor()
    // Guarded by the monitor.
    private var job: SegmentPreparation<D>?
    private var isUrgent = false
    private var isStopping = false
    private var thread: WorkerThread?

    /// Between two steps, unless it is urgent.
    private static var pause: Interval { .milliseconds(2) }

    init() {}

    /// Starts the thread; `deliver` is called on it.
    func start(deliver: @escaping @Sendable (Outcome) -> Void) {
        thread = WorkerThread(name: "log segments") { [self] in
            while let job = nextJob() {
                if let outcome = run(job) { deliver(outcome) }
            }
        }
    }

    func prepare(_ preparation: SegmentPreparation<D>) {
        monitor.withLock {
            job = preparation
            monitor.signal()
        }
    }

    /// The log has no segment left: no pauses.
    func hurry(_ urgent: Bool) {
        monitor.withLock {
            guard urgent != isUrgent else { return }
            isUrgent = urgent
            monitor.signal()
        }
    }

    /// Ends the thread, in the middle of a segment if need be: the next start removes it.
    func stop() {
        monitor.withLock {
            isStopping = true
            monitor.signal()
        }
        thread?.join()
    }

    private func nextJob() -> SegmentPreparation<D>? {
        monitor.withLock {
            while job == nil && !isStopping { monitor.wait() }
            defer { job = nil }
            return isStopping ? nil : job
        }
    }

    private func run(_ job: SegmentPreparation<D>) -> Outcome? {
        var job = job
        while true {
            do throws(DiskFailure) {
                if let segment = try job.step() { return .ready(segment) }
            } catch {
                return .failed(error, job.abandon(after: error))
            }
            let deadline = Instant.now + SegmentPreparer.pause
            let goesOn = monitor.withLock {
                while !isStopping && !isUrgent && Instant.now < deadline { monitor.wait(until: deadline) }
                return !isStopping
            }
            if !goesOn { return nil }
        }
    }
}
