import Primitives
import Raft
import Testing

@Suite struct ModelTests {
    @Test(arguments: [UInt16(1), 2, 3, 4, 5])
    func invariantsHoldUnderFaultsAndEverythingHeals(nodes: UInt16) {
        var commits = 0
        var truncations = 0
        var reads = 0
        for seed in UInt64(1)...60 {
            var run = ModelRun(seed: seed &* 1_000 &+ UInt64(nodes), nodes: nodes)
            for _ in 0..<1_500 {
                run.step()
                if !run.cluster.failures.isEmpty { break }
            }
            run.cluster.checkLogMatching()
            #expect(run.cluster.failures == [], "seed \(seed)")
            let hasHealed = run.heal(rounds: 200)
            run.cluster.checkLogMatching()
            #expect(hasHealed, "seed \(seed): \(run.cluster.nodes.map { run.cluster.status(of: $0) })")
            #expect(run.cluster.failures == [], "seed \(seed), healing")
            commits += run.cluster.committed.count
            truncations += run.cluster.truncations
            reads += run.cluster.answeredReads.count
        }
        // The faults must not be so many that nothing is tested.
        #expect(commits > 60 * 50)
        #expect(reads > 200)
        #expect(nodes < 3 || truncations > 15)
    }

    /// Compaction at random points; snapshots that arrive at once, late, twice, out of date or never.
    @Test(arguments: [UInt16(3), 4, 5])
    func snapshotsKeepTheInvariantsAndEverythingHeals(nodes: UInt16) {
        let totals = explore(seeds: 800, nodes: nodes, losses: 0)
        #expect(totals.commits > 800 * 30)
        #expect(totals.compactions > 800 * 5)
        #expect(totals.installs > 500)
        #expect(totals.droppedSuffixes > 5)
    }

    /// A minority of the disks loses records: what is committed stays, and the nodes that lost them catch up.
    @Test(arguments: [(UInt16(3), 1), (4, 1), (5, 2)])
    func lostRecordsOfAMinorityLoseNoCommit(nodes: UInt16, losses: Int) {
        let totals = explore(seeds: 500, nodes: nodes, losses: losses)
        #expect(totals.commits > 500 * 30)
        #expect(totals.losses > 500 * losses / 3)
        #expect(totals.installs > 150)
    }

    /// Voters come, go and come back, some of them on empty disks.
    @Test(arguments: [(UInt16(1), UInt16(2)), (3, 0), (3, 1), (4, 1), (2, 3)])
    func membersComeAndGo(nodes: UInt16, spares: UInt16) {
        var totals = (commits: 0, changes: 0, promotions: 0, truncated: 0, replaced: 0, installs: 0)
        for seed in 1...500 as ClosedRange<UInt64> {
            var run = ModelRun(
                seed: seed &* 9_001 &+ UInt64(nodes), nodes: nodes, usesSnapshots: true, spares: spares)
            for _ in 0..<2_000 {
                run.step()
                if !run.cluster.failures.isEmpty { break }
            }
            #expect(run.cluster.failures == [], "seed \(seed)")
            let hasHealed = run.heal(rounds: 400)
            run.cluster.checkLogMatching()
            #expect(hasHealed, "seed \(seed): \(run.cluster.nodes.map { run.cluster.status(of: $0) })")
            #expect(run.cluster.failures == [], "seed \(seed), healing")
            totals.commits += run.cluster.committed.count
            totals.changes += run.cluster.changes
            totals.promotions += run.cluster.promotions
            totals.truncated += run.cluster.truncatedChanges
            totals.replaced += run.cluster.replacedDisks
            totals.installs += run.cluster.installs
            if !run.cluster.failures.isEmpty || !hasHealed { break }
        }
        #expect(totals.commits > 500 * 30)
        #expect(totals.changes > 500 * 3)
        #expect(totals.promotions > 500)
        #expect(totals.truncated > 10)
        #expect(totals.replaced > 20)
        #expect(totals.installs > 100)
    }

    private struct Totals {
        var commits = 0
        var compactions = 0
        var installs = 0
        var droppedSuffixes = 0
        var losses = 0
    }

    private func explore(seeds: UInt64, nodes: UInt16, losses: Int) -> Totals {
        var totals = Totals()
        for seed in 1...seeds {
            var run = ModelRun(
                seed: seed &* 7_001 &+ UInt64(nodes), nodes: nodes, usesSnapshots: true, losses: losses)
            for _ in 0..<2_000 {
                run.step()
                if !run.cluster.failures.isEmpty { break }
            }
            #expect(run.cluster.failures == [], "seed \(seed)")
            let hasHealed = run.heal(rounds: 200)
            run.cluster.checkLogMatching()
            #expect(hasHealed, "seed \(seed): \(run.cluster.nodes.map { run.cluster.status(of: $0) })")
            #expect(run.cluster.failures == [], "seed \(seed), healing")
            totals.commits += run.cluster.committed.count
            totals.compactions += run.cluster.compactions
            totals.installs += run.cluster.installs
            totals.droppedSuffixes += run.cluster.droppedSuffixes
            totals.losses += run.cluster.doubtful.count
            if !run.cluster.failures.isEmpty || !hasHealed { break }
        }
        return totals
    }

    @Test func theSameSeedGivesTheSameRun() {
        func words(_ seed: UInt64) -> [String] {
            var run = ModelRun(seed: seed, nodes: 3)
            run.cluster.trace = []
            for _ in 0..<800 { run.step() }
            return run.cluster.trace ?? []
        }
        let first = words(7)
        #expect(first.count > 300)
        #expect(first == words(7))
    }
}
