package import LogStore
package import Primitives
package import QuorumQueue
package import Raft

/// What a checker wants to know of one replica after each step.
package struct ReplicaState: Hashable, Sendable {
    package var group: GroupID
    package var term: Term
    package var vote: NodeID?
    package var role: RaftRole
    package var leader: NodeID?
    package var lastIndex: LogIndex
    package var commit: LogIndex
    package var applied: LogIndex
    /// It leads and has applied the no-op of its term.
    package var isServing: Bool
    /// The entry that the configuration in force came with.
    package var configurationIndex: LogIndex
    /// A voter of it.
    package var isVoter: Bool
    /// The last entry on its disk.
    package var durable: LogIndex
    /// What it says counts: no records of it are lost or in doubt.
    package var mayVote: Bool
    /// No crash left entries of a transfer among those of its log.
    package var isJoined: Bool
}

/// Members of a group from an entry on.
package struct GroupConfiguration: Hashable, Sendable {
    package var index: LogIndex
    package var descriptor: GroupDescriptor
}

// What a checker may look at, and the one switch that breaks a rule on purpose. Production calls none of it.
extension Shard {
    /// The groups that have a replica here, ascending.
    package var replicaGroups: [GroupID] { groups }

    package func replicaState(of group: GroupID) -> ReplicaState? {
        guard let replica = replicas[group] else { return nil }
        return ReplicaState(
            group: group, term: replica.raft.term, vote: replica.raft.vote, role: replica.raft.role,
            leader: replica.knownLeader, lastIndex: replica.raft.lastIndex, commit: replica.raft.commit,
            applied: replica.applied, isServing: replica.isServing, configurationIndex: replica.configurationIndex,
            isVoter: replica.isVoter, durable: replica.raft.durableIndex, mayVote: replica.raft.mayVoteNow,
            isJoined: !replica.waitsForCertainty)
    }

    /// The configurations of the group's log, ascending; the first is in force at its base, the last now.
    package func configurations(of group: GroupID) -> [GroupConfiguration] {
        guard let replica = replicas[group] else { return [] }
        return replica.raft.configurations.map {
            GroupConfiguration(index: $0.index, descriptor: replica.descriptor(at: $0.index))
        }
    }

    /// The node came back without its data, or in the middle of its way back.
    package var isRejoining: Bool { rejoiningSince != nil }

    /// Leader only: how much a member has durable, as far as its word counts.
    package func counted(of member: NodeID, in group: GroupID) -> LogIndex? {
        replicas[group]?.raft.progress(of: member)?.counted
    }

    /// Has the leader of a group let a member go, which it takes in again at once: for simulations of the machinery.
    package func dismiss(_ member: NodeID, from group: GroupID) {
        guard let replica = replicas[group], replica.isServing || replica.raft.bug == .changesBeforeBarrier,
            replica.descriptor.member(member) != nil
        else { return }
        var next = replica.descriptor
        next.members.removeAll { $0.node == member }
        change(replica, to: next)
        considerMembers(replica)
    }

    /// Has the leader of a group hand it over to a member, or, with nil, go on leading: for simulations of the
    /// machinery.
    package func transfer(_ group: GroupID, to member: NodeID?) {
        guard let replica = replicas[group], replica.isLeader else { return }
        guard let member else {
            replica.raft.abortTransfer()
            return enqueue(replica)
        }
        step(replica) { _ = $0.transfer(to: member, into: &$1) }
    }

    /// Puts a bug in; see `RaftBug`.
    package func plant(_ bug: RaftBug) {
        for group in groups { replicas[group]?.raft.bug = bug }
    }

    /// Puts a bug in; see `QueueBug`.
    package func plant(_ bug: QueueBug) {
        for group in groups { replicas[group]?.queue?.bug = bug }
    }

    /// Takes any store of a node for the member, from now on.
    package func takeAnyStore() { takesAnyStore = true }

    /// The term of an entry of the group's log; nil beyond the log.
    package func term(of group: GroupID, at index: LogIndex) -> Term? { replicas[group]?.raft.term(at: index) }

    /// The last entry that the group's newest snapshot covers; zero without one.
    package func base(of group: GroupID) -> LogIndex { replicas[group]?.locations.base ?? .zero }

    /// The entries that the group's machine refers to and that are neither in memory nor on the disk.
    package func missingEntries(of group: GroupID) -> [LogIndex] {
        guard let replica = replicas[group], let machine = replica.queue else { return [] }
        var missing: [LogIndex] = []
        for range in machine.liveIndices {
            for index in range.lowerBound.rawValue...range.upperBound.rawValue {
                let index = LogIndex(index)
                if replica.locations[index] == nil && replica.tail[index] == nil { missing.append(index) }
            }
        }
        return missing
    }

    /// The entry, when it is in memory.
    package func entryInMemory(of group: GroupID, at index: LogIndex) -> Entry? {
        replicas[group]?.entry(at: index, for: .apply)
    }

    /// Where all entries of the group lie.
    package func locations(of group: GroupID) -> [EntryLocation] {
        var found: [EntryLocation] = []
        replicas[group]?.locations.forEach { found.append($0) }
        return found
    }

    /// Where the entry lies on disk, once it is durable.
    package func location(of group: GroupID, at index: LogIndex) -> EntryLocation? { replicas[group]?.locations[index] }

    /// Whether the entry may still be asked for.
    package func isOwed(_ location: EntryLocation) -> Bool { replicas[location.group]?.isOwed(location.index) ?? false }

    /// The queue's state machine.
    package func machine(of group: GroupID) -> QueueMachine? { replicas[group]?.queue }
}

extension Replica {
    /// Up to where entries may be applied: the commit index, unless a planted bug says otherwise.
    var applicableIndex: LogIndex {
        raft.bug == .appliesUncommitted && isLeader ? raft.lastIndex : raft.commit
    }
}

/// One message of a peer payload, for a network that looks into what it carries.
package struct PeerPayloadItem: Sendable {
    package var kind: PeerMessageKind
    package var group: GroupID
    package var content: Bytes
    /// The message with its head: a payload of its own.
    package var payload: Bytes

    /// The messages of a payload, in order; those behind a malformed one are left out.
    package static func items(of payload: Bytes) -> [PeerPayloadItem] {
        var items: [PeerPayloadItem] = []
        var reader = PeerPayloadReader(payload)
        var start = 0
        while let message = try? reader.next() {
            let end = start + PeerPayloadItem.headLength + message.content.count
            items.append(
                PeerPayloadItem(
                    kind: message.kind, group: message.group, content: message.content, payload: payload[start..<end]))
            start = end
        }
        return items
    }

    private static let headLength = 13
}
