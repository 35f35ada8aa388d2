import Primitives
import Simulation
import Testing

@Suite struct SimulationTests {
    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func aSeedBreaksNothingAndRepeatsItself(seed: UInt64) {
        let options = SimulationOptions(seed: seed, duration: .seconds(5))
        let first = Simulation(options).run()
        #expect(first.failure == nil)
        #expect(Simulation(options).run().hash == first.hash)
    }

    @Test func seedsDiffer() {
        let first = Simulation(SimulationOptions(seed: 1, duration: .seconds(2))).run()
        let second = Simulation(SimulationOptions(seed: 2, duration: .seconds(2))).run()
        #expect(first.hash != second.hash)
    }

    /// Clients get their work done, and rare paths are reached: snapshots taken and sent, segments given up, damaged
    /// entries fetched from other nodes.
    @Test func seedsReachTheStoragesRarePaths() {
        var snapshots: UInt64 = 0
        var installed: UInt64 = 0
        var retired: UInt64 = 0
        var repairs: UInt64 = 0
        var confirmed: UInt64 = 0
        for seed in 1...60 as ClosedRange<UInt64> {
            let result = Simulation(SimulationOptions(seed: seed, duration: .seconds(10))).run()
            #expect(result.failure == nil)
            snapshots += result.snapshotsTaken
            installed += result.snapshotsInstalled
            retired += result.segmentsRetired
            repairs += result.repairs
            confirmed += UInt64(result.confirmed)
            if confirmed > 1_000 && snapshots > 0 && installed > 0 && retired > 0 && repairs > 0 { return }
        }
        Issue.record(
            """
            60 seeds: \(confirmed) confirmed, \(snapshots) taken, \(installed) installed, \(retired) retired, \
            \(repairs) repaired
            """)
    }

    /// The bugs that a few short seeds find; `Tests/run simulation` gives all of them longer ones.
    @Test(arguments: [
        PlantedBug.voteNotPersisted, .ackBeforeFsync, .unwrittenEntryCounts, .blindVote, .matchingEntriesTruncated,
        .unverifiedCommit, .termNotPersisted, .dictionaryOrder, .earlyPromotion,
    ])
    func aPlantedBugIsCaught(bug: PlantedBug) {
        let caught = (1...120 as ClosedRange<UInt64>).first { seed in
            Simulation(SimulationOptions(seed: seed, duration: .seconds(20), plant: bug)).run().failure != nil
        }
        #expect(caught != nil)
    }
}
