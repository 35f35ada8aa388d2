public import ArgumentParser
import Primitives
public import Simulation

struct SimulateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Runs a virtual cluster under faults from a seed, and checks that no promise is broken.",
        discussion: """
            Stops at the first failure and says how to repeat it. Exit 0 when all seeds pass, 1 when one fails; with \
            --plant, 0 as soon as a seed catches the bug, 1 when none does; with --census too, 1 when a start has \
            none that does.
            """)

    @Option(help: "One seed.")
    var seed: UInt64?

    @Option(help: "Seeds from A to B, as A..B.")
    var seeds: SeedRange?

    @Option(name: .customLong("for"), help: "Virtual time under faults, such as 60s or 500ms.")
    var time = VirtualTime(interval: .seconds(60))

    @Flag(help: "Runs each seed twice; both runs must be the same in every step.")
    var checkDeterminism = false

    @Option(help: "Puts a bug into the cluster; see --list-bugs.")
    var plant: PlantedBug?

    @Option(help: "With --plant: from so many starting points, how many seeds it takes to catch the bug.")
    var census: Int?

    @Flag(help: "Runs a seed again that failed: the steps before the failure, and whether it is the same once more.")
    var replay = false

    @Flag(help: "Lets one node's store lose records for good, and with them its vote.")
    var loseRecords = false

    @Flag(help: "Lists the bugs that can be planted.")
    var listBugs = false

    @Flag(help: "Prints every step.")
    var trace = false

    func validate() throws {
        if seed != nil && seeds != nil { throw ValidationError("Give --seed or --seeds, not both.") }
        if census != nil && plant == nil { throw ValidationError("A census is taken of a planted bug.") }
        if let census, !(1...1_000).contains(census) { throw ValidationError("A census has 1 to 1000 starts.") }
        if replay && seed == nil { throw ValidationError("Give the --seed to replay.") }
    }

    func run() throws {
        if listBugs {
            for bug in PlantedBug.allCases { print(bug.rawValue) }
            return
        }
        if let plant, let census { return try count(plant, starts: census) }
        if replay, let seed { return try rerun(seed) }
        var coverage = Coverage()
        var summary = SeedSummary()
        for seed in seed.map({ $0...$0 }) ?? seeds?.range ?? 1...1 {
            let result = simulate(seed)
            if let failure = result.failure {
                if let plant {
                    print("seed \(seed) caught \(plant.rawValue): \(failure.invariant): \(failure.detail)")
                    return
                }
                try fail(seed, "\(failure.invariant): \(failure.detail) (at \(seconds(failure.time)) s)")
            }
            if checkDeterminism, simulate(seed).hash != result.hash {
                try fail(seed, "determinism: two runs differ")
            }
            report(result)
            coverage.add(result.coverage)
            summary.add(result)
        }
        print(summary.text)
        report(coverage)
        if let plant {
            print("\(plant.rawValue) was not caught")
            throw ExitCode.failure
        }
    }

    func simulate(_ seed: UInt64, listener: (@Sendable (String) -> Void)? = nil) -> SimulationResult {
        let printed: @Sendable (String) -> Void = { print($0) }
        let listener = trace ? printed : listener
        return Simulation(
            SimulationOptions(
                seed: seed, duration: time.interval, plant: plant, losesRecords: loseRecords, traceLine: listener)
        ).run()
    }

    private func report(_ result: SimulationResult) {
        let hash = String(result.hash, radix: 16)
        let faults = "elections=\(result.elections) crashes=\(result.crashes)"
        let snapshots = "snapshots=\(result.snapshotsTaken)+\(result.snapshotsInstalled)"
        let storage = "\(snapshots) retired=\(result.segmentsRetired) repaired=\(result.repairs)"
        let load = "ops=\(result.operations) confirmed=\(result.confirmed) events=\(result.events)"
        let padding = String(repeating: "0", count: 16 - hash.count)
        print("seed \(result.seed) ok hash=\(padding)\(hash) \(load) \(faults) \(storage)")
    }

    private func report(_ coverage: Coverage) {
        print("reached:")
        for point in CoveragePoint.allCases {
            let count = String(coverage[point])
            print(String(repeating: " ", count: max(0, 9 - count.count)) + count + " " + point.rawValue)
        }
    }

    private func fail(_ seed: UInt64, _ reason: String) throws -> Never {
        print("seed \(seed) FAILED: \(reason)")
        let milliseconds = time.interval.nanoseconds / 1_000_000
        print(
            "replay: warren simulate --replay --seed \(seed) --for \(milliseconds)ms"
                + (loseRecords ? " --lose-records" : ""))
        throw ExitCode.failure
    }

    private func seconds(_ time: Instant) -> String { "\(Double(time.nanoseconds / 1_000_000) / 1_000)" }
}

extension PlantedBug: ExpressibleByArgument {}

/// Seeds as `A..B`.
struct SeedRange: ExpressibleByArgument {
    let range: ClosedRange<UInt64>

    init?(argument: String) {
        let bounds = argument.split(separator: ".", omittingEmptySubsequences: true).map { UInt64($0) }
        guard bounds.count == 2, let first = bounds[0], let last = bounds[1], first <= last else { return nil }
        range = first...last
    }
}

/// A time with its unit.
struct VirtualTime: ExpressibleByArgument, CustomStringConvertible {
    let interval: Interval

    init(interval: Interval) { self.interval = interval }

    init?(argument: String) {
        let digits = argument.prefix { $0.isNumber }
        guard let number = UInt64(digits), number > 0, number < 1_000_000 else { return nil }
        switch argument.dropFirst(digits.count) {
        case "ms": interval = .milliseconds(number)
        case "s", "": interval = .seconds(number)
        case "m": interval = .seconds(60 * number)
        default: return nil
        }
    }

    var description: String { "\(interval.nanoseconds / 1_000_000)ms" }
}
