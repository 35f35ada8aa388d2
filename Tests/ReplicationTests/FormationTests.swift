import Primitives
import Replication
import Testing

/// Dialogues of a node with an empty store, node 1 of three.
@Suite struct FormationTests {
    private typealias Member = GroupDescriptor.Member

    private static func store(_ number: UInt64) -> StoreID { StoreID(high: number, low: number) }
    private static func member(_ node: UInt16, _ store: UInt64? = nil) -> Member {
        Member(node: NodeID(node), store: FormationTests.store(store ?? UInt64(node)))
    }

    private static let all = [member(1), member(2), member(3)]
    private static let empty = StoreReport(members: [])

    private func formation(of nodes: [UInt16] = [3, 1, 2]) -> Formation {
        Formation(node: NodeID(1), store: FormationTests.store(1), configured: nodes.map { NodeID($0) })
    }

    /// Node `peer` reports; `members` are those of the cluster that its store knows.
    private func report(
        _ formation: inout Formation, _ peer: UInt16, members: [Member] = [], store: UInt64? = nil
    ) -> Formation.Decision {
        formation.reported(
            by: NodeID(peer), store: FormationTests.store(store ?? UInt64(peer)), report: StoreReport(members: members))
    }

    private func isRefusal(_ decision: Formation.Decision, naming text: String) -> Bool {
        guard case .refuse(let reason) = decision else { return false }
        return reason.contains(text)
    }

    @Test func allFreshFoundACluster() {
        var formation = formation()
        #expect(formation.decision == .wait)
        #expect(formation.missing == [NodeID(2), NodeID(3)])
        #expect(report(&formation, 3) == .wait)
        #expect(formation.missing == [NodeID(2)])
        #expect(report(&formation, 2) == .found(FormationTests.all))
        #expect(formation.missing == [])
    }

    @Test func oneNodeFoundsAlone() {
        #expect(formation(of: [1]).decision == .found([FormationTests.member(1)]))
    }

    /// A node was killed while the cluster was founded: the others already know it, with the store it has.
    @Test func aClusterThatNamesThisStoreIsJoined() {
        var formation = formation()
        #expect(report(&formation, 2, members: FormationTests.all) == .found(FormationTests.all))
        #expect(report(&formation, 3) == .found(FormationTests.all))
    }

    private func formation(on own: UInt16) -> Formation {
        Formation(
            node: NodeID(own), store: FormationTests.store(UInt64(own)), configured: [NodeID(2), NodeID(3), NodeID(1)])
    }

    /// Were each to found by what it was told once, two could name different stores.
    @Test func onlyTheLowestNodeFounds() {
        for own in UInt16(2)...3 {
            var formation = formation(on: own)
            for peer in UInt16(1)...3 where peer != own { #expect(report(&formation, peer) == .wait) }
            #expect(formation.missing == [] && formation.waiting == [NodeID(1), NodeID(own == 2 ? 3 : 2)])
            #expect(formation.waitingFor.hasPrefix("node 1, the lowest, founds the cluster"))
            // It is told anew.
            formation.forget(NodeID(1))
            #expect(report(&formation, 1, members: FormationTests.all) == .found(FormationTests.all))
        }
    }

    /// Node 1 founded with node 2, whose disk was then lost; its report to node 3 is from before all that.
    @Test func aReportOfOldMakesNoSecondCluster() {
        var formation = formation(on: 3)
        #expect(report(&formation, 1) == .wait)
        #expect(report(&formation, 2, store: 99) == .wait)
    }

    @Test func whatAPeerReportedGoesWithItsLink() {
        var formation = formation()
        #expect(report(&formation, 2) == .wait)
        formation.forget(NodeID(2))
        #expect(report(&formation, 3) == .wait)
        #expect(formation.missing == [NodeID(2)] && formation.waitingFor.hasSuffix("not linked: 2"))
        #expect(
            report(&formation, 2, store: 50)
                == .found([
                    FormationTests.member(1), FormationTests.member(2, 50), FormationTests.member(3),
                ]))
    }

    /// The disk of this node was lost: it must neither found a second cluster nor vote with an empty log. One peer is
    /// enough to know.
    @Test func aNodeThatLostItsStoreRejoins() {
        var formation = formation()
        let founders = [FormationTests.member(1, 77), FormationTests.member(2), FormationTests.member(3)]
        #expect(report(&formation, 2, members: founders) == .rejoin(founders))
        #expect(report(&formation, 3) == .rejoin(founders))
    }

    @Test func aClusterWithoutThisNodeIsNotJoined() {
        var formation = formation()
        let others = [FormationTests.member(2), FormationTests.member(3)]
        #expect(isRefusal(report(&formation, 3, members: others), naming: "node 3 belongs to"))
    }

    @Test func aClusterWithOtherMembersIsNotJoined() {
        var formation = formation()
        let others = [FormationTests.member(1), FormationTests.member(2), FormationTests.member(4)]
        let decision = report(&formation, 2, members: others)
        #expect(isRefusal(decision, naming: "node 2 belongs to a cluster with other members"))
    }

    /// Node 3's disk was lost, too: what counts is who founded the cluster.
    @Test func theStoresOfPeersDoNotMatterOnceThereIsACluster() {
        var formation = formation()
        #expect(report(&formation, 3, store: 99) == .wait)
        #expect(report(&formation, 2, members: FormationTests.all) == .found(FormationTests.all))
    }

    /// A report is replaced by a newer one: a peer that was asked before it founded says more later.
    @Test func theNewestReportCounts() {
        var formation = formation()
        #expect(report(&formation, 2, store: 50) == .wait)
        #expect(report(&formation, 2) == .wait)
        #expect(report(&formation, 3) == .found(FormationTests.all))
    }

    @Test func reportsRoundTrip() throws {
        #expect(try StoreReport(decoding: FormationTests.empty.encoded()) == FormationTests.empty)
        let full = StoreReport(members: FormationTests.all)
        #expect(try StoreReport(decoding: full.encoded()) == full)
        #expect(FormationTests.empty.isEmpty && !full.isEmpty)
        #expect(throws: DecodingFailure.self) { try StoreReport(decoding: Bytes([0xff])) }
    }
}
