import Primitives

/// Makes segments ready in the background, in small steps so that the log's own syncs keep the device.
final class SegmentPreparer<D: Disk>: Sendable {
    enum Outcome: Sendable {
        case ready(PreparedSegment<D.File>)
        case failed(DiskFailure, SpareSegment?)
    }

    private let thread = JobThread<SegmentPreparation<D>>(name: "log segments")

    init() {}

    /// Starts the thread; both are called on it.
    /// - Parameter written: bytes of the log so far.
    func start(written: @escaping @Sendable () -> UInt64, deliver: @escaping @Sendable (Outcome) -> Void) {
        let thread = thread
        thread.start { job in
            if let outcome = SegmentPreparer.run(job, on: thread, written: written) { deliver(outcome) }
        }
    }

    func prepare(_ preparation: SegmentPreparation<D>) { thread.hand(preparation) }

    /// The log has no segment left: no pauses.
    func hurry(_ urgent: Bool) { thread.hurry(urgent) }

    /// Ends the thread, in the middle of a segment if need be: the next start removes it.
    func stop() { thread.stop() }

    private static func run(
        _ job: SegmentPreparation<D>, on thread: JobThread<SegmentPreparation<D>>, written: @Sendable () -> UInt64
    ) -> Outcome? {
        var job = job
        var pace = PreparationPace(at: .now, written: written())
        while true {
            do throws(DiskFailure) {
                let bytes = thread.isHurried ? PreparationPace.largestStep : pace.step
                if let segment = try job.step(bytes) { return .ready(segment) }
            } catch {
                return .failed(error, job.abandon(after: error))
            }
            guard thread.pause(until: pace.stepped(at: .now, written: written())) else { return nil }
        }
    }
}
