import NIOCore
import Primitives

/// Measures failover as clients see it: traffic at a fixed rate, a fault on the node that leads the queue, the time
/// until new messages are confirmed and delivered again, and a reconciliation of everything confirmed with everything
/// delivered.
public struct FailoverProbe: Sendable {
    private let options: FailoverOptions
    private let progress: @Sendable (String) -> Void

    /// A probe.
    ///
    /// - Parameter progress: gets one line per trial when it ends.
    /// - Throws: as `FailoverOptions.validate`.
    public init(
        options: FailoverOptions, progress: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(BenchError) {
        try options.validate()
        self.options = options
        self.progress = progress
    }

    /// Runs the trials one after the other. When the task is cancelled, the node that is down is brought back and the
    /// queues are deleted before this returns.
    ///
    /// - Throws: `BenchError` when a trial cannot be made, `CancellationError`. The broker's faults are in the report.
    public func run() async throws -> FailoverReport { try await withEventLoop { try await run(on: $0) } }

    private func run(on eventLoop: any EventLoop) async throws -> FailoverReport {
        let run = UInt32.random(in: 0...UInt32.max)
        let idle = QueueSet(
            names: (0..<options.idleQueues).map { "failover-\(String(run, radix: 16))-idle-\($0)" },
            addresses: options.addresses)
        var report = FailoverReport(options: options)
        do {
            _ = try await idle.declare(on: eventLoop)
            for number in 1...options.trials {
                let trial = FailoverTrial(number: number, run: run, options: options, eventLoop: eventLoop)
                let result = try await trial.run()
                report.trials.append(result)
                progress(result.text)
                // Another fault would take the majority.
                if trial.downNode != nil { break }
                if number < options.trials { try await pause(seconds: options.settle) }
            }
        } catch {
            await Task { await idle.delete(on: eventLoop) }.value
            throw error
        }
        await idle.delete(on: eventLoop)
        return report
    }
}
