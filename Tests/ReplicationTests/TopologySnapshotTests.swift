import LogStore
import Primitives
import Replication
import Testing
import Topology

/// The metadata's log is kept short like a queue's, and a node that was away gets the state instead.
@Suite struct TopologySnapshotTests {
    /// - Parameter inlineStateLimit: 0 lets all states be encoded and decoded beside the shard.
    private func awayAndBack(inlineStateLimit: Int) -> ToyNodes {
        var configuration = ToyNodes.snapshotsOften
        configuration.inlineStateLimit = inlineStateLimit
        let nodes = ToyNodes(configuration)
        nodes.found()
        nodes.advance(milliseconds: 50)
        propose(.putVirtualHost(VirtualHostRecord(name: "gone")), nodes)
        nodes.cut(NodeID(3))
        propose(.deleteVirtualHost("gone"), nodes)
        for number in 1...40 {
            propose(.putVirtualHost(VirtualHostRecord(name: "v\(number)")), nodes)
            propose(.deleteVirtualHost("v\(number)"), nodes)
        }
        propose(.putVirtualHost(VirtualHostRecord(name: "kept")), nodes)
        nodes.advance(milliseconds: 2_000)
        propose(.putVirtualHost(VirtualHostRecord(name: "late")), nodes)
        nodes.advance(milliseconds: 600)
        nodes.heal(NodeID(3))
        nodes.advance(milliseconds: 1_000)
        return nodes
    }

    private func propose(_ command: TopologyCommand, _ nodes: ToyNodes) {
        _ = nodes[1].propose(command, now: nodes.now)
        nodes.settle()
    }

    private func took(_ node: UInt16, _ nodes: ToyNodes) -> Bool {
        nodes.events[NodeID(node), default: []].contains {
            if case .snapshotTaken(.topology, _) = $0 { true } else { false }
        }
    }

    private func installed(_ node: UInt16, _ nodes: ToyNodes) -> Bool {
        nodes.events[NodeID(node), default: []].contains {
            if case .snapshotInstalled(.topology, _, NodeID(1)) = $0 { true } else { false }
        }
    }

    @Test(arguments: [0, 1 << 20])
    func aNodeThatWasAwayGetsTheState(inlineStateLimit: Int) {
        let nodes = awayAndBack(inlineStateLimit: inlineStateLimit)
        #expect(took(1, nodes) && took(2, nodes))
        #expect(installed(3, nodes) && !installed(2, nodes))
        #expect(nodes[3].topology.virtualHosts.map(\.name) == ["kept", "late"])
        #expect([1, 2, 3].map { nodes[$0].topology.stateHash() }.allSatisfy { $0 == nodes[1].topology.stateHash() })
    }

    /// Whoever follows the changes must learn what is gone, and that anything else may be different.
    @Test func theChangesOfASnapshotAreTold() {
        let nodes = awayAndBack(inlineStateLimit: 0)
        let replacement = nodes.applied[NodeID(3), default: []].last { $0.changes.contains(.replaced) }
        #expect(replacement?.changes == [.virtualHostDeleted("gone"), .replaced])
        #expect(replacement?.request == TopologyRequestID.none)
    }

    /// A crash may come between the mark of a snapshot and the removals that follow from it.
    @Test func aStartRemovesTheQueuesThatItsSnapshotKnowsToBeDeleted() throws {
        let configuration = ToyNodes.snapshotsOften
        let nodes = ToyNodes(configuration)
        nodes.found()
        nodes.advance(milliseconds: 50)
        propose(.putVirtualHost(VirtualHostRecord(name: "v")), nodes)
        let declaration = QueueDeclaration(
            vhost: "v", name: "q", durable: true, autoDelete: false,
            placement: .quorum(members: ToyNodes.nodes, preferredLeader: NodeID(1)))
        propose(.declareQueue(declaration), nodes)
        let group = try #require(nodes[2].topology.queue("q", vhost: "v")?.group)
        propose(.deleteQueue(vhost: "v", name: "q", expected: nil), nodes)
        for number in 1...40 {
            propose(.putVirtualHost(VirtualHostRecord(name: "v\(number)")), nodes)
            propose(.deleteVirtualHost("v\(number)"), nodes)
        }
        nodes.advance(milliseconds: 2_000)
        let snapshot = try #require(nodes.topologySnapshot(of: NodeID(2)))
        #expect(snapshot.index.rawValue > group.rawValue + 1)
        let created = GroupDescriptor(members: ToyNodes.members, preferredLeader: NodeID(1)).encoded()
        let groups = [(GroupID.topology, snapshot), (group, nil)].map { group, snapshot in
            RecoveredGroup(
                group: group, term: Term(1), vote: nil, created: created, configuration: nil, snapshot: snapshot,
                entries: [])
        }
        let again = Shard(
            node: NodeID(2), peers: [NodeID(1), NodeID(3)],
            recovered: RecoveredStore(
                storeID: ToyNodes.store(NodeID(2)), incarnation: Incarnation(2), isFresh: false, mayVote: true,
                groups: groups, removedGroups: []),
            configuration: configuration, seed: 1, now: nodes.now)
        #expect(again.replicaGroups == [.topology])
        let records = again.flush(now: nodes.now, wall: .zero).records
        #expect(
            records.contains {
                if case .groupRemoved(group, snapshot.index) = $0 { true } else { false }
            })
    }

    /// The log goes on behind the snapshot.
    @Test func aNodeThatGotTheStateFollows() {
        let nodes = awayAndBack(inlineStateLimit: 1 << 20)
        propose(.putVirtualHost(VirtualHostRecord(name: "after")), nodes)
        #expect(nodes[3].topology.virtualHost("after") != nil)
        #expect(nodes.topology(of: 3)?.applied == nodes.topology(of: 1)?.applied)
    }
}
