import Bench
import Foundation
import Primitives
import Testing

@Suite struct FailoverComparisonTests {
    /// A report of trials that took so many milliseconds each.
    private func report(_ milliseconds: [UInt64], queues: Int = 1, allLed: UInt64? = nil) -> FailoverReport {
        var options = FailoverOptions(
            addresses: [BrokerAddress(host: "127.0.0.1"), BrokerAddress(host: "127.0.0.1", port: 5673)],
            leaderCommand: ["leader"], restartCommand: ["node"])
        options.trials = milliseconds.count
        options.idleQueues = queues - 1
        var report = FailoverReport(options: options)
        for (index, time) in milliseconds.enumerated() {
            var trial = FailoverTrialReport(number: index + 1, queue: "q")
            trial.unavailability = .milliseconds(time)
            trial.stages = FailoverStages()
            trial.stages?.allLed = allLed.map { .milliseconds($0) }
            report.trials.append(trial)
        }
        return report
    }

    /// Read from what a run writes.
    private func baseline(_ report: FailoverReport) throws -> FailoverBaseline {
        try JSONDecoder().decode(FailoverBaseline.self, from: Data(report.json.utf8))
    }

    private func compare(
        _ now: FailoverReport, with before: FailoverReport,
        _ tolerance: FailoverComparison.Tolerance = FailoverComparison.Tolerance()
    ) throws -> FailoverComparison {
        try FailoverComparison(now, with: baseline(before), tolerance: tolerance)
    }

    @Test func equalRunsAreFine() throws {
        let run = report([20, 30, 40])
        let comparison = try compare(run, with: run)
        #expect(comparison.isFine)
        #expect(comparison.text.hasPrefix("compared with the baseline; tolerance p50 25 % + 5 ms, p99 50 % + 20 ms\n"))
        #expect(comparison.text.contains("unavailable p50: 30.0 ms before, 30.0 ms now (+0 %), limit 42.5 ms"))
        #expect(!comparison.text.contains("REGRESSION") && !comparison.text.contains("led"))
    }

    @Test func aSlowerMedianIsARegression() throws {
        let before = report([100, 100, 200])
        #expect(try compare(report([130, 130, 200]), with: before).isFine)
        let worse = try compare(report([131, 131, 200]), with: before)
        #expect(!worse.isFine)
        #expect(worse.text.contains("p50: 100.0 ms before, 131.0 ms now (+31 %), limit 130.0 ms: REGRESSION"))
        #expect(worse.text.contains("p99: 200.0 ms before, 200.0 ms now (+0 %), limit 320.0 ms"))
        #expect(try compare(report([131, 131, 200]), with: before, .init(percent: 30)).isFine)
        // Faster is never one.
        #expect(try compare(report([1, 1, 1]), with: before).isFine)
    }

    @Test func aSlowerTailIsARegression() throws {
        let before = report([100, 100, 200])
        #expect(try compare(report([100, 100, 320]), with: before).isFine)
        #expect(try !compare(report([100, 100, 321]), with: before).isFine)
    }

    @Test func theTimeUntilAllQueuesAreLedIsCompared() throws {
        let before = report([20], queues: 1_000, allLed: 200)
        #expect(try compare(report([20], queues: 1_000, allLed: 250), with: before).isFine)
        #expect(try !compare(report([20], queues: 1_000, allLed: 500), with: before).isFine)
    }

    @Test func differentRunsAreNotCompared() throws {
        let before = report([20])
        var other = FailoverReport(options: before.options)
        other.trials = before.trials
        #expect(throws: BenchError.self) { try compare(report([20], queues: 2), with: before) }
        #expect(throws: BenchError.self) { try compare(before, with: report([])) }
        #expect(throws: BenchError.self) { try compare(report([]), with: before) }
        #expect(throws: DecodingError.self) {
            _ = try JSONDecoder().decode(FailoverBaseline.self, from: Data(#"{"fault":"kill"}"#.utf8))
        }
    }
}
