import ArgumentParser
import Primitives
import Simulation
import Synchronization

// More than one run of the simulator: how soon bugs are found, and failures once more.
extension SimulateCommand {
    /// Seeds from one starting point of a census.
    private static let limit: UInt64 = 300

    /// How many seeds it takes to catch a bug, from each of several starting points.
    func count(_ plant: PlantedBug, starts: Int) throws {
        var counts: [UInt64] = []
        var invariants: [String: Int] = [:]
        for start in 0..<UInt64(starts) {
            let first = (seeds?.range.lowerBound ?? 1) + start * SimulateCommand.limit
            for seed in first..<first + SimulateCommand.limit {
                guard let failure = simulate(seed).failure else { continue }
                counts.append(seed - first + 1)
                invariants[failure.invariant, default: 0] += 1
                print("from \(first): \(seed - first + 1) seeds: \(failure.invariant): \(failure.detail)")
                break
            }
        }
        counts.sort()
        let names = invariants.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.key) \($0.value)" }
        let median = counts.isEmpty ? "-" : "\(counts[counts.count / 2])"
        print(
            "census \(plant.rawValue): caught \(counts.count) of \(starts), median \(median) seeds, "
                + "most \(counts.last ?? 0); " + names.joined(separator: ", "))
        if counts.count < starts { throw ExitCode.failure }
    }

    /// Runs a seed again, shows what led to its failure, and runs it once more.
    func rerun(_ seed: UInt64) throws {
        let lines = LastLines(400)
        let result = simulate(seed) { lines.add($0) }
        lines.print()
        let again = simulate(seed)
        guard again.hash == result.hash, again.failure == result.failure else {
            print("seed \(seed) is not the same twice")
            throw ExitCode.failure
        }
        guard let failure = result.failure else { return print("seed \(seed) ok, twice the same") }
        print("seed \(seed) FAILED, twice the same: \(failure.invariant): \(failure.detail)")
        throw ExitCode.failure
    }
}

/// The newest lines of a trace.
private final class LastLines: Sendable {
    private let lines = Mutex<[String]>([])
    private let limit: Int

    init(_ limit: Int) { self.limit = limit }

    func add(_ line: String) {
        lines.withLock {
            $0.append(line)
            if $0.count >= 2 * limit { $0.removeFirst($0.count - limit) }
        }
    }

    func print() {
        for line in lines.withLock({ $0.suffix(limit) }) { Swift.print(line) }
    }
}

/// What a number of seeds did, in the middle.
struct SeedSummary {
    private var operations: [UInt64] = []
    private var elections: [UInt64] = []
    private var simulated = Interval.zero

    mutating func add(_ result: SimulationResult) {
        let milliseconds = max(1, result.simulated.nanoseconds / 1_000_000)
        operations.append(result.operations * 1_000 / milliseconds)
        elections.append(result.elections)
        simulated = simulated + result.simulated
    }

    private static func median(_ values: [UInt64]) -> UInt64 { values.isEmpty ? 0 : values.sorted()[values.count / 2] }

    var text: String {
        "\(operations.count) seeds, \(simulated.nanoseconds / 1_000_000_000) simulated seconds; median "
            + "\(SeedSummary.median(operations)) client operations a second and "
            + "\(SeedSummary.median(elections)) elections a seed"
    }
}
