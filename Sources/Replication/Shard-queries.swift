public import Primitives
import QuorumQueue
import Raft

/// What this node knows of one group.
public struct GroupStatus: Hashable, Sendable {
    /// The group.
    public var group: GroupID
    /// The leader, as far as this node knows.
    public var leader: NodeID?
    /// All members, in order.
    public var members: [NodeID]
    /// The term of this replica.
    public var term: Term
    /// The last index of its log.
    public var lastIndex: LogIndex
    /// The last index that it knows to be committed.
    public var commit: LogIndex
    /// The last index that its state machine has seen.
    public var applied: LogIndex
    /// Of a queue, as far as applied here.
    public var messagesReady: Int
    /// Messages that consumers hold.
    public var messagesUnacknowledged: Int
    /// Attached consumers.
    public var consumers: Int
}

extension Shard {
    /// The state of a group's replica here; nil when there is none.
    public func status(of group: GroupID) -> GroupStatus? {
        guard let replica = replicas[group] else { return nil }
        return GroupStatus(
            group: group, leader: replica.knownLeader, members: replica.descriptor.members.map(\.node),
            term: replica.raft.term, lastIndex: replica.raft.lastIndex, commit: replica.raft.commit,
            applied: replica.applied, messagesReady: replica.queue?.messagesReady ?? 0,
            messagesUnacknowledged: replica.queue?.messagesUnacknowledged ?? 0,
            consumers: replica.queue?.consumerCount ?? 0)
    }

    /// The groups that would be without a majority if this node stopped, ascending: the other voters that are heard, on
    /// the data directories that they are known with, are too few.
    public var groupsThatNeedThisNode: [GroupID] {
        groups.filter { group in
            guard let replica = replicas[group] else { return false }
            let voters = replica.raft.configuration.voters
            return voters.contains(node)
                && upVoters(of: replica, among: voters.filter { $0 != node }) < replica.quorum
        }
    }

    /// The nodes that are heard, this one included, ascending.
    public var liveNodes: [NodeID] { ([node] + peerNodes.filter { peers[$0]?.isUp ?? false }).sorted() }
}
