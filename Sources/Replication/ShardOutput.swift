public import LogStore
public import Primitives
public import QueueClient
public import Raft
public import Topology

/// Entries to read back from the node log.
public struct ReadRequest: Sendable {
    /// Names the request in `Shard.readCompleted`.
    public let id: UInt64
    /// Where the entries lie; contiguous by index.
    public let locations: [EntryLocation]
}

/// What a shard asks for at the end of a tick. Nothing in it has happened yet.
public struct ShardOutput: Sendable {
    /// Records for the node log, in order, and the ticket under which their completion is reported.
    public var records: [LogRecord] = []
    /// Names `records` in their completion; 0 when there are none.
    public var ticket: UInt64 = 0
    /// Payloads for peers; those of one peer are in order.
    public var payloads: [(to: NodeID, payload: Bytes)] = []
    /// Messages of leaders, here or elsewhere, for the queue clients of this node.
    public var leaderMessages: [(group: GroupID, from: NodeID, message: LeaderMessage)] = []
    /// Groups whose leader changed, as far as this node knows.
    public var leaderChanges: [(group: GroupID, leader: NodeID?, term: Term)] = []
    /// What the local copy of the topology applied.
    public var topologyApplied: [TopologyApplied] = []
    /// Counters of this node's topology requests whose time is over.
    public var topologyExpired: [UInt64] = []
    /// Messages of other nodes' brokers.
    public var gatewayMessages: [(from: NodeID, payload: Bytes)] = []
    /// Entries to read back; each is answered by `Shard.readCompleted`.
    public var reads: [ReadRequest] = []
    /// States to encode or decode; each is answered by `Shard.snapshotWorked`.
    public var snapshotWork: [SnapshotWork] = []
    /// Places in the node log whose entries are not needed any more.
    public var releases: [SegmentRelease] = []
    /// Events worth a line in the log.
    public var events: [ShardEvent] = []

    /// No work.
    public init() {}

    /// Nothing to do.
    public var isEmpty: Bool {
        records.isEmpty && payloads.isEmpty && leaderMessages.isEmpty && leaderChanges.isEmpty
            && topologyApplied.isEmpty && topologyExpired.isEmpty && gatewayMessages.isEmpty && reads.isEmpty
            && snapshotWork.isEmpty && releases.isEmpty && events.isEmpty
    }
}

/// Something an operator wants to see.
public enum ShardEvent: Equatable, Sendable {
    case becameLeader(GroupID, Term)
    case steppedDown(GroupID, Term)
    case malformedMessage(from: NodeID, String)
    /// A peer is on a store in whose place another has come.
    case foreignStore(node: NodeID, store: StoreID)
    /// A node lost its data directory; the cluster knows it with another from now on.
    case storeReplaced(node: NodeID, by: StoreID)
    /// Another configuration of the group's members is in force, from the entry at this index on.
    case membersChanged(GroupID, LogIndex)
    /// This node lost its data directory and has everything again.
    case rejoined(queues: Int, after: Interval)
    case replicaCreated(GroupID)
    case replicaRemoved(GroupID)
    case readFailed(GroupID, String)
    case violation(GroupID, RaftViolation)
    /// An entry's bytes on this disk are not the entry's; other members are asked.
    case entryDamaged(GroupID, LogIndex, at: EntryLocation?)
    /// A record that is no entry is damaged on this disk; it is written again.
    case recordDamaged(DamagedRecord)
    case entryRepaired(GroupID, LogIndex)
    case snapshotTaken(GroupID, LogIndex)
    case snapshotInstalled(GroupID, LogIndex, from: NodeID)
    /// A snapshot that a leader sent is not one.
    case snapshotRefused(GroupID, from: NodeID, String)
    /// The state is larger than a snapshot may be: the group's log cannot be compacted, and no follower be sent it.
    case snapshotTooLarge(GroupID)
    /// The snapshot on this node's disk cannot be read.
    case snapshotUnreadable(GroupID, String)
}
