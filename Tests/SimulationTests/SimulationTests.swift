import Primitives
import Simulation
import Testing

@Suite struct SimulationTests {
    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func aSeedBreaksNothingAndRepeatsItself(seed: UInt64) {
        let options = SimulationOptions(seed: seed, duration: .seconds(5))
        let first = Simulation(options).run()
        #expect(first.failure == nil)
        #expect(first.operations > 100)
        #expect(first.confirmed > 0)
        #expect(Simulation(options).run().hash == first.hash)
    }

    @Test func seedsDiffer() {
        let first = Simulation(SimulationOptions(seed: 1, duration: .seconds(2))).run()
        let second = Simulation(SimulationOptions(seed: 2, duration: .seconds(2))).run()
        #expect(first.hash != second.hash)
    }

    /// The bugs that a few short seeds find; `Tests/run simulation` gives all of them longer ones.
    @Test(arguments: [PlantedBug.voteNotPersisted, .ackBeforeFsync])
    func aPlantedBugIsCaught(bug: PlantedBug) {
        let caught = (1...120 as ClosedRange<UInt64>).first { seed in
            Simulation(SimulationOptions(seed: seed, duration: .seconds(20), plant: bug)).run().failure != nil
        }
        #expect(caught != nil)
    }
}
