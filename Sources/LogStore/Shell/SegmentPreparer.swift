import Primitives

/// Makes segments ready in the background, in small steps so that the log's own syncs keep the device.
final class SegmentPreparer<D: Disk>: Sendable {
    enum Outcome: Sendable {
        case ready(PreparedSegment<D.File>)
        case failed(DiskFailure, SpareSegment?)
    }

    private let thread = JobThread<SegmentPreparation<D>>(name: "log segments")

    /// Between two steps, unless it is urgent.
    private static var pause: Interval { .milliseconds(2) }

    init() {}

    /// Starts the thread; `deliver` is called on it.
    func start(deliver: @escaping @Sendable (Outcome) -> Void) {
        let thread = thread
        thread.start { job in
            if let outcome = SegmentPreparer.run(job, on: thread) { deliver(outcome) }
        }
    }

    func prepare(_ preparation: SegmentPreparation<D>) { thread.hand(preparation) }

    /// The log has no segment left: no pauses.
    func hurry(_ urgent: Bool) { thread.hurry(urgent) }

    /// Ends the thread, in the middle of a segment if need be: the next start removes it.
    func stop() { thread.stop() }

    private static func run(_ job: SegmentPreparation<D>, on thread: JobThread<SegmentPreparation<D>>) -> Outcome? {
        var job = job
        while true {
            do throws(DiskFailure) {
                if let segment = try job.step() { return .ready(segment) }
            } catch {
                return .failed(error, job.abandon(after: error))
            }
            guard thread.pause(until: .now + pause) else { return nil }
        }
    }
}
