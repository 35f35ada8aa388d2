import LogStore
import PeerLink
import Primitives
import Raft
import Replication
import Testing
import Topology

/// Three nodes of which one loses its disk.
@Suite struct MemberTests {
    private static let lost = NodeID(2)
    private static let newStore = StoreID(high: 8, low: 2)

    /// With a queue, and all nodes registered.
    private func founded() -> ToyNodes {
        let nodes = ToyNodes()
        nodes.found()
        nodes.advance(milliseconds: 50)
        for node in ToyNodes.nodes {
            _ = nodes[1].propose(
                .registerNode(
                    NodeRecord(
                        id: node, name: "", store: ToyNodes.store(node), peerAddress: "", clientAddress: "",
                        managementAddress: "")), now: nodes.now)
        }
        _ = nodes[1].propose(.putVirtualHost(VirtualHostRecord(name: "/")), now: nodes.now)
        nodes.settle()
        declare("q", nodes)
        return nodes
    }

    private func declare(_ name: String, _ nodes: ToyNodes) {
        let declaration = QueueDeclaration(
            vhost: "/", name: name, durable: true, autoDelete: false,
            placement: .quorum(members: ToyNodes.nodes, preferredLeader: NodeID(1)))
        _ = nodes[1].propose(.declareQueue(declaration), now: nodes.now)
        nodes.advance(milliseconds: 50)
    }

    private func group(_ name: String, _ nodes: ToyNodes) throws -> GroupID {
        try #require(nodes[1].topology.queue(name, vhost: "/")?.group)
    }

    /// The stores of a group's members in the eyes of each node, voters only.
    private func voters(_ group: GroupID, _ nodes: ToyNodes) -> [[StoreID]] {
        [1, 2, 3].map { node in
            (nodes[node].configurations(of: group).last?.descriptor.members ?? []).filter { $0.role == .voter }
                .map(\.store)
        }
    }

    private static let before = ToyNodes.nodes.map { ToyNodes.store($0) }
    private static let after = [ToyNodes.store(NodeID(1)), newStore, ToyNodes.store(NodeID(3))]

    @Test func aNodeThatLostItsDiskHasEverythingAgain() throws {
        let nodes = founded()
        let queue = try group("q", nodes)
        #expect(voters(queue, nodes) == Array(repeating: MemberTests.before, count: 3))
        nodes.loseDisk(of: MemberTests.lost, newStore: MemberTests.newStore)
        nodes.advance(milliseconds: 300)
        declare("while it was away", nodes)
        nodes.heal(MemberTests.lost)
        nodes.advance(milliseconds: 500)
        let groups = [GroupID.topology, queue, try group("while it was away", nodes)]
        for group in groups {
            #expect(voters(group, nodes) == Array(repeating: MemberTests.after, count: 3), "\(group)")
            let states = [1, 2, 3].map { nodes[$0].replicaState(of: group) }
            #expect(Set(states.map { $0?.applied }).count == 1 && states.allSatisfy { $0?.isVoter == true })
        }
        for node in ToyNodes.nodes {
            let event = ShardEvent.storeReplaced(node: MemberTests.lost, by: MemberTests.newStore)
            #expect(nodes.events[node]?.filter { $0 == event }.count == 1)
        }
        let queues = nodes.events[MemberTests.lost]?.compactMap { event -> Int? in
            if case .rejoined(let queues, _) = event { queues } else { nil }
        }
        #expect(queues == [2])
        // It is worth as much as the old one: with it, the others can do without the leader.
        nodes.cut(NodeID(1))
        nodes.advance(milliseconds: 500)
        #expect([2, 3].contains { nodes[$0].replicaState(of: queue)?.isServing == true })
    }

    /// Who restarts nodes in turn must not go on while a node is heard and yet no voter.
    @Test func aNodeIsNeededUntilTheOthersAreAMajority() throws {
        let nodes = founded()
        let groups = [GroupID.topology, try group("q", nodes)]
        #expect(nodes[1].groupsThatNeedThisNode.isEmpty)
        nodes.loseDisk(of: MemberTests.lost, newStore: MemberTests.newStore)
        nodes.advance(milliseconds: 300)
        #expect(nodes[1].groupsThatNeedThisNode == groups)
        // Its disk answers nothing yet.
        nodes.stalled.insert(MemberTests.lost)
        nodes.heal(MemberTests.lost)
        nodes.advance(milliseconds: 100)
        #expect(nodes[1].isUp(MemberTests.lost) && nodes[2].groupsThatNeedThisNode.isEmpty)
        #expect(nodes[1].groupsThatNeedThisNode == groups)
        nodes.release(MemberTests.lost)
        nodes.advance(milliseconds: 500)
        #expect([1, 2, 3].allSatisfy { nodes[$0].groupsThatNeedThisNode.isEmpty })
    }

    /// Until it is taken in, nothing that it says makes a majority.
    @Test func anEmptyStoreCountsForNothing() throws {
        let nodes = founded()
        let queue = try group("q", nodes)
        nodes.loseDisk(of: MemberTests.lost, newStore: MemberTests.newStore)
        nodes.cut(NodeID(3))
        nodes.heal(MemberTests.lost)
        nodes.advance(milliseconds: 3_000)
        for group in [GroupID.topology, queue] {
            #expect(nodes[1].replicaState(of: group)?.role != .leader)
            #expect(nodes[2].replicaState(of: group)?.isVoter != true)
        }
        #expect(nodes[1].topology.store(of: MemberTests.lost) == ToyNodes.store(MemberTests.lost))
        nodes.heal(NodeID(3))
        nodes.advance(milliseconds: 1_000)
        #expect(voters(queue, nodes) == Array(repeating: MemberTests.after, count: 3))
    }

    /// The old disk comes back after another has taken its place.
    @Test func anOldStoreIsAStranger() throws {
        let nodes = founded()
        let old = try #require(nodes.identities[MemberTests.lost])
        nodes.loseDisk(of: MemberTests.lost, newStore: MemberTests.newStore)
        nodes.heal(MemberTests.lost)
        nodes.advance(milliseconds: 500)
        nodes.cut(MemberTests.lost)
        nodes[1].linkUp(old, now: nodes.now)
        #expect(nodes[1].topology.isRetired(old.store, of: old.node))
        nodes.advance(milliseconds: 100)
        #expect(nodes.events[NodeID(1)]?.contains(.foreignStore(node: old.node, store: old.store)) == true)
        #expect(nodes[1].topology.store(of: old.node) == MemberTests.newStore)
    }

    @Test func aMemberLetGoIsTakenInAgain() throws {
        let nodes = founded()
        let queue = try group("q", nodes)
        nodes[1].dismiss(NodeID(3), from: queue)
        nodes.settle()
        nodes.advance(milliseconds: 300)
        #expect(voters(queue, nodes) == Array(repeating: MemberTests.before, count: 3))
        #expect(nodes[1].configurations(of: queue).count == 4)
    }

    /// Its disk was lost twice, and the first change of stores was under way when the second was asked for.
    @Test func aStoreThatWasAskedForInVainIsAskedForAgain() throws {
        let nodes = founded()
        let queue = try group("q", nodes)
        let between = StoreID(high: 9, low: 2)
        nodes.loseDisk(of: MemberTests.lost, newStore: MemberTests.newStore)
        // As an earlier leader asked for it, ordered ahead of what this one asks for at the link.
        _ = nodes[1].propose(
            .replaceStore(MemberTests.lost, ToyNodes.store(MemberTests.lost), by: between), now: nodes.now)
        nodes.heal(MemberTests.lost)
        nodes.advance(milliseconds: 500)
        #expect(nodes[1].topology.store(of: MemberTests.lost) == MemberTests.newStore)
        #expect(voters(queue, nodes) == Array(repeating: MemberTests.after, count: 3))
    }

    /// A learner that gets nowhere keeps nobody from a place among those that are being changed.
    @Test func groupsTakeTurnsWhenTheirLearnersAreStuck() throws {
        let nodes = founded()
        for number in 1...70 { declare("q\(number)", nodes) }
        let groups = try (1...70).map { try group("q\($0)", nodes) }
        // A log that is more than what a learner may lack.
        for _ in 1...6 {
            for group in groups { nodes[1].dismiss(NodeID(3), from: group) }
            nodes.advance(milliseconds: 200)
        }
        nodes.loseDisk(of: MemberTests.lost, newStore: MemberTests.newStore)
        nodes.stalled.insert(MemberTests.lost)
        nodes.heal(MemberTests.lost)
        nodes.advance(milliseconds: 1_000)
        func learners() -> Int {
            groups.count { group in
                nodes[1].configurations(of: group).last?.descriptor.member(MemberTests.lost)?.role == .learner
            }
        }
        #expect((60...64).contains(learners()))
        nodes.advance(milliseconds: 6_000)
        #expect(learners() == 70)
        nodes.release(MemberTests.lost)
        nodes.advance(milliseconds: 8_000)
        for group in groups { #expect(voters(group, nodes) == Array(repeating: MemberTests.after, count: 3)) }
    }

    /// A node that ends in the middle of its way back says when it has everything nonetheless.
    @Test func theWayBackGoesOnAfterARestart() throws {
        let descriptor = GroupDescriptor(
            members: ToyNodes.members.map {
                $0.node == MemberTests.lost ? .init(node: $0.node, store: StoreID(high: 1, low: 1)) : $0
            }, preferredLeader: NodeID(1))
        let groups = [(GroupID.topology, ToyNodes.members), (GroupID(9), descriptor.members)].map { group, members in
            RecoveredGroup(
                group: group, term: Term(1), vote: nil,
                created: GroupDescriptor(members: members, preferredLeader: NodeID(1)).encoded(), configuration: nil,
                snapshot: nil, entries: [])
        }
        let nodes = ToyNodes(groups: [MemberTests.lost: groups])
        #expect(nodes[2].isRejoining)
        #expect(!nodes[1].isRejoining)
    }

    // MARK: Learners

    /// In a busy group it never has what is committed this moment.
    @Test func aLearnerIsTakenWhenItIsLessThanASecondBehind() {
        var catchUp = CatchUp(counted: .zero, commit: LogIndex(1_000), now: .zero)
        func isComplete(_ counted: UInt64, _ commit: UInt64, at milliseconds: UInt64) -> Bool {
            catchUp.isComplete(
                counted: LogIndex(counted), commit: LogIndex(commit), now: .zero + .milliseconds(milliseconds))
        }
        #expect(!isComplete(999, 5_000, at: 4_000))
        // The first round took too long, the second one too, the third is quick.
        #expect(!isComplete(1_000, 6_000, at: 5_000))
        #expect(!isComplete(5_999, 6_900, at: 5_900))
        #expect(!isComplete(6_000, 7_000, at: 6_000))
        #expect(!isComplete(6_999, 7_500, at: 6_998))
        #expect(isComplete(7_000, 7_500, at: 6_999))
        #expect(!isComplete(7_100, 7_900, at: 7_000))
        #expect(isComplete(7_100, 7_116, at: 20_000))
        #expect(!catchUp.isStuck(now: .zero + .milliseconds(11_999)))
        #expect(catchUp.isStuck(now: .zero + .milliseconds(12_000)))
    }

    // MARK: Notes

    private static func descriptor(_ stores: UInt64...) -> GroupDescriptor {
        let members = stores.enumerated().map { place, store in
            GroupDescriptor.Member(node: NodeID(UInt16(place) + 1), store: StoreID(high: 0, low: store))
        }
        return GroupDescriptor(members: members, preferredLeader: NodeID(1))
    }

    private func note() -> ReplicaNote {
        var note = ReplicaNote(LogDoubt(transferredThrough: LogIndex(7)))
        for (index, term, store) in [(5, 1, 50), (10, 3, 51), (20, 3, 52)] as [(UInt64, UInt64, UInt64)] {
            note.configurations.append(
                ReplicaNote.Configuration(
                    index: LogIndex(index), term: Term(term), descriptor: MemberTests.descriptor(store)))
        }
        return note
    }

    @Test func notesRoundTrip() throws {
        var note = note()
        #expect(try ReplicaNote(decoding: note.encoded()) == note)
        note.installation = ReplicaNote.Installation(
            snapshot: LogIndex(30), index: .zero, descriptor: MemberTests.descriptor(1, 2))
        let bytes = note.encoded()
        #expect(try ReplicaNote(decoding: bytes) == note)
        for count in 0..<bytes.count {
            #expect(throws: DecodingFailure.self) { try ReplicaNote(decoding: bytes[0..<count]) }
        }
        let plain = ReplicaNote(LogDoubt(transferredThrough: LogIndex(0x0102), lostThrough: LogIndex(3)))
        #expect(plain.encoded().toArray() == [3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0])
        #expect(try ReplicaNote(decoding: plain.encoded()) == plain)
        // Earlier versions did not tell a transfer from a loss.
        let old = ReplicaNote(LogDoubt(transferredThrough: LogIndex(0x0102), lostThrough: LogIndex(0x0102)))
        #expect(try ReplicaNote(decoding: Bytes([1, 2, 1, 0, 0, 0, 0, 0, 0])) == old)
        #expect(try ReplicaNote(decoding: Bytes([2, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0])) == old)
    }

    /// What counts of a note is what the log has, and everything that a snapshot covers.
    @Test func aNoteCountsAsFarAsTheLogHasItsEntries() {
        let note = note()
        func indices(_ note: ReplicaNote, base: UInt64, terms: [UInt64: UInt64]) -> [LogIndex] {
            note.configurations(base: LogIndex(base)) { terms[$0.rawValue].map { Term($0) } }.map(\.index)
        }
        let all = [LogIndex(5), LogIndex(10), LogIndex(20)]
        #expect(indices(note, base: 0, terms: [5: 1, 10: 3, 20: 3]) == all)
        #expect(indices(note, base: 7, terms: [10: 3, 20: 3]) == all)
        // The last one was never written, or another entry has taken its place.
        #expect(indices(note, base: 7, terms: [10: 3]) == all.dropLast())
        #expect(indices(note, base: 7, terms: [10: 3, 20: 4]) == all.dropLast())
        // It was covered by a snapshot when it was noted, and an older one is left: the log has it.
        var covered = note
        covered.configurations[1].term = .zero
        #expect(indices(covered, base: 7, terms: [10: 3, 20: 3]) == all)
        #expect(indices(covered, base: 7, terms: [:]) == [LogIndex(5)])
        var installing = note
        installing.installation = ReplicaNote.Installation(
            snapshot: LogIndex(15), index: LogIndex(12), descriptor: MemberTests.descriptor(60))
        // Before the snapshot's mark is there, and after it.
        #expect(indices(installing, base: 7, terms: [10: 3, 20: 3]) == all)
        #expect(indices(installing, base: 15, terms: [20: 3]) == [LogIndex(12), LogIndex(20)])
        installing.installation?.index = .zero
        #expect(indices(installing, base: 15, terms: [:]) == [])
    }
}
