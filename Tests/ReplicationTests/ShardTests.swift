import LogStore
import PeerLink
import Primitives
import Raft
import Replication
import Testing
import Topology

/// Dialogues of three shards in one topology group.
@Suite struct ShardTests {
    private func founded() -> ToyNodes {
        let nodes = ToyNodes()
        nodes.found()
        nodes.advance(milliseconds: 50)
        return nodes
    }

    private func propose(_ name: String, at node: UInt16, _ nodes: ToyNodes) -> TopologyRequestID {
        let id = nodes[node].propose(.putVirtualHost(VirtualHostRecord(name: name)), now: nodes.now)
        nodes.settle()
        return id
    }

    private func knows(_ name: String, _ nodes: ToyNodes) -> [UInt16] {
        [1, 2, 3].filter { nodes[$0].topology.virtualHost(name) != nil }
    }

    @Test func thePreferredNodeLeadsFirst() {
        let nodes = founded()
        #expect([1, 2, 3].map { nodes.topology(of: $0)?.leader } == [NodeID(1), NodeID(1), NodeID(1)])
        #expect(nodes.topology(of: 1)?.isServing == true)
        #expect(nodes.topology(of: 1)?.term == Term(1))
    }

    @Test func anyNodeProposesAndLearnsTheOutcome() {
        let nodes = founded()
        let id = propose("v", at: 3, nodes)
        #expect(knows("v", nodes) == [1, 2, 3])
        for node in ToyNodes.nodes {
            #expect(nodes.applied[node]?.map(\.request) == [id])
        }
    }

    @Test func nothingIsCommittedBeforeAMajorityHasItOnDisk() {
        let nodes = founded()
        nodes.stalled = [NodeID(2), NodeID(3)]
        _ = propose("v", at: 1, nodes)
        #expect(knows("v", nodes) == [])
        nodes.release(NodeID(3))
        #expect(knows("v", nodes) == [1, 2, 3])
    }

    /// The leader's own disk is one of three.
    @Test func aLeaderWithASlowDiskCommitsByItsFollowers() {
        let nodes = founded()
        nodes.stalled = [NodeID(1)]
        _ = propose("v", at: 1, nodes)
        #expect(knows("v", nodes) == [1, 2, 3])
        nodes.release(NodeID(1))
        #expect(nodes.topology(of: 1)?.isServing == true)
    }

    /// What waits in memory for a disk that stands still is bounded, and nothing is missing afterwards.
    @Test func aFollowerWhoseDiskIsBehindTakesNoMore() {
        var configuration = ShardConfiguration()
        configuration.backlogLimit = 2_000
        let nodes = ToyNodes(configuration)
        nodes.found()
        nodes.advance(milliseconds: 50)
        nodes.stalled = [NodeID(3)]
        for number in 0..<200 { _ = propose("vhost \(number)", at: 1, nodes) }
        nodes.advance(milliseconds: 2_000)
        #expect(knows("vhost 199", nodes) == [1, 2])
        // The limit, and one more append.
        #expect(nodes.heldBytes(of: NodeID(3)) > 2_000 && nodes.heldBytes(of: NodeID(3)) < 12_000)
        nodes.release(NodeID(3))
        nodes.advance(milliseconds: 2_000)
        #expect(knows("vhost 199", nodes) == [1, 2, 3])
        #expect(Set([1, 2, 3].map { nodes.topology(of: $0)?.applied }).count == 1)
    }

    /// A vote that is not on disk is not given.
    @Test func noLeaderIsElectedWithoutDisks() {
        let nodes = ToyNodes()
        nodes.stalled = [NodeID(2), NodeID(3)]
        nodes.found()
        nodes.advance(milliseconds: 30)
        #expect([1, 2, 3].allSatisfy { nodes.topology(of: $0)?.role != .leader })
        nodes.release(NodeID(2))
        nodes.advance(milliseconds: 300)
        #expect([1, 2, 3].contains { nodes.topology(of: $0)?.isServing == true })
    }

    @Test func theOthersElectWhenALeaderIsSuspected() throws {
        let nodes = founded()
        _ = propose("before", at: 1, nodes)
        nodes.cut = [NodeID(1)]
        for survivor: UInt16 in [2, 3] { nodes[survivor].nodeSuspected(NodeID(1), now: nodes.now) }
        nodes.settle()
        nodes.advance(milliseconds: 25)
        let leader = try #require([2, 3].first { nodes.topology(of: $0)?.isServing == true })
        _ = propose("after", at: 5 - leader, nodes)
        #expect(knows("after", nodes) == [2, 3] && knows("before", nodes) == [1, 2, 3])
    }

    /// The old leader cannot commit; what it proposed gives way to what the others agreed on.
    @Test func aLeaderThatWasCutOffFollowsAgain() {
        let nodes = founded()
        nodes.cut = [NodeID(1)]
        for survivor: UInt16 in [2, 3] { nodes[survivor].nodeSuspected(NodeID(1), now: nodes.now) }
        _ = propose("lost or late", at: 1, nodes)
        nodes.advance(milliseconds: 100)
        _ = propose("agreed", at: 2, nodes)
        #expect(knows("agreed", nodes) == [2, 3] && knows("lost or late", nodes) == [])
        nodes.cut = []
        for node: UInt16 in [1, 2, 3] {
            for peer in ToyNodes.nodes where peer != NodeID(node) && (node == 1 || peer == NodeID(1)) {
                let identity = PeerIdentity(node: peer, store: ToyNodes.store(peer), incarnation: Incarnation(1))
                nodes[node].linkDown(peer, now: nodes.now)
                nodes[node].linkUp(identity, now: nodes.now)
                nodes[node].nodeUp(peer, Incarnation(1), now: nodes.now)
            }
        }
        nodes.settle()
        nodes.advance(milliseconds: 500)
        #expect(knows("agreed", nodes) == [1, 2, 3])
        // The proposal was kept and sent again to the new leader: it is applied once, everywhere.
        #expect(knows("lost or late", nodes) == [1, 2, 3])
        #expect(Set([1, 2, 3].map { nodes.topology(of: $0)?.applied }).count == 1)
    }

    /// The request for a vote comes in the payload that tells of the commit: the voter's copy of the topology has not
    /// applied it yet.
    @Test func aNewGroupHasItsLeaderBeforeAnyTimePasses() throws {
        let nodes = founded()
        _ = propose("v", at: 1, nodes)
        for name in ["a", "b", "c"] {
            let declaration = QueueDeclaration(
                vhost: "v", name: name, durable: true, autoDelete: false,
                placement: .quorum(members: ToyNodes.nodes, preferredLeader: NodeID(1)))
            _ = nodes[1].propose(.declareQueue(declaration), now: nodes.now)
            nodes.settle()
        }
        let groups = nodes[2].topology.queues(vhost: "v").compactMap(\.group)
        #expect(groups.count == 3)
        for group in groups {
            #expect([1, 2, 3].map { nodes[$0].leader(of: group).node } == [NodeID(1), NodeID(1), NodeID(1)])
            #expect(nodes[1].replicaState(of: group)?.isServing == true)
            #expect(nodes[1].replicaState(of: group)?.term == Term(1))
        }
        #expect(nodes[3].replicaGroups == [.topology] + groups.sorted())
    }

    @Test func aMessageForAnUnknownGroupCreatesNothing() throws {
        let nodes = founded()
        var outbox = PeerOutbox()
        outbox.append(.raft, group: GroupID(99)) { RaftMessage.leaderGone(Term(1)).encode(into: &$0) }
        let payload = try #require(outbox.take().first)
        #expect(nodes[1].receive(payload, from: NodeID(2), now: nodes.now))
        nodes.settle()
        #expect(nodes[1].replicaGroups == [.topology])
    }

    /// The cache counts the bytes of entries, so they must not hold much more than that.
    @Test func anEntryInMemoryDoesNotHoldThePayloadItCameIn() throws {
        let nodes = founded()
        let state = try #require(nodes.topology(of: 2))
        let append = Append(
            term: state.term, prevIndex: state.lastIndex, prevTerm: state.term, commit: state.commit, count: 1,
            entriesTerm: state.term)
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        let entry = Entry(
            kind: .noop, group: .topology, index: state.lastIndex.next, term: state.term, timestamp: .zero,
            headers: none, bodies: none)
        var outbox = PeerOutbox()
        outbox.append(.raft, group: .topology) { writer in
            RaftMessage.append(append).encode(into: &writer)
            writer.write(entry.bytes)
        }
        outbox.append(.gateway, group: .topology) { $0.write(Bytes([UInt8](repeating: 0, count: 200_000))) }
        let payload = try #require(outbox.take().first)
        #expect(nodes[2].receive(payload, from: NodeID(1), now: nodes.now))
        let cached = try #require(nodes[2].entryInMemory(of: .topology, at: state.lastIndex.next))
        #expect(cached.bytes.heldByteCount <= 4 * cached.bytes.count)
    }

    @Test func aMalformedPayloadIsToldAndChangesNothing() {
        let nodes = founded()
        let before = nodes.topology(of: 1)
        #expect(!nodes[1].receive(Bytes([99, 1, 2]), from: NodeID(2), now: nodes.now))
        nodes.settle()
        #expect(nodes.topology(of: 1) == before)
        #expect(
            nodes.events[NodeID(1)]?.contains {
                if case .malformedMessage(NodeID(2), _) = $0 { true } else { false }
            } == true)
    }

    @Test func commandsToAnotherNodeAreBoundedByTheTickAndTheLink() throws {
        var configuration = ShardConfiguration()
        configuration.tickBytesLimit = 1_000
        let nodes = ToyNodes(configuration)
        nodes.found()
        #expect(nodes[1].commandRoom(to: NodeID(1)) == Int.max)
        #expect(nodes[1].commandRoom(to: NodeID(2)) == 1_000)
        nodes[1].sendToGateway(NodeID(2), Bytes([UInt8](repeating: 1, count: 600)))
        let left = try #require(nodes[1].commandRoom(to: NodeID(2)))
        #expect(left > 300 && left < 400)
        nodes[1].sendToGateway(NodeID(2), Bytes([UInt8](repeating: 1, count: 600)))
        #expect(nodes[1].commandRoom(to: NodeID(2)) == 0)
        #expect(nodes[1].commandRoom(to: NodeID(3)) == 1_000)
        nodes.settle()
        #expect(nodes[1].commandRoom(to: NodeID(2)) == 1_000)
        nodes[1].setBackedUp(NodeID(2), true, now: nodes.now)
        #expect(nodes[1].commandRoom(to: NodeID(2)) == nil)
        nodes[1].setBackedUp(NodeID(2), false, now: nodes.now)
        #expect(nodes[1].commandRoom(to: NodeID(2)) == 1_000)
    }

    /// Neither appends nor commands can keep the other from a link that has too little room for both.
    @Test func commandsAndAppendsTakeTurns() {
        var configuration = ShardConfiguration()
        configuration.tickBytesLimit = 1_000
        let nodes = ToyNodes(configuration)
        nodes.found()
        nodes.advance(milliseconds: 50)
        _ = nodes[1].propose(.putVirtualHost(VirtualHostRecord(name: "v")), now: nodes.now)
        var rooms: [Int?] = []
        for _ in 0..<4 {
            // As if by commands.
            nodes[1].sendToGateway(NodeID(2), Bytes([UInt8](repeating: 1, count: 1_000)))
            _ = nodes[1].flush(now: nodes.now, wall: .zero)
            rooms.append(nodes[1].commandRoom(to: NodeID(2)))
        }
        #expect(rooms == [0, 1_000, 0, 1_000])
        #expect(nodes[1].commandRoom(to: NodeID(3)) == 1_000)
        // The appends leave in the turn that is left to them.
        _ = nodes[1].flush(now: nodes.now, wall: .zero)
        #expect(!nodes[1].hasPostponedWork)
    }

    /// A member with another store is not that member: it may have lost what it promised.
    @Test func aPeerOnAnotherStoreIsNotListenedTo() throws {
        let nodes = founded()
        let stranger = PeerIdentity(node: NodeID(2), store: StoreID(high: 1, low: 1), incarnation: Incarnation(2))
        nodes[1].linkUp(stranger, now: nodes.now)
        var outbox = PeerOutbox()
        outbox.append(.raft, group: .topology) {
            RaftMessage.voteReply(VoteReply(term: Term(50), isGranted: false)).encode(into: &$0)
        }
        let payload = try #require(outbox.take().first)
        #expect(nodes[1].receive(payload, from: NodeID(2), now: nodes.now))
        nodes.settle()
        #expect(nodes.topology(of: 1)?.term == Term(1) && nodes.topology(of: 1)?.role == .leader)
        // It is taken for a node that lost its disk.
        #expect(nodes[1].topology.store(of: NodeID(2)) == stranger.store)
    }

    /// It may have been one on a disk that is lost.
    @Test func aNodeThatIsNoMemberWaits() {
        let nodes = ToyNodes()
        let others = ToyNodes.members.map { member in
            GroupDescriptor.Member(node: member.node, store: StoreID(high: 9, low: member.store.low))
        }
        for shard in nodes.shards { shard.found(members: others, now: nodes.now) }
        for node in ToyNodes.nodes { nodes.heal(node) }
        nodes.advance(milliseconds: 2_000)
        #expect([1, 2, 3].allSatisfy { nodes.topology(of: $0)?.term == .zero })
    }

    // MARK: The scrub

    private func damage(_ index: LogIndex, at node: UInt16, _ nodes: ToyNodes) throws -> EntryLocation {
        let location = try #require(nodes[node].location(of: .topology, at: index))
        nodes[node].scrubbed(ScrubReport(segment: location.segment, bytes: 1, entries: [location]), now: nodes.now)
        nodes.settle()
        return location
    }

    @Test func anEntryThatTheScrubFoundDamagedComesFromAPeer() throws {
        let nodes = founded()
        _ = propose("v", at: 1, nodes)
        let index = try #require(nodes.topology(of: 2)?.lastIndex)
        let location = try damage(index, at: 2, nodes)
        #expect(
            nodes.events[NodeID(2)]?.suffix(3) == [
                .entryDamaged(.topology, index, at: location), .snapshotTaken(.topology, index),
                .entryRepaired(.topology, index),
            ])
        #expect(nodes[2].repairs.found == 1 && nodes[2].repairs.repaired == 1)
    }

    @Test func damageOfWhatIsNotNeededChangesNothing() throws {
        let nodes = founded()
        _ = propose("v", at: 1, nodes)
        let index = try #require(nodes.topology(of: 2)?.lastIndex)
        var location = try #require(nodes[2].location(of: .topology, at: index))
        location.segment += 1
        let stranger = EntryLocation(
            group: GroupID(99), index: index, term: Term(1), segment: 1, offset: 0, length: 1, checksum: 0)
        let before = nodes.events[NodeID(2)]
        nodes[2].scrubbed(ScrubReport(segment: 2, bytes: 1, entries: [location, stranger]), now: nodes.now)
        nodes.settle()
        #expect(nodes.events[NodeID(2)] == before && nodes[2].repairs == RepairTotals())
    }

    @Test func otherRecordsAreWrittenAgain() throws {
        let nodes = founded()
        let count = nodes.records[NodeID(3)]?.count ?? 0
        let damaged = [
            DamagedRecord(.groupCreated, group: .topology, segment: 1, offset: 5_000),
            DamagedRecord(.configuration, group: .topology, segment: 1, offset: 5_100),
            DamagedRecord(.configuration, group: GroupID(99), segment: 1, offset: 5_200),
        ]
        nodes[3].scrubbed(ScrubReport(segment: 1, bytes: 1, records: damaged), now: nodes.now)
        nodes.settle()
        let written = try #require(nodes.records[NodeID(3)]?.dropFirst(count))
        #expect(written.count == 2)
        guard case .groupCreated(.topology, let bytes)? = written.first,
            case .configuration(.topology, let note)? = written.last
        else {
            Issue.record("other records: \(written)")
            return
        }
        #expect(try GroupDescriptor(decoding: bytes).members == ToyNodes.members)
        #expect(try ReplicaNote(decoding: note).doubt.transferredThrough == .zero)
        #expect(nodes[3].repairs.rewritten == 2)
    }
}
