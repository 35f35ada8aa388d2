import LogStore
import Primitives
import QueueClient
import QuorumQueue
import Raft

/// What this node holds of one group: the consensus core, the recent entries, where the others lie, and, for a queue,
/// the state machine. It is touched by its shard only.
final class Replica {
    let group: GroupID
    /// The members at the group's creation.
    let founding: GroupDescriptor
    /// What configuration entries say, by index, as far as the core keeps them.
    var descriptors: [LogIndex: GroupDescriptor]
    /// The members now.
    private(set) var descriptor: GroupDescriptor
    /// The entry that `descriptor` came with.
    private(set) var configurationIndex = LogIndex.zero
    /// The other members, in order.
    private(set) var peers: [NodeID]
    private let node: NodeID
    private let store: StoreID
    var raft: RaftCore
    /// The queue's state; nil for the topology group, whose state the shard holds.
    var queue: QueueMachine?
    /// The disk's snapshot was unreadable: nothing can be applied until a leader's has come.
    var isStateMissing = false

    var tail: EntryTail
    var locations: EntryLocations
    /// Index of the last entry applied to the state machine.
    var applied = LogIndex.zero
    /// Timestamp of the newest entry made or applied here; a leader's entries never run backwards.
    var lastTimestamp = WallTime.zero

    /// Commands of this tick, and of earlier ones while too many entries were on their way.
    var pending = PendingCommands()
    /// Leader only: nothing of its term is committed yet.
    var awaitsCommit = false
    /// Leader only: its side of the queue clients.
    var port: LeaderPort?
    /// Leader only: index of the no-op of the current term; the machine is up to date once it is applied.
    var noop = LogIndex.zero
    /// Leader only: appends whose entries are being read from disk, per follower, in order.
    var waitingAppends = NodeMap<Ring<AppendOrder>>()
    /// What was read from disk for a purpose, and what is being read.
    var windows: [ReadPurpose: ReadWindow] = [:]

    var snapshotPolicy: SnapshotPolicy
    /// The snapshot on the disk is damaged, and another is to take its place as soon as that can be.
    var needsSnapshot = false
    /// A snapshot of this replica's own, on its way to the disk.
    var ownSnapshot: OwnSnapshot?
    /// Leader only: what followers are being sent.
    var outgoingSnapshot: OutgoingSnapshot?
    /// What a leader is sending.
    var incomingSnapshot: IncomingSnapshot?
    /// As the disk has been told.
    var doubt = LogDoubt.none
    /// What is in doubt came in this term at the latest.
    var doubtTerm = Term.zero
    /// Nothing but a doubt that what is committed can settle keeps the replica from voting or leading.
    var waitsForCertainty = false
    var damaged = DamagedEntries()
    /// Nothing but damaged entries keeps the replica from leading.
    var waitsForRepair = false
    /// The note on the disk is not what it should be.
    var isNoteStale = false
    /// Leader only: its members are being changed.
    var isReconciling = false
    /// Leader only: its learners meanwhile.
    var catchUps: [NodeID: CatchUp] = [:]
    /// Leader only: its members are to be changed, once fewer groups are at it.
    var awaitsReconciliation = false

    /// Leader only: when a follower last acknowledged something or nothing was outstanding.
    var lastProgress = Instant.zero
    /// Leader only: requests for counts that are not answered yet.
    var statusContexts: [UInt64] = []
    /// The table of the entry that was last delivered from.
    private var lastTable: (index: LogIndex, term: Term, table: MessageTable)?
    /// When the group last did something; groups with recent traffic are elected first.
    var lastActivity = Instant.zero
    /// The group waits for this moment to campaign; nil while it has a leader.
    var campaignAt: Instant?
    /// It had a leader and knows none now.
    var isLeaderless = false
    /// Campaigns since the group lost its leader.
    var campaignAttempts = 0

    /// The leader as the shard last announced it, and the term of that.
    var knownLeader: NodeID?
    var knownTerm = Term.zero
    /// Leader only: when a follower was last sent something it did not answer.
    var heard = NodeMap<Instant>()

    /// What recovery found is not all applied yet.
    var isCatchingUp = false
    var isQueued = false
    var isActive = false

    /// - Parameter configurations: as noted; those that count.
    init(
        group: GroupID, founding: GroupDescriptor, configurations: [ReplicaNote.Configuration], node: NodeID,
        store: StoreID, restored: RestoredLog, locations: EntryLocations, snapshotThreshold: Int, now: Instant
    ) {
        self.group = group
        self.founding = founding
        self.node = node
        self.store = store
        self.descriptors = Dictionary(
            configurations.map { ($0.index, $0.descriptor) }, uniquingKeysWith: { _, last in last })
        self.descriptor = founding
        self.peers = founding.members.map(\.node).filter { $0 != node }
        var restored = restored
        restored.configurations = configurations.map {
            PlacedConfiguration(index: $0.index, configuration: $0.descriptor.configuration(for: node, store))
        }
        self.raft = RaftCore(
            id: node, group: group, configuration: founding.configuration(for: node, store), restored: restored)
        self.applied = restored.snapshotIndex
        self.tail = EntryTail(next: restored.lastIndex.next)
        self.locations = locations
        self.snapshotPolicy = SnapshotPolicy(threshold: snapshotThreshold, applied: restored.snapshotIndex)
        self.lastActivity = now
        adoptConfiguration()
    }

    /// Goes on by the configuration of the core.
    func adoptConfiguration() {
        configurationIndex = raft.configurationIndex
        descriptor = descriptor(at: configurationIndex)
        peers = descriptor.members.map(\.node).filter { $0 != node }
        // Should the newest snapshot be damaged, a start falls back on the one before: what was in force there is
        // noted, too.
        let first = raft.configurations[0].index
        let oldest = descriptors.keys.filter { $0 < first }.max() ?? first
        descriptors = descriptors.filter { $0.key >= oldest }
    }

    /// What the configuration entry at `index` says.
    func descriptor(at index: LogIndex) -> GroupDescriptor { descriptors[index] ?? founding }

    /// The members that are in force once the log is applied up to `index`, which is not below its base.
    func descriptor(appliedThrough index: LogIndex) -> GroupDescriptor {
        descriptor(at: raft.configuration(at: index).index)
    }

    /// The core's view of a descriptor.
    func configuration(of descriptor: GroupDescriptor) -> RaftConfiguration {
        descriptor.configuration(for: node, store)
    }

    /// Whether this replica is a voter of the configuration in force.
    var isVoter: Bool { descriptor.member(node) == GroupDescriptor.Member(node: node, store: store) }
    /// Nobody else votes.
    var isAlone: Bool { isVoter && raft.configuration.voters.count == 1 }

    var isLeader: Bool { raft.role == .leader }
    /// A leader that has applied the no-op of its term knows everything that was ever confirmed.
    var isServing: Bool { isLeader && noop > .zero && applied >= noop }
    var quorum: Int { raft.configuration.quorum }

    /// The state needs no entry's body any more.
    var refersToNothing: Bool { queue.map(\.isEmpty) ?? (group == .topology) }
    /// Leader: the last index that every follower is known to have. Otherwise the log's last: nobody waits for it.
    var heldByFollowers: LogIndex {
        guard isLeader else { return raft.lastIndex }
        return peers.reduce(raft.lastIndex) { min($0, match(of: $1)) }
    }
    /// Leader only: the last index known to be durable at a follower.
    func match(of node: NodeID) -> LogIndex { raft.progress(of: node)?.match ?? .zero }

    func table(of entry: Entry) -> MessageTable {
        if let lastTable, lastTable.index == entry.index, lastTable.term == entry.term { return lastTable.table }
        let table = MessageTable(entry)
        lastTable = (entry.index, entry.term, table)
        return table
    }

    func entry(at index: LogIndex, for purpose: ReadPurpose) -> Entry? {
        tail[index] ?? windows[purpose]?[index]
    }
}

/// Why entries are read back from disk. Each purpose has a window of its own, so that they do not evict one another.
enum ReadPurpose: Hashable {
    case apply
    case delivery
    case follower(NodeID)
    /// Live entries of a snapshot, above an index.
    case snapshot(to: NodeID, after: LogIndex)
    /// Entries that another member's disk lost.
    case repair(of: NodeID)
    /// Whether what is counted on is there.
    case verification
}

/// Entries read from disk.
struct ReadWindow {
    /// Ascending by index, with gaps.
    private var entries: [Entry] = []
    /// The read that is under way; the answer to any other is out of date.
    var reading: UInt64?
    /// After a read that failed: none before this.
    var retryAt = Instant.zero

    subscript(index: LogIndex) -> Entry? {
        guard let first = entries.first?.index, index >= first else { return nil }
        // Mostly there are no gaps.
        let distance = Int(clamping: index - first)
        if distance < entries.count && entries[distance].index == index { return entries[distance] }
        var low = 0
        var high = min(distance, entries.count)
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].index < index { low = middle + 1 } else { high = middle }
        }
        return low < entries.count && entries[low].index == index ? entries[low] : nil
    }

    mutating func fill(_ entries: [Entry]) {
        reading = nil
        self.entries = entries
    }
}
