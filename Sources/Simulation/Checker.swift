import LogStore
import Primitives
import QuorumQueue
import Raft
import Replication
import Topology

/// Watches every step of every process, and knows what must never happen. The first broken invariant ends the
/// simulation.
final class Checker {
    struct GroupTerm: Hashable {
        var group: GroupID
        var term: Term
    }

    struct Ballot: Hashable {
        var group: GroupID
        var term: Term
        var voter: StoreID
    }

    struct EntryName: Hashable {
        var group: GroupID
        var index: LogIndex
        var term: Term

        /// Groups and terms are few: one mixed number is as good as three, and is hashed in a third of the time.
        func hash(into hasher: inout Hasher) {
            hasher.combine(index.rawValue ^ group.rawValue << 40 ^ term.rawValue << 52)
        }
    }

    struct Replica: Hashable {
        var node: NodeID
        var group: GroupID

        func hash(into hasher: inout Hasher) { hasher.combine(group.rawValue << 8 ^ UInt64(node.rawValue)) }
    }

    /// What a replica said to others and so must still know after a crash.
    struct Promise {
        var term = Term.zero
        var acknowledged = LogIndex.zero
        var acknowledgedTerm = Term.zero
    }

    /// A committed entry.
    struct Committed {
        var term: Term
        /// The term of the replica that was first seen to know of the commit: a leader of a later term must have the
        /// entry.
        var seenIn: Term
        /// CRC32C of the whole entry, once it was applied somewhere.
        var checksum: UInt32?
    }

    unowned let simulation: Simulation
    var leaders: [GroupTerm: NodeID] = [:]
    var votes: [Ballot: NodeID] = [:]
    /// The highest index acknowledged by a store, as far as it counts.
    var acknowledgements: [Acknowledger: LogIndex] = [:]
    /// The members that committed entries brought, by group, ascending.
    var configurations: [GroupID: [GroupConfiguration]] = [:]
    var entries: [EntryName: (checksum: UInt32, previous: Term?)] = [:]
    /// Entries that nobody was seen to apply: who does may have no copy any more by then that can be read.
    var unapplied: [EntryName: Entry] = [:]
    var promises: [Replica: Promise] = [:]
    /// Per group, from index 1.
    var committed: [GroupID: [Committed]] = [:]
    /// What each living replica was seen to be at last.
    var seen: [Replica: ReplicaState] = [:]
    /// Leaders that have committed nothing in their term.
    var uncommitted: Set<Replica> = []
    /// What is on the disks of the logs of living processes; see `DiskLog`.
    var disks: [NodeID: DiskLog] = [:]
    /// By group, the newest leadership and what has moved it.
    var reigns: [GroupID: Reign] = [:]
    var removed: Set<GroupID> = []
    var models: [GroupID: QueueModel] = [:]
    var topology = Topology()
    var topologyApplied = LogIndex.zero
    var elections: UInt64 = 0
    var repairs: UInt64 = 0
    var snapshots: (taken: UInt64, installed: UInt64) = (0, 0)

    struct Published {
        var group: GroupID
        var stamp: MessageStamp
        var isConfirmed = false
        var isReceived = false
        var isReceivedFresh = false
    }

    /// By number of the message, from 1.
    var published: [Published] = []
    var publishers: [(group: GroupID, count: UInt64)] = []
    var confirmedCount: UInt64 = 0

    init(_ simulation: Simulation) { self.simulation = simulation }

    func fail(_ invariant: String, _ detail: String) { simulation.fail(invariant, detail) }

    // MARK: Processes

    /// A process has recovered its store: what it promised before must be in it.
    func recovered(_ node: NodeID, _ store: RecoveredStore) {
        if !store.mayVote {
            guard simulation.lostNode == node else { return fail("recovery", "\(node) lost records to a crash") }
            // It does not vote any more, and nobody counts on what it has acknowledged.
            forgetPromises(of: node)
        }
        disks[node] = DiskLog(store)
        let metadata = Checker.metadata(in: store)
        for (group, promise) in promisesOf(node) {
            guard let found = store.groups.first(where: { $0.group == group }) else {
                // Once a snapshot of the metadata knows that a queue was deleted, the disk need not say so.
                let isRemoved = store.removedGroups.contains(group) || metadata?.isDeleted(group) ?? false
                if !isRemoved && (promise.term > .zero || promise.acknowledged > .zero) {
                    fail("durable ⊇ acknowledged", "\(node) lost its replica of \(group)")
                }
                continue
            }
            let noted = found.configuration.flatMap { try? ReplicaNote(decoding: $0) }?.doubt ?? .none
            // The first transfer to an empty log that a crash interrupts looks like a log that lost its beginning.
            let isTransfer = found.lostThrough > .zero && noted.transferredThrough > .zero
            if !found.mayLead && !isTransfer && !simulation.suspects.contains(node) {
                fail("recovery", "\(node) found damage in \(group)")
            }
            if found.term < promise.term {
                fail("durable ⊇ acknowledged", "\(node) spoke in \(promise.term) of \(group), recovered \(found.term)")
            }
            if let vote = votes[Ballot(group: group, term: found.term, voter: store.storeID)], found.vote != vote {
                fail("vote uniqueness", "\(node) forgot its vote for \(vote) in \(found.term) of \(group)")
            }
            guard promise.acknowledged > .zero, noted.lostThrough == .zero, found.mayVote else { continue }
            if noted.transferredThrough > .zero { checkBound(of: promise, in: found, at: node); continue }
            let index = promise.acknowledged
            let base = found.snapshot?.index ?? .zero
            // Up to a snapshot everything was committed.
            guard index > base else { continue }
            let term = index <= found.lastIndex ? found.entries[Int(index - base) - 1].term : nil
            if term != promise.acknowledgedTerm {
                fail(
                    "durable ⊇ acknowledged",
                    "\(node) acknowledged \(index) of \(promise.acknowledgedTerm) in \(group), recovered "
                        + (term.map { "\($0) there" } ?? "up to \(found.lastIndex)"))
            }
        }
        for group in [GroupID.topology] + committed.keys.sorted() {
            seen[Replica(node: node, group: group)] = nil
        }
    }

    private static func metadata(in store: RecoveredStore) -> Topology? {
        guard let snapshot = store.groups.first(where: { $0.group == .topology })?.snapshot,
            let state = try? LZ4Frame.decompress(snapshot.bytes, limit: 1 << 30)
        else { return nil }
        return try? Topology(snapshot: state)
    }

    func forgetPromises(of node: NodeID) {
        for (group, _) in promisesOf(node) { promises[Replica(node: node, group: group)] = nil }
    }

    private func promisesOf(_ node: NodeID) -> [(GroupID, Promise)] {
        promises.filter { $0.key.node == node }.map { ($0.key.group, $0.value) }.sorted { $0.0 < $1.0 }
    }

    /// A tick of a process has ended with this output, of which nothing has happened yet.
    func observe(_ process: SimulatedProcess, _ output: ShardOutput) {
        var truncated: [GroupID: LogIndex] = [:]
        for record in output.records {
            guard case .truncate(let group, let from) = record else { continue }
            truncated[group] = min(truncated[group] ?? from, from)
            checkTruncation(process, group, from)
        }
        stage(process, output)
        for record in output.records {
            switch record {
            case .entry(let entry): appended(process, entry, isCertain: truncated[entry.group] == nil)
            case .truncate(let group, let from):
                if seen[Replica(node: process.node, group: group)]?.configurationIndex ?? .zero >= from {
                    simulation.coverage.add(.truncatedConfiguration)
                }
                lowerPromise(Replica(node: process.node, group: group), below: from)
            case .groupRemoved(let group, _): forget(group, at: process.node)
            default: break
            }
        }
        for (to, payload) in output.payloads {
            for item in PeerPayloadItem.items(of: payload) where item.kind == .raft {
                sent(item, from: process, to: to, truncated: truncated[item.group])
            }
        }
        for event in output.events { observe(event, process) }
        for group in process.shard.replicaGroups {
            guard let state = process.shard.replicaState(of: group) else { continue }
            let replica = Replica(node: process.node, group: group)
            let before = seen.updateValue(state, forKey: replica)
            if state != before { advance(process, state, from: before) }
        }
    }

    func forget(_ group: GroupID, at node: NodeID) {
        removed.insert(group)
        promises[Replica(node: node, group: group)] = nil
        seen[Replica(node: node, group: group)] = nil
    }

    // MARK: Raft

    /// - Parameter isCertain: what precedes the entry is still what preceded it when it was appended.
    private func appended(_ process: SimulatedProcess, _ entry: Entry, isCertain: Bool) {
        // What came with a snapshot is not of the replica's own log; after a start among it, it may stand in there, and
        // above the commit index nothing says what joins until everything that came is known to be committed.
        let state = process.shard.replicaState(of: entry.group)
        let isCounted = state.map { $0.mayVote && $0.isJoined || entry.index <= $0.commit.next } ?? false
        let isOwn = isCounted && process.shard.term(of: entry.group, at: entry.index) == entry.term
        let previous = isCertain && isOwn ? process.shard.term(of: entry.group, at: entry.index - 1) : nil
        let name = EntryName(group: entry.group, index: entry.index, term: entry.term)
        guard let known = entries[name] else {
            entries[name] = (entry.header.checksum, previous)
            unapplied[name] = entry
            return
        }
        if known.checksum != entry.header.checksum {
            fail("log matching", "\(process.node) has another \(name.index) of \(name.term) in \(name.group)")
        }
        guard let previous else { return }
        if let expected = known.previous, expected != previous {
            fail(
                "log matching",
                "before \(name.index) of \(name.term) in \(name.group) \(process.node) has one of \(previous), "
                    + "another replica one of \(expected)")
        }
        entries[name]?.previous = previous
    }

    private func lowerPromise(_ replica: Replica, below index: LogIndex) {
        guard let promise = promises[replica], promise.acknowledged >= index else { return }
        // What lies below was durable with it; it is not followed entry by entry.
        promises[replica]?.acknowledged = .zero
    }

    private func sent(_ item: PeerPayloadItem, from process: SimulatedProcess, to node: NodeID, truncated: LogIndex?) {
        let message: RaftMessage? = item.content.withUnsafeBytes { buffer in
            var reader = ByteReader(buffer)
            return try? RaftMessage(decoding: &reader)
        }
        guard let message else { return fail("peer protocol", "\(process.node) sent what cannot be read") }
        simulation.trace.tell("\(process.node) to \(node), \(item.group): \(message)")
        let replica = Replica(node: process.node, group: item.group)
        var revealed = Term.zero
        switch message {
        case .preVote, .preVoteReply: break
        case .vote(let vote):
            revealed = vote.term
            voted(item.group, vote.term, voter: process, for: process.node)
            // Long after it was asked to, if its disk is slow.
            if vote.isTransfer { reigns[item.group]?.movedAt = simulation.now }
        case .voteReply(let reply):
            revealed = reply.term
            if reply.isGranted { voted(item.group, reply.term, voter: process, for: node) }
        case .append(let append): revealed = append.term
        case .appendReply(let reply):
            revealed = reply.term
            acknowledged(reply, by: process, in: item.group)
            let isThere = truncated.map { reply.index < $0 } ?? true
            if isThere { checkAcknowledgement(reply, of: process, in: item.group) }
            if reply.isAccepted, isThere, reply.index > promises[replica]?.acknowledged ?? .zero,
                let term = process.shard.term(of: item.group, at: reply.index)
            {
                promises[replica, default: Promise()].acknowledged = reply.index
                promises[replica, default: Promise()].acknowledgedTerm = term
            }
        case .timeoutNow(let term):
            revealed = term
            reigns[item.group]?.movedAt = simulation.now
            simulation.coverage.add(.transfer)
        case .leaderGone(let term):
            revealed = term
            // A replica in doubt has the group go on in another term.
            if let reign = reigns[item.group], reign.term < term { reigns[item.group]?.movedAt = simulation.now }
        }
        // What was waiting for the disk when the group was deleted promises nothing.
        guard process.shard.replicaState(of: item.group) != nil else { return }
        if revealed > promises[replica]?.term ?? .zero { promises[replica, default: Promise()].term = revealed }
    }

    private func voted(_ group: GroupID, _ term: Term, voter: SimulatedProcess, for candidate: NodeID) {
        let ballot = Ballot(group: group, term: term, voter: voter.shard.store)
        if let known = votes[ballot], known != candidate {
            fail("vote uniqueness", "\(voter.node) voted for \(known) and for \(candidate) in \(term) of \(group)")
        }
        votes[ballot] = candidate
    }

    func becameLeader(_ process: SimulatedProcess, _ group: GroupID, _ term: Term) {
        elections += 1
        simulation.trace.tell("\(process.node) leads \(group) in \(term)")
        checkCause(process, group, term)
        let name = GroupTerm(group: group, term: term)
        if let known = leaders[name] {
            fail("one leader per term", "\(known) and \(process.node) lead \(group) in \(term)")
        }
        leaders[name] = process.node
        // A group that was deleted in the same tick has no log any more.
        guard let state = process.shard.replicaState(of: group) else { return }
        checkElection(process, state, in: term)
        let base = Int(process.shard.base(of: group).rawValue)
        for (place, entry) in (committed[group] ?? []).enumerated() where place >= base && entry.seenIn < term {
            let index = LogIndex(UInt64(place) + 1)
            let own = process.shard.term(of: group, at: index)
            guard own == entry.term else {
                fail(
                    "leader completeness",
                    "\(process.node) leads \(group) in \(term) without committed \(index) of \(entry.term); it has "
                        + (own.map { "\($0)" } ?? "nothing"))
                return
            }
        }
        uncommitted.insert(Replica(node: process.node, group: group))
        simulation.leaderAdvanced(process, isFirstCommit: false)
    }

    // MARK: Commits

    private func advance(_ process: SimulatedProcess, _ state: ReplicaState, from before: ReplicaState?) {
        let group = state.group
        if let before {
            if state.term < before.term { fail("monotone term", "\(process.node) in \(group)") }
            if state.commit < before.commit { fail("monotone commit", "\(process.node) in \(group)") }
            if state.applied < before.applied { fail("monotone apply", "\(process.node) in \(group)") }
        }
        if state.role == .leader, let before, before.role == .leader, before.term == state.term,
            state.commit > before.commit, process.shard.term(of: group, at: state.commit) != state.term
        {
            fail(
                "commit rule",
                "\(process.node) leads \(group) in \(state.term), commits \(state.commit) of an earlier term by itself"
            )
        }
        if state.role == .leader, let before, state.commit > before.commit,
            uncommitted.remove(Replica(node: process.node, group: group)) != nil
        {
            simulation.leaderAdvanced(process, isFirstCommit: true)
        }
        if let before {
            checkCommit(process, state, from: before)
            if before.role == .leader, state.role != .leader, state.term == before.term {
                reigns[group]?.resigned(process.node, in: state.term)
            }
        }
        if state.applied > state.commit { fail("apply after commit", "\(process.node) in \(group)") }
        var list: [Committed] = []
        swap(&list, &committed[group, default: []])
        let base = process.shard.base(of: group)
        if base.rawValue > UInt64(list.count) {
            fail("snapshot", "\(process.node) has one of \(group) at \(base), committed is \(list.count)")
            return
        }
        var index = max(before?.commit ?? .zero, base).next
        while index <= state.commit {
            let term = process.shard.term(of: group, at: index) ?? .zero
            let place = Int(index.rawValue) - 1
            if place < list.count {
                if list[place].term != term {
                    fail(
                        "state machine safety",
                        "\(process.node) commits \(index) of \(term) in \(group), committed was that of "
                            + "\(list[place].term)")
                }
            } else {
                list.append(Committed(term: term, seenIn: state.term))
            }
            index = index.next
        }
        index = max(before?.applied ?? .zero, base).next
        while index <= state.applied && simulation.failure == nil {
            applied(process, group, index, &list[Int(index.rawValue) - 1])
            index = index.next
        }
        committed[group] = list
        checkConfigurations(process, state, from: before)
    }

    private func applied(
        _ process: SimulatedProcess, _ group: GroupID, _ index: LogIndex, _ committed: inout Committed
    ) {
        let checksum: UInt32
        if let location = process.shard.location(of: group, at: index) {
            checksum = location.checksum
        } else if let entry = process.shard.entryInMemory(of: group, at: index) {
            checksum = CRC32C.checksum(entry.bytes)
        } else {
            return fail("checker", "\(process.node) applied \(index) of \(group), which cannot be found")
        }
        if let known = committed.checksum {
            if known != checksum {
                fail("state machine safety", "\(process.node) applied another \(index) of \(group)")
            }
            return
        }
        committed.checksum = checksum
        let name = EntryName(group: group, index: index, term: committed.term)
        guard let entry = unapplied.removeValue(forKey: name) else {
            return fail("checker", "\(process.node) applied \(index) of \(group), which nobody appended")
        }
        if group == .topology {
            _ = topology.apply(entry)
            topologyApplied = index
        } else {
            apply(entry)
        }
    }

    private func apply(_ entry: Entry) {
        let group = entry.group
        var model = models.removeValue(forKey: group) ?? QueueModel(group)
        model.apply(entry) { stamp in
            stamp.message >= 1 && stamp.message <= published.count && published[Int(stamp.message) - 1].stamp == stamp
                && published[Int(stamp.message) - 1].group == group
        }
        if entry.index.rawValue % 256 == 0 { model.compareAll() }
        if let fault = model.fault { fail(fault.invariant, fault.detail) }
        models[group] = model
    }
}
