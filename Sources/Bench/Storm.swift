import NIOCore
import Primitives

/// Faults of all kinds on a cluster under load, and a judgement on every message, in the manner of Jepsen's total
/// queue: publishers with confirms and consumers with manual acks on all nodes, which reconnect and send again as real
/// clients do; then everything is healed, restarted and drained.
public struct Storm: Sendable {
    private let options: StormOptions
    private let progress: @Sendable (String) -> Void

    /// A storm.
    ///
    /// - Parameter progress: gets one line per fault when it begins, and one per round when it is over.
    /// - Throws: as `StormOptions.validate`.
    public init(options: StormOptions, progress: @escaping @Sendable (String) -> Void = { _ in }) throws(BenchError) {
        try options.validate()
        self.options = options
        self.progress = progress
    }

    /// Runs it. Also when the task is cancelled, all faults are ended, all nodes brought back and the queues deleted
    /// before this returns.
    ///
    /// - Throws: `BenchError` when the storm cannot be made, `CancellationError`. What the broker did is in the report.
    public func run() async throws -> StormReport { try await withEventLoop { try await run(on: $0) } }

    private func run(on eventLoop: any EventLoop) async throws -> StormReport {
        let run = UInt32.random(in: 0...UInt32.max)
        let director = StormDirector(options: options)
        try await director.prepare()
        let queues = QueueSet(
            names: (0..<options.queues).map { "storm-\(String(run, radix: 16))-\($0)" }, addresses: options.addresses)
        var crew: StormCrew?
        do {
            _ = try await queues.declare(on: eventLoop)
            let board = StormBoard(run: run, queues: queues.names)
            let clients = try StormCrew(options: options, board: board, eventLoop: eventLoop)
            crew = clients
            try await clients.start()
            var report = try await withTaskCancellationHandler {
                try await rage(director, clients)
            } onCancel: {
                // The scripts that hold a fault end at once, and `rage` behind them.
                Task { try await director.endFaults() }
            }
            report = try await settle(report, director, clients)
            report.left = try await queues.messageCount(on: eventLoop)
            report = try await clients.fill(report)
            await clients.close()
            await queues.delete(on: eventLoop)
            return report
        } catch {
            // To be finished even if the run is cancelled.
            await Task { [crew] in
                _ = try? await director.heal()
                await crew?.close()
                await queues.delete(on: eventLoop)
            }.value
            throw error
        }
    }

    /// The faults.
    private func rage(_ director: StormDirector, _ crew: StormCrew) async throws -> StormReport {
        var report = StormReport(options: options)
        var plan = StormPlan(seed: options.seed, kinds: options.faults, nodes: options.addresses.count)
        let start = Instant.now()
        _ = try await crew.endRound()
        while (Instant.now() - start).inSeconds < options.seconds {
            let round = plan.next()
            report.rounds += 1
            for fault in round.faults { say(fault.text, since: start) }
            let played = try await play(round.faults, director, crew)
            for (fault, outcome) in zip(round.faults, played) {
                if outcome.wasMade { report.faults[fault.kind, default: 0] += 1 }
                if let problem = outcome.problem { report.problems.append("\(fault.text): \(problem)") }
            }
            let downed = round.faults.reduce(Set<Int>()) { $0.union($1.downed(nodes: options.addresses.count)) }
            report.problems += try await director.lookAfterNodes(except: downed)
            try await pause(seconds: round.calm.inSeconds)
            say(note(try await crew.endRound(), played.count { !$0.wasMade }, in: &report, start), since: start)
        }
        report.seconds = (Instant.now() - start).inSeconds
        report.problems += try await director.heal()
        say("healed", since: start)
        report.problems += try await director.restartAll()
        say("all nodes killed and started again", since: start)
        _ = note(try await crew.endRound(), 0, in: &report, start)
        return report
    }

    private func play(
        _ faults: [StormFault], _ director: StormDirector, _ crew: StormCrew
    ) async throws -> [(wasMade: Bool, problem: String?)] {
        try await withThrowingTaskGroup(of: (Int, Bool, String?).self) { group in
            for (place, fault) in faults.enumerated() {
                group.addTask {
                    if fault.kind == .disconnect { try await crew.disconnect(fault.node) }
                    let outcome = try await director.play(fault)
                    return (place, outcome.wasMade, outcome.problem)
                }
            }
            var outcomes = [(wasMade: Bool, problem: String?)](repeating: (false, nil), count: faults.count)
            for try await (place, wasMade, problem) in group { outcomes[place] = (wasMade, problem) }
            return outcomes
        }
    }

    private func note(
        _ longest: (queue: Int, gap: GapMeter.Gap), _ omitted: Int, in report: inout StormReport, _ start: Instant
    ) -> String {
        if longest.gap.length > report.longestOutage {
            report.longestOutage = longest.gap.length
            report.longestOutageQueue = longest.queue
            report.longestOutageAt = longest.gap.began - start
        }
        let left = omitted > 0 ? "; left out, since not all others were whole" : ""
        return "  over; a queue was without confirms for \(longest.gap.length.inSeconds.fixed(2)) s at most\(left)"
    }

    /// The end: everything drained, judged, and looked for once more.
    private func settle(_ report: StormReport, _ director: StormDirector, _ crew: StormCrew) async throws -> StormReport
    {
        var report = report
        let start = Instant.now()
        let missing = try await crew.drain()
        if missing > 0 {
            report.problems.append("\(missing) confirmed messages did not come while their queues had consumers")
        }
        _ = note(try await crew.endRound(isOver: true), 0, in: &report, start)
        try await crew.sweep()
        report.problems += try await director.lookAfterNodes(except: [])
        return report
    }

    private func say(_ text: String, since start: Instant) {
        let time = (Instant.now() - start).inSeconds.fixed(1)
        progress(String(repeating: " ", count: max(0, 7 - time.count)) + time + " s  " + text)
    }
}
