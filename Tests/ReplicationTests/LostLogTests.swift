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
    private func nodes(_ configuration: ShardConfiguration = ShardConfiguration()) -> ToyNodes {
        var group = group(note: nil, mayVote: false)
        group.lostThrough = LostLogTests.lost
        return founded([group], configuration)
    }

    private func group(note: Bytes?, mayVote: Bool) -> RecoveredGroup {
        RecoveredGroup(
            group: .topology, term: Term(1), vote: NodeID(1),
            created: GroupDescriptor(members: ToyNodes.members, preferredLeader: NodeID(1)).encoded(),
            configuration: note, snapshot: nil, entries: [], mayVote: mayVote, mayLead: mayVote)
    }

    private func founded(
        _ groups: [RecoveredGroup], _ configuration: ShardConfiguration = ShardConfiguration()
    ) -> ToyNodes {
        let nodes = ToyNodes(configuration, groups: [NodeID(3): groups])
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

    /// Declares the queue "q"; returns its virtual host.
    private func declareQueue(ledBy leader: NodeID, _ nodes: ToyNodes) throws -> String {
        let name = try #require(nodes[1].topology.virtualHosts.first?.name)
        let declaration = QueueDeclaration(
            vhost: name, name: "q", durable: true, autoDelete: false,
            placement: .quorum(members: ToyNodes.nodes, preferredLeader: leader))
        _ = nodes[1].propose(.declareQueue(declaration), now: nodes.now)
        nodes.settle()
        return name
    }

    /// More than a snapshot of the topology holds, so that there is one.
    private func comeAndGo(_ nodes: ToyNodes) {
        for number in 1...40 {
            _ = nodes[1].propose(.putVirtualHost(VirtualHostRecord(name: "v\(number)")), now: nodes.now)
            nodes.settle()
            _ = nodes[1].propose(.deleteVirtualHost("v\(number)"), now: nodes.now)
            nodes.settle()
        }
        nodes.advance(milliseconds: 2_000)
    }

    private func notes(_ nodes: ToyNodes) throws -> [LogIndex] {
        try (nodes.records[NodeID(3)] ?? []).compactMap { record in
            guard case .configuration(.topology, let bytes) = record else { return nil }
            return try ReplicaNote(decoding: bytes).doubt.lostThrough
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

    /// The leader of a group in which nothing happens learns that the answers count again.
    @Test func itsWordCountsAgainWithoutAnotherEntry() throws {
        let nodes = nodes()
        while try #require(nodes.topology(of: 1)?.commit) < LostLogTests.lost { propose(1, nodes) }
        nodes.advance(milliseconds: 1_000)
        #expect(nodes.topology(of: 3)?.mayVote == true)
        #expect(nodes[1].counted(of: NodeID(3), in: .topology) == nodes.topology(of: 1)?.commit)
    }

    /// A log that once was longer than it will be for a long time: an entry of a later term says as much as one so far
    /// down, and where nothing happens the replica sees to it that there is one.
    @Test func itVotesInAGroupWhereNothingHappens() throws {
        let nodes = nodes()
        nodes.advance(milliseconds: 500)
        #expect(nodes.topology(of: 3)?.mayVote == false)
        let term = try #require(nodes.topology(of: 1)?.term)
        nodes.advance(milliseconds: 2_500)
        let state = try #require(nodes.topology(of: 3))
        #expect(state.mayVote && state.commit < LostLogTests.lost && state.term > term)
        #expect(try notes(nodes) == [LostLogTests.lost, .zero])
        // Nothing of what was there may join what comes.
        let truncations = (nodes.records[NodeID(3)] ?? []).compactMap { record -> LogIndex? in
            if case .truncate(.topology, let from) = record { from } else { nil }
        }
        #expect(truncations == [state.lastIndex.next])
        // Once is enough.
        nodes.advance(milliseconds: 3_000)
        #expect(nodes.topology(of: 3)?.term == state.term)
        nodes.cut(NodeID(1))
        nodes.advance(milliseconds: 1_000)
        #expect(nodes.topology(of: 2)?.isServing == true || nodes.topology(of: 3)?.isServing == true)
    }

    /// The snapshot that makes it whole brings a queue that it is to lead, whose first campaign is a step of its own.
    @Test func aSnapshotThatBringsAQueueToLeadSettlesItNonetheless() throws {
        let configuration = ToyNodes.snapshotsOften
        let nodes = nodes(configuration)
        nodes.cut(NodeID(3))
        propose(1, nodes)
        let name = try declareQueue(ledBy: NodeID(3), nodes)
        comeAndGo(nodes)
        nodes.heal(NodeID(3))
        nodes.advance(milliseconds: 1_000)
        let isInstalled = nodes.events[NodeID(3), default: []].contains {
            if case .snapshotInstalled(.topology, _, _) = $0 { true } else { false }
        }
        #expect(isInstalled && nodes[3].topology.queue("q", vhost: name) != nil)
        #expect(nodes.topology(of: 3)?.mayVote == true)
    }

    /// With one node gone, one in the middle of a transfer and one whole there is a majority: of what the second
    /// acknowledged nothing is missing, and the third has it.
    @Test func anInterruptedTransferCostsNoVote() {
        let nodes = ToyNodes(groups: [
            NodeID(3): [group(note: ReplicaNote(LogDoubt(transferredThrough: LogIndex(100))).encoded(), mayVote: true)]
        ])
        nodes.found()
        nodes.cut(NodeID(2))
        nodes.advance(milliseconds: 1_000)
        #expect(nodes.topology(of: 1)?.isServing == true)
        propose(4, nodes)
        #expect(nodes.topology(of: 1)?.applied == nodes.topology(of: 1)?.commit)
        // It leads when everything that came is known to be committed, not before.
        nodes.heal(NodeID(2))
        nodes.advance(milliseconds: 500)
        nodes.cut(NodeID(1))
        nodes.cut(NodeID(2))
        nodes.advance(milliseconds: 1_000)
        #expect(nodes.topology(of: 3)?.role == .follower)
    }

    /// A crash may come between the snapshot that settles everything and the note of that; nothing else may ever be
    /// committed again.
    @Test func whatASnapshotCoversIsNotInDoubt() throws {
        let configuration = ToyNodes.snapshotsOften
        let nodes = ToyNodes(configuration)
        nodes.found()
        comeAndGo(nodes)
        let snapshot = try #require(nodes.topologySnapshot(of: NodeID(3)))
        func restart(_ doubt: LogDoubt) throws -> (state: ReplicaState, doubts: [LogDoubt]) {
            var group = group(note: ReplicaNote(doubt).encoded(), mayVote: true)
            group.snapshot = snapshot
            let store = RecoveredStore(
                storeID: ToyNodes.store(NodeID(3)), incarnation: Incarnation(2), isFresh: false, mayVote: true,
                groups: [group], removedGroups: [])
            let shard = Shard(
                node: NodeID(3), peers: [NodeID(1), NodeID(2)], recovered: store, configuration: configuration,
                seed: 1, now: nodes.now)
            let records = shard.flush(now: nodes.now, wall: .zero).records
            let doubts = records.compactMap { record -> LogDoubt? in
                guard case .configuration(.topology, let bytes) = record else { return nil }
                return try? ReplicaNote(decoding: bytes).doubt
            }
            return (try #require(shard.replicaState(of: .topology)), doubts)
        }
        for doubt in [LogDoubt(transferredThrough: snapshot.index), LogDoubt(lostThrough: snapshot.index)] {
            let (state, doubts) = try restart(doubt)
            #expect(state.mayVote && state.isJoined && doubts == [.none])
        }
        let (state, doubts) = try restart(LogDoubt(lostThrough: snapshot.index.next))
        #expect(!state.mayVote && doubts.isEmpty)
    }

    /// The records of creation of the topology and of its queues are damaged: the snapshot of the metadata says again
    /// who they are.
    @Test func queuesComeBackWithAMetadataThatLostItsRecordOfCreation() throws {
        let configuration = ToyNodes.snapshotsOften
        let nodes = ToyNodes(configuration)
        nodes.found()
        nodes.advance(milliseconds: 200)
        propose(1, nodes)
        let name = try declareQueue(ledBy: NodeID(1), nodes)
        comeAndGo(nodes)
        let queue = try #require(nodes[3].topology.queue("q", vhost: name)?.group)
        var topology = group(note: nil, mayVote: false)
        topology.created = nil
        topology.snapshot = nodes.topologySnapshot(of: NodeID(3))
        let store = RecoveredStore(
            storeID: ToyNodes.store(NodeID(3)), incarnation: Incarnation(2), isFresh: false, mayVote: true,
            groups: [topology], removedGroups: [])
        let shard = Shard(
            node: NodeID(3), peers: [NodeID(1), NodeID(2)], recovered: store, configuration: configuration, seed: 1,
            now: nodes.now)
        #expect(shard.replicaGroups.isEmpty)
        shard.found(members: ToyNodes.members, now: nodes.now)
        #expect(shard.replicaGroups == [.topology, queue])
    }

    /// The replica of a queue that was created and deleted while its node knew neither, and that its disk holds.
    @Test func aSnapshotThatNeverToldOfAQueueRemovesIt() throws {
        let configuration = ToyNodes.snapshotsOften
        func declared(_ groups: [NodeID: [RecoveredGroup]]) throws -> (ToyNodes, GroupID) {
            let nodes = ToyNodes(configuration, groups: groups)
            nodes.found()
            nodes.advance(milliseconds: 200)
            nodes.cut(NodeID(3))
            propose(1, nodes)
            let name = try declareQueue(ledBy: NodeID(1), nodes)
            let queue = try #require(nodes[1].topology.queue("q", vhost: name)?.group)
            _ = nodes[1].propose(.deleteQueue(vhost: name, name: "q", expected: nil), now: nodes.now)
            comeAndGo(nodes)
            return (nodes, queue)
        }
        let (_, queue) = try declared([:])
        let found = [GroupID.topology, queue].map { id in
            var group = group(note: nil, mayVote: true)
            group.group = id
            return group
        }
        let (nodes, same) = try declared([NodeID(3): found])
        try #require(same == queue && nodes[3].replicaGroups == [.topology, queue])
        nodes.heal(NodeID(3))
        nodes.advance(milliseconds: 1_000)
        #expect(nodes[3].replicaGroups == [.topology])
    }

    // MARK: Notes

    /// It may have said that a transfer was interrupted, or who the members are: what is written in its place must not
    /// say the opposite.
    @Test func aDamagedNoteStaysOneOverStarts() throws {
        var nodes = founded([group(note: Bytes(), mayVote: false)])
        #expect(nodes.topology(of: 3)?.mayVote == false)
        let record = DamagedRecord(.configuration, group: .topology, segment: 1, offset: 0)
        nodes[3].scrubbed(ScrubReport(segment: 1, bytes: 0, records: [record]), now: nodes.now)
        nodes.settle()
        let notes = (nodes.records[NodeID(3)] ?? []).compactMap { record -> Bytes? in
            if case .configuration(.topology, let bytes) = record { bytes } else { nil }
        }
        let note = try #require(notes.last)
        nodes = founded([group(note: note, mayVote: true)])
        // Nor does a later term say who the members are.
        nodes.cut(NodeID(1))
        nodes.advance(milliseconds: 1_000)
        nodes.heal(NodeID(1))
        nodes.advance(milliseconds: 1_000)
        #expect(try #require(nodes.topology(of: 3)?.term) > Term(1))
        propose(20, nodes)
        nodes.advance(milliseconds: 500)
        #expect(try #require(nodes.topology(of: 3)?.applied) >= LogIndex(20))
        #expect(nodes.topology(of: 3)?.mayVote == false)
    }

    /// The replica's own entry of an old branch lies under one that a transfer brought: with its end committed here
    /// all is well, without another start.
    @Test func fallingTermsOfAnInterruptedTransferAreMadeGood() throws {
        var found = group(note: ReplicaNote(LogDoubt(transferredThrough: LogIndex(3))).encoded(), mayVote: true)
        found.term = Term(3)
        found.entries = [(1, 1), (2, 3), (3, 2)].map { index, term in
            EntryLocation(
                group: .topology, index: LogIndex(index), term: Term(term), segment: 1, offset: 0, length: 100,
                checksum: 0)
        }
        let nodes = ToyNodes(groups: [NodeID(3): [found]])
        #expect(nodes.topology(of: 3)?.mayVote == false)
        nodes.found()
        nodes.advance(milliseconds: 200)
        propose(6, nodes)
        nodes.advance(milliseconds: 500)
        #expect(nodes.topology(of: 3)?.mayVote == true)
    }

    /// The same where the transfer's entries have terms that may follow: the log seems whole, the snapshot finds its
    /// last entry there, and yet what lies below may be another branch.
    @Test func aSnapshotOverALogInDoubtIsMarked() throws {
        func installed(over found: RecoveredGroup) throws -> SnapshotMark {
            let nodes = ToyNodes(ToyNodes.snapshotsOften, groups: [NodeID(3): [found]])
            nodes.cut(NodeID(3))
            nodes.found()
            nodes.advance(milliseconds: 200)
            propose(1, nodes)
            comeAndGo(nodes)
            nodes.heal(NodeID(3))
            nodes.advance(milliseconds: 1_000)
            let marks = (nodes.records[NodeID(3)] ?? []).compactMap { record -> SnapshotMark? in
                guard case .snapshotCurrent(let mark) = record, mark.group == .topology else { return nil }
                return mark
            }
            return try #require(marks.first)
        }
        let first = try installed(over: group(note: nil, mayVote: true))
        #expect(first.replacesLog)
        var found = group(
            note: ReplicaNote(LogDoubt(transferredThrough: first.index)).encoded(), mayVote: true)
        found.term = first.term
        found.entries = (1...first.index.rawValue).map { index in
            EntryLocation(
                group: .topology, index: LogIndex(index), term: first.term, segment: 1, offset: 0, length: 100,
                checksum: 0)
        }
        let second = try installed(over: found)
        #expect(second.index == first.index && second.term == first.term && second.replacesLog)
    }
}
