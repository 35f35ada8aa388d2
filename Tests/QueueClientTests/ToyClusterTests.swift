import Testing

@Suite struct ToyClusterTests {
    struct Run: CustomTestStringConvertible {
        var seed: UInt64
        var weather: ToyCluster.Weather
        var manners: ToyGateway.Manners
        var testDescription: String { "seed \(seed), \(weather), \(manners)" }
    }

    static let runs: [Run] = (1...4 as ClosedRange<UInt64>).flatMap { seed in
        [
            Run(seed: seed, weather: .resets, manners: .orderly), Run(seed: seed, weather: .storms, manners: .orderly),
            Run(seed: seed, weather: .resets, manners: .restless),
            Run(seed: seed, weather: .storms, manners: .restless),
        ]
    }

    @Test(arguments: runs)
    func everyMessageIsConfirmedStoredAndDeliveredExactlyOnce(_ run: Run) {
        let cluster = ToyCluster(seed: run.seed, weather: run.weather, manners: run.manners)
        for _ in 0..<400 { cluster.step() }
        #expect(cluster.quiesce(rounds: 2_000))
        #expect(cluster.ledger.faults.prefix(5) == [])
        #expect(Set(cluster.stateHashes).count == 1)
        #expect(cluster.elections > 1)
        #expect(cluster.ledger.fates.count > 300)
        let bad = cluster.ledger.fates.sorted { $0.key < $1.key }.filter { _, fate in
            let isDelivered =
                run.manners == .orderly ? fate.first == 1 && fate.again == 0 : fate.first + fate.again >= 1
            return !((fate.isConfirmed || fate.isAbandoned) && isDelivered)
        }
        #expect(bad.prefix(5).map { "\($0.key): \($0.value)" } == [])
    }
}
