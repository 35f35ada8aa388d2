import Primitives
import Simulation
import Testing

/// Seeds that showed a bug once. What a seed draws changes when faults are added, so beside those that still lead to
/// the old places each bug has a test of its own where it was.
@Suite struct RegressionTests {
    struct Case: Sendable, CustomStringConvertible {
        var seed: UInt64
        var seconds: UInt64
        var description: String { "seed \(seed) for \(seconds) s" }
    }

    @Test(arguments: [
        // A learner of a group with fewer than 16 entries was made a voter before it had acknowledged any.
        Case(seed: 2, seconds: 15), Case(seed: 9, seconds: 10), Case(seed: 10, seconds: 10),
        // What joins in a log in doubt was taken for what its leader had.
        Case(seed: 6, seconds: 60),
    ])
    func aSeedThatFailedOnceBreaksNothing(regression: Case) {
        let options = SimulationOptions(seed: regression.seed, duration: .seconds(regression.seconds))
        #expect(Simulation(options).run().failure == nil)
    }

    /// Five nodes and many queues are drawn, and their queues drain like others'.
    @Test func someSeedsHaveFiveNodes() {
        let results = (1...16 as ClosedRange<UInt64>).map {
            Simulation(SimulationOptions(seed: $0, duration: .seconds(3))).run()
        }
        #expect(results.allSatisfy { $0.failure == nil })
        #expect(results.contains { $0.nodes == 5 } && results.contains { $0.nodes == 3 })
        #expect(results.contains { $0.queues > 4 })
    }
}
