import LogStore
import Primitives
import Raft
import Replication
import Testing
import Topology

/// A replica that finds a part of its log missing makes good what it had acknowledged before it counts again.
@Suite struct LostLogTests {
    private static let lost = LogIndex(12)

    /// Node 3 had acknowledged up to `lost`, and its store holds nothing of it.
    private func nodes() -> ToyNodes {
        var group = RecoveredGroup(
            group: .topology, term: Term(1), vote: NodeID(1),
            created: GroupDescriptor(members: ToyNodes.members, preferredLeader: NodeID(1)).encoded(),
            configuration: nil, snapshot: nil, entries: [], mayVote: false, mayLead: false)
        group.lostThrough = LostLogTests.lost
        let nodes = ToyNodes(groups: [NodeID(3): [group]])
        nodes.found()
        nodes.advance(milliseconds: 200)
        return nodes
    }

    private func propose(_ count: Int, _ nodes: ToyNodes) {
        for number in 0..<count {
            let name = "\(nodes.now.nanoseconds)-\(number)"
            _ = nodes[1].propose(.putVirtualHost(VirtualHostRecord(name: name)), now: nodes.now)
            nodes.settle()
        }
    }

    private func notes(_ nodes: ToyNodes) throws -> [LogIndex] {
        try (nodes.records[NodeID(3)] ?? []).compactMap { record in
            guard case .configuration(.topology, let bytes) = record else { return nil }
            return try ReplicaNote(decoding: bytes).transferredThrough
        }
    }

    @Test func itVotesWhenAllItMayHaveAcknowledgedIsCommitted() throws {
        let nodes = nodes()
        #expect(try notes(nodes) == [LostLogTests.lost])
        propose(4, nodes)
        nodes.advance(milliseconds: 100)
        let before = try #require(nodes.topology(of: 3)?.applied)
        #expect(before > .zero && before < LostLogTests.lost)
        nodes.cut(NodeID(1))
        nodes.advance(milliseconds: 1_000)
        #expect(nodes.topology(of: 2)?.role != .leader && nodes.topology(of: 3)?.role != .leader)
        nodes.heal(NodeID(1))
        nodes.advance(milliseconds: 1_000)
        propose(12, nodes)
        nodes.advance(milliseconds: 1_000)
        #expect(try #require(nodes.topology(of: 3)?.applied) >= LostLogTests.lost)
        #expect(try notes(nodes) == [LostLogTests.lost, .zero])
        nodes.cut(NodeID(1))
        nodes.advance(milliseconds: 1_000)
        #expect(nodes.topology(of: 2)?.isServing == true || nodes.topology(of: 3)?.isServing == true)
    }
}
