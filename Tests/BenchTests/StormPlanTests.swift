import Bench
import Primitives
import Testing

@Suite struct StormPlanTests {
    private func rounds(_ count: Int, seed: UInt64, nodes: Int) -> [StormRound] {
        var plan = StormPlan(seed: seed, kinds: StormFaultKind.allCases, nodes: nodes)
        return (0..<count).map { _ in plan.next() }
    }

    @Test func theSeedDecides() {
        #expect(rounds(50, seed: 7, nodes: 5) == rounds(50, seed: 7, nodes: 5))
        #expect(rounds(50, seed: 7, nodes: 5) != rounds(50, seed: 8, nodes: 5))
    }

    @Test(arguments: [3, 5], 1...20 as ClosedRange<UInt64>)
    func everyKindHasItsTurnAndDamageStaysOnOneNode(_ nodes: Int, _ seed: UInt64) {
        let faults = rounds(60, seed: seed, nodes: nodes).flatMap(\.faults)
        let kinds = Set(faults.map(\.kind))
        #expect(kinds == Set(StormFaultKind.allCases.filter { $0 != .ring || nodes == 5 }))
        #expect(Set(faults.filter { $0.kind == .corrupt }.map(\.node)).count == 1)
        #expect(faults.allSatisfy { $0.kind == .disconnect || (1...nodes).contains($0.node) })
        #expect(faults.allSatisfy { $0.peer.map { (1...nodes).contains($0) } ?? true && $0.peer != $0.node })
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func faultsAtTheSameTimeHitDifferentNodes(_ seed: UInt64) {
        let rounds = rounds(200, seed: seed, nodes: 3)
        #expect(rounds.contains { $0.faults.count == 2 })
        for round in rounds where round.faults.count > 1 {
            #expect(round.faults.count == 2 && round.faults[0].node != round.faults[1].node)
            let alone: Set<StormFaultKind> = [.killAll, .ring, .corrupt]
            #expect(round.faults.allSatisfy { !alone.contains($0.kind) })
        }
    }

    @Test func scriptsAreToldWhatWasDrawn() {
        var fault = StormFault(kind: .cutOneWay, node: 2, milliseconds: 1_050)
        fault.way = .in
        #expect(fault.steps(nodes: 3) == [.run([["Chaos/partition", "2", "--one-way", "in", "--for", "1.050"]])])
        #expect(fault.text == "lose what node 2 would get from its peers for 1.05 s")
        fault.peer = 3
        fault.way = .both
        #expect(fault.steps(nodes: 3) == [.run([["Chaos/partition", "2", "--from", "3", "--for", "1.050"]])])
        fault = StormFault(kind: .killAll, node: 1, milliseconds: 7)
        #expect(
            fault.steps(nodes: 2) == [
                .run([["Cluster/node", "1", "kill"], ["Cluster/node", "2", "kill"]]), .rest(.milliseconds(7)),
                .run([["Cluster/node", "1", "start", "--no-wait"], ["Cluster/node", "2", "start", "--no-wait"]]),
            ])
        #expect(fault.downed(nodes: 2) == [1, 2])
        fault = StormFault(kind: .fillDisk, node: 3, milliseconds: 2_001)
        #expect(fault.steps(nodes: 3) == [.run([["Chaos/fill-disk", "3", "--for", "3"]])])
        #expect(fault.downed(nodes: 3).isEmpty)
        fault = StormFault(kind: .corrupt, node: 3, milliseconds: 0)
        fault.bytes = 8
        #expect(fault.steps(nodes: 3).first == .await(["Cluster/status"]))
        #expect(fault.steps(nodes: 3).contains(.run([["Chaos/corrupt", "3", "--bytes", "8", "--seed", "0"]])))
    }
}

@Suite struct StormReportTests {
    private var report: StormReport {
        let addresses = (0..<3).map { BrokerAddress(host: "127.0.0.1", port: 5672 + $0) }
        return StormReport(options: StormOptions(addresses: addresses, scripts: "."))
    }

    @Test func everyFaultOfTheBrokerShowsInVerdictAndExit() {
        #expect(report.isClean)
        #expect(report.verdict == "lost 0, unexplained duplicates 0, order violations 0, acks undone 0")
        let spoil: [(inout StormReport) -> Void] = [
            { $0.integrity.lost = 1 }, { $0.integrity.duplicatesUnexplained = 1 }, { $0.integrity.reordered = 1 },
            { $0.undone = 1 }, { $0.integrity.corrupt = 1 }, { $0.integrity.foreign = 1 },
            { $0.integrity.unconfirmed = 1 }, { $0.excess = 1 }, { $0.repeatedConfirms = 1 }, { $0.left = 1 },
            { $0.problems = ["node 1 has ended by itself"] },
        ]
        for change in spoil {
            var report = report
            change(&report)
            #expect(!report.isClean)
            #expect(report.verdict != self.report.verdict)
            #expect(report.json.contains("\"ok\":false"))
        }
    }

    @Test func faultsAreCountedByKind() {
        var report = report
        report.faults = [.kill: 2, .ring: 1]
        #expect(report.faultCount == 3)
        #expect(report.text.contains("3 faults in 0.0 s, seed 1: kill 2, ring 1"))
        #expect(report.json.contains("\"faults\":3,\"faults_by_kind\":{\"kill\":2,\"kill-all\":0,"))
    }

    @Test func badOptionsAreRefused() {
        let changes: [(inout StormOptions) -> Void] = [
            { $0.addresses.removeLast() }, { $0.scripts = "" }, { $0.seconds = 0 }, { $0.faults = [] },
            { $0.faults = [.ring] }, { $0.queues = 0 }, { $0.publishers = 3 }, { $0.consumers = 3 }, { $0.rate = 0 },
            { $0.window = 0 },
        ]
        for change in changes {
            var options = report.options
            change(&options)
            #expect(throws: BenchError.self) { try options.validate() }
        }
        #expect(throws: Never.self) { try report.options.validate() }
    }
}
