public import LogStore
public import Primitives
import QueueClient
import QuorumQueue
package import Raft

// What a group's core asks for, turned into records, messages and work.
extension Shard {
    /// Performs a step of the core and everything it asks for.
    func step(_ replica: Replica, incoming: [Entry] = [], _ body: (inout RaftCore, inout RaftReady) -> Void) {
        ready.removeAll()
        body(&replica.raft, &ready)
        perform(replica, incoming: incoming)
        while let group = suspectedAgain.popLast() {
            if let replica = replicas[group] { leaderSuspected(replica) }
        }
        while let group = permitted.popLast() {
            guard let replica = replicas[group], let leader = replica.knownLeader, leader != node else { continue }
            step(replica) { $0.retransmit(leader, into: &$1) }
        }
    }

    func perform(_ replica: Replica, incoming: [Entry]) {
        if let state = ready.hardState {
            output.records.append(.hardState(group: replica.group, term: state.term, vote: state.vote))
            barriers.add(.hardState(replica.group, state))
        }
        if let from = ready.truncateFrom { truncate(replica, from: from) }
        if let range = ready.persist { takeConfigurations(in: incoming, range, replica) }
        if replica.isNoteStale || replica.configurationIndex != replica.raft.configurationIndex {
            if replica.isNoteStale { writeNote(replica) }
            configurationChanged(replica)
        }
        if let role = ready.role { roleChanged(replica, to: role) }
        if let noop = ready.noopAt {
            replica.noop = noop
            let entry = Entry(
                kind: .noop, group: replica.group, index: noop, term: replica.raft.term,
                timestamp: timestamp(replica), headers: UnsafeRawBufferPointer(start: nil, count: 0),
                bodies: UnsafeRawBufferPointer(start: nil, count: 0))
            append(replica, entry)
        }
        if let range = ready.persist {
            for entry in incoming where range.contains(entry.index) && entry.index == replica.tail.end {
                append(replica, entry)
            }
            barriers.add(
                .entries(
                    replica.group, term: replica.raft.term(at: range.upperBound) ?? replica.raft.term,
                    through: range.upperBound))
            activate(replica)
        }
        for envelope in ready.sendNow { send(envelope.message, to: envelope.to, group: replica.group) }
        for envelope in ready.sendAfterDurable {
            barriers.add(envelope.message, to: envelope.to, group: replica.group)
        }
        for order in ready.appends { send(order, of: replica) }
        for node in ready.snapshotNeeded { offerSnapshot(replica, to: node) }
        if let change = ready.leader { leaderChanged(replica, to: change.leader) }
        // A snapshot of the topology makes replicas, whose own steps take the place of this one's results.
        let (readable, failedReads, violations) = (ready.readable, ready.failedReads, ready.violations)
        let isCommitNew = ready.commit != nil
        if ready.snapshotInstalled != nil { snapshotInstalled(replica) }
        if isCommitNew {
            dropOvertakenSnapshot(replica)
            settleDoubt(replica)
            if replica.awaitsCommit {
                replica.awaitsCommit = false
                note(.committed(replica.group, replica.raft.term))
            }
            replica.lastProgress = now
            enqueue(replica)
            activate(replica)
        }
        readIndexAnswered(
            replica, readable: readable.map { ($0.context, $0.index) }, failed: failedReads)
        for violation in violations { output.events.append(.violation(replica.group, violation)) }
    }

    /// The timestamp of the next entry: never before an earlier one's.
    func timestamp(_ replica: Replica) -> WallTime {
        replica.lastTimestamp = max(replica.lastTimestamp, wall)
        return replica.lastTimestamp
    }

    /// Takes an entry into the log: memory now, disk with this tick's records.
    func append(_ replica: Replica, _ entry: Entry) {
        replica.tail.append(entry)
        replica.lastTimestamp = max(replica.lastTimestamp, entry.header.timestamp)
        cache.added(entry.bytes.count, group: replica.group, index: entry.index)
        barriers.add(entryBytes: entry.bytes.count)
        output.records.append(.entry(entry))
    }

    private func truncate(_ replica: Replica, from index: LogIndex) {
        precondition(index > replica.applied, "an applied entry is never truncated")
        output.records.append(.truncate(group: replica.group, from: index))
        // On the disk the truncation drops what a transfer has brought so far, too.
        dropIncomingSnapshot(replica)
        cache.freed(replica.tail.truncate(from: index))
        barriers.add(.unneeded(replica.locations.truncate(from: index)))
        replica.damaged.forget { $0 >= index }
        if replica.damaged.isEmpty { repairFinished(replica) }
        replica.windows.removeAll()
        guard replica.descriptors.keys.contains(where: { $0 >= index }) else { return }
        replica.descriptors = replica.descriptors.filter { $0.key < index }
        replica.isNoteStale = true
    }

    // MARK: Sending

    func send(_ message: RaftMessage, to node: NodeID, group: GroupID) {
        outboxes[node]?.outbox.append(.raft, group: group) { message.encode(into: &$0) }
    }

    /// Sends an append with its entries, or after they have been read from disk. Appends to one follower stay in order.
    private func send(_ order: AppendOrder, of replica: Replica) {
        // Another store than the member's would be sent the log for nothing.
        guard isMember(order.to, of: replica) else { return }
        guard replica.waitingAppends[order.to]?.isEmpty ?? true else {
            replica.waitingAppends[order.to]?.append(order)
            return
        }
        guard let rest = sendAvailable(order, of: replica) else { return }
        var waiting = Ring<AppendOrder>()
        waiting.append(rest)
        replica.waitingAppends[order.to] = waiting
        goOn(with: rest, of: replica)
    }

    /// Bytes of entries at which a message is closed.
    private static let appendLimit = 1 << 20

    /// Sends what is in memory, in messages of bounded size; returns what is not, or what is too much for the link or
    /// this tick.
    private func sendAvailable(_ order: AppendOrder, of replica: Replica) -> AppendOrder? {
        var rest = order.append
        while true {
            if rest.count > 0 && isFull(order.to) { return AppendOrder(to: order.to, append: rest) }
            var entries: [Entry] = []
            var size = 0
            var index = rest.prevIndex.next
            while index <= rest.lastIndex, size < Shard.appendLimit {
                guard let entry = replica.entry(at: index, for: .follower(order.to)) else { break }
                entries.append(entry)
                size += entry.bytes.count
                index = index.next
            }
            if entries.isEmpty && rest.count > 0 { return AppendOrder(to: order.to, append: rest) }
            guard entries.count < Int(rest.count) else {
                write(rest, entries, size, of: replica, to: order.to)
                return nil
            }
            let parts = rest.split(after: UInt64(entries.count))
            write(parts.first, entries, size, of: replica, to: order.to)
            rest = parts.rest
        }
    }

    private func write(_ append: Append, _ entries: [Entry], _ size: Int, of replica: Replica, to node: NodeID) {
        outboxes[node]?.outbox.append(.raft, group: replica.group, sizeHint: size + 64) {
            RaftMessage.append(append).encode(into: &$0)
            for entry in entries { $0.write(entry.bytes) }
        }
    }

    /// Goes on with the appends that waited for the disk.
    func sendWaitingAppends(_ replica: Replica, to node: NodeID) {
        while let order = replica.waitingAppends[node]?.first {
            replica.waitingAppends[node]?.popFirst()
            guard let rest = sendAvailable(order, of: replica) else { continue }
            replica.waitingAppends[node]?.prepend(rest)
            goOn(with: rest, of: replica)
            return
        }
    }

    /// Whether entries to the peer have to wait: for its link, or for the next tick.
    private func isFull(_ node: NodeID) -> Bool {
        peers[node]?.isBackedUp ?? false || outboxes[node]?.outbox.byteCount ?? 0 >= configuration.tickBytesLimit
    }

    /// Has what an append waits for brought about: the entries, or another tick. A link that can take more says so.
    private func goOn(with rest: AppendOrder, of replica: Replica) {
        guard isFull(rest.to) else {
            read(replica, from: rest.append.prevIndex.next, for: .follower(rest.to))
            return
        }
        postponedAppends.append((replica.group, rest.to))
    }

    /// Goes on with the appends that waited for the link or for another tick.
    func sendPostponedAppends() {
        guard !postponedAppends.isEmpty else { return }
        let due = postponedAppends
        postponedAppends = []
        for (group, node) in due {
            if peers[node]?.isBackedUp ?? false {
                postponedAppends.append((group, node))
            } else if let replica = replicas[group] {
                sendWaitingAppends(replica, to: node)
            }
        }
    }

    /// Clients' commands come first in a tick: where they and appends are more than it takes, every other one is left
    /// to the appends.
    func takeTurns() {
        for peer in peerNodes where !(peers[peer]?.isBackedUp ?? false) {
            let isTurn = peers[peer]?.isAppendsTurn ?? false
            peers[peer]?.isAppendsTurn = !isTurn && postponedAppends.contains { $0.to == peer }
        }
    }

    /// Starts again after what the follower has acknowledged; what still waits for the disk is superseded.
    func retransmit(_ replica: Replica, to node: NodeID) {
        replica.waitingAppends[node] = nil
        step(replica) { $0.retransmit(node, into: &$1) }
    }

    // MARK: Roles

    private func roleChanged(_ replica: Replica, to role: RaftRole) {
        if role == .candidate { note(.campaigned(replica.group, replica.raft.term)) }
        if role == .leader {
            note(.elected(replica.group, replica.raft.term))
            replica.awaitsCommit = true
            replica.lastProgress = now
            replica.port = LeaderPort()
            replica.port?.lead(term: replica.raft.term)
            output.events.append(.becameLeader(replica.group, replica.raft.term))
        } else if replica.port != nil {
            stoppedLeading(replica)
        }
    }

    private func stoppedLeading(_ replica: Replica) {
        var farewells: [(GatewayID, LeaderMessage)] = []
        replica.port?.stepDown(term: replica.raft.term, hint: replica.raft.leader, into: &farewells)
        deliver(farewells, group: replica.group)
        replica.port = nil
        replica.noop = .zero
        replica.awaitsCommit = false
        replica.pending.removeAll()
        replica.waitingAppends.removeAll()
        replica.outgoingSnapshot = nil
        replica.windows = replica.windows.filter { $0.key == .apply }
        endReconciliation(replica)
        output.events.append(.steppedDown(replica.group, replica.raft.term))
        note(.steppedDown(replica.group, replica.raft.term))
    }

    private func leaderChanged(_ replica: Replica, to leader: NodeID?) {
        setLeader(of: replica, from: replica.knownLeader, to: leader)
        if leader == nil { noteLeaderless(replica) } else { noteLed(replica) }
        if leader == nil {
            if replica.campaignAt == nil { scheduleCampaign(replica) }
        } else {
            replica.campaignAt = nil
            // Against a leader that is not believed in, but answers, campaigns go on at their slower and slower pace.
            if leader == node || !(leader.flatMap { peers[$0]?.isSuspected } ?? false) { replica.campaignAttempts = 0 }
        }
        output.leaderChanges.append((replica.group, leader, replica.raft.term))
        if replica.group == .topology { topologyLeaderChanged(leader) }
        // An append that was on its way when its sender died must not bring its leadership back.
        if let leader, leader != node, peers[leader]?.isSuspected ?? false { suspectedAgain.append(replica.group) }
    }

    // MARK: The node log's answers

    /// Records became durable.
    public func logCompleted(_ completions: [LogCompletion], now: Instant) {
        self.now = now
        for completion in completions {
            for location in completion.locations { note(location) }
            let (facts, messages) = barriers.complete(through: completion.ticket)
            for fact in facts {
                switch fact {
                case .entries(let group, let term, let through):
                    guard let replica = replicas[group] else { continue }
                    step(replica) { $0.durable(term: term, through: through, into: &$1) }
                case .hardState(let group, let state):
                    guard let replica = replicas[group] else { continue }
                    step(replica) { $0.durable(hardState: state, into: &$1) }
                case .snapshot(let group):
                    guard let replica = replicas[group] else { continue }
                    snapshotDurable(replica)
                case .installation(let group):
                    guard let replica = replicas[group] else { continue }
                    installDurable(replica)
                case .unneeded(let locations): release(locations)
                case .snapshotPart(let group, let index, let through):
                    guard let replica = replicas[group], let incoming = replica.incomingSnapshot,
                        incoming.name.index == index, incoming.writing?.through == through
                    else { continue }
                    snapshotPartDurable(replica)
                }
            }
            for held in messages { send(held.message, to: held.to, group: held.group) }
        }
    }

    private func note(_ location: EntryLocation) {
        // An entry that was truncated while it was being written must not take the place of its successor.
        guard let replica = replicas[location.group] else { return release(location) }
        if replica.incomingSnapshot?.append(location) ?? false { return }
        if replica.damaged.arrived(location) { return repaired(location, replica) }
        guard replica.raft.term(at: location.index) == location.term else { return release(location) }
        if replica.locations.append(location) { return }
        // A second copy: the first may stand before a truncation that drops it at the next start.
        if let old = replica.locations[location.index], replica.move(old, to: location) {
            release(old)
        } else {
            release(location)
        }
    }

    // MARK: Messages of other cores

    func received(raft content: Bytes, group: GroupID, from node: NodeID) throws(DecodingFailure) {
        let (message, entries) = try Shard.decodeRaft(content, group: group)
        // A message for an unknown group never creates it; but its creation may be committed and not applied yet.
        if replicas[group] == nil { applyTopologySoon() }
        guard let replica = replicas[group] else { return }
        // Whoever asks may know newer members. What is answered counts only from those that this replica knows.
        guard !message.isAnswer || isMember(node, of: replica) else { return }
        receive(message, entries, replica, from: node)
    }

    func receive(_ message: RaftMessage, _ entries: [Entry], _ replica: Replica, from node: NodeID) {
        if case .append = message {
            // Nothing comes between a snapshot's last record and its effect.
            guard replica.incomingSnapshot?.install == nil else {
                replica.incomingSnapshot?.install?.hold(message, entries, from: node)
                return
            }
            if !entries.isEmpty {
                guard barriers.entryBytes <= configuration.backlogLimit else { return }
                activate(replica)
            }
        } else if case .timeoutNow = message, replica.incomingSnapshot?.install != nil {
            return
        } else if case .appendReply = message {
            if replica.raft.configuration.voters.contains(node) { replica.lastProgress = now }
            replica.heard[node] = nil
            if replica.isReconciling { enqueue(replica) }
        }
        let configurations = Shard.configurations(in: entries).map {
            PlacedConfiguration(index: $0.index, configuration: replica.configuration(of: $0.descriptor))
        }
        step(replica, incoming: entries) { $0.receive(message, from: node, configurations: configurations, into: &$1) }
    }

    /// A Raft message and the entries behind it, which must be those that it announces.
    package static func decodeRaft(
        _ content: Bytes, group: GroupID
    ) throws(DecodingFailure) -> (RaftMessage, [Entry]) {
        let (message, offset) = try content.withUnsafeBytes { buffer throws(DecodingFailure) in
            var reader = ByteReader(buffer)
            return (try RaftMessage(decoding: &reader), reader.offset)
        }
        guard case .append(let append) = message else {
            guard offset == content.count else { throw .invalid("raft message length") }
            return (message, [])
        }
        var entries: [Entry] = []
        var start = offset
        while start < content.count {
            let rest = content[start..<content.count]
            let header = try rest.withUnsafeBytes { buffer throws(DecodingFailure) in
                try EntryHeader(decoding: buffer)
            }
            let entry = try Entry(rest[0..<header.encodedLength])
            guard entry.group == group, entry.index == append.prevIndex + UInt64(entries.count + 1),
                entry.term == append.entriesTerm, entry.isIntact
            else { throw .invalid("appended entry") }
            if entry.header.kind == .configuration { _ = try GroupDescriptor(decoding: entry.headers) }
            // A small entry must not keep a large payload alive while it is cached: deliveries may be in it, too.
            entries.append(entry.bytes.count * 4 < entry.bytes.heldByteCount ? entry.compacted() : entry)
            start += header.encodedLength
        }
        guard entries.count == Int(append.count) else { throw .invalid("append entry count") }
        return (message, entries)
    }
}

extension RaftMessage {
    /// Whether it is worth something to the receiver only if the sender is who it is taken for.
    fileprivate var isAnswer: Bool {
        switch self {
        case .preVoteReply, .voteReply, .appendReply: true
        case .preVote, .vote, .append, .timeoutNow, .leaderGone: false
        }
    }
}
