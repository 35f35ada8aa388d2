public import Primitives
import Raft

/// A bug that the simulator can put into a cluster, to show that it would find it.
public enum PlantedBug: String, CaseIterable, Sendable {
    /// Term and vote never reach the disk: a restarted node votes a second time in a term.
    case voteNotPersisted = "vote-not-persisted"
    /// A leader commits entries of earlier terms once a quorum has them (figure 8 of the Raft paper).
    case commitOldTermByCounting = "commit-old-term-by-counting"
    /// Records count as durable when they are handed to the disk, before fdatasync returned.
    case ackBeforeFsync = "ack-before-fsync"
    /// A snapshot holds the queue's messages and not its sessions, so that what clients send again is new to it.
    case snapshotForgetsSessions = "snapshot-forgets-sessions"
    /// A snapshot does not name the last of the entries that its state refers to.
    case liveEntryDropped = "live-entry-dropped"
    /// A segment's footer is on the disk before the last frame that it vouches for.
    case footerBeforeData = "footer-before-data"
    /// Relocated copies count as durable before fdatasync returned, so that their segment goes too early.
    case relocationBeforeFsync = "relocation-before-fsync"
    /// A start takes damage for a torn tail: from the first bad frame on the log is cut.
    case damageCut = "damage-cut"
    /// A store that has lost records votes and leads as if nothing had happened.
    case lostRecordsVote = "lost-records-vote"
    /// After a failed fdatasync the next one counts for what the first was to bring to the disk.
    case failedSyncRetried = "failed-sync-retried"
    /// A start does not write the last frame once more: what the page cache shows counts as durable.
    case pageCacheTrusted = "page-cache-trusted"
    /// A new leader changes the members before it has committed an entry of its term (the bug of July 2015).
    case changeBeforeBarrier = "change-before-barrier"
    /// A leader changes the members while the change before is not committed.
    case twoChangesAtOnce = "two-changes-at-once"
    /// A learner counts when entries are committed.
    case learnerCounts = "learner-counts"
    /// A leader that its group's members do not include any more counts itself.
    case removedLeaderCountsItself = "removed-leader-counts-itself"
    /// An empty store counts as the one that was lost.
    case emptyStoreVotes = "empty-store-votes"
}

extension PlantedBug {
    /// As a bug of the Raft core, when it is one.
    var raftBug: RaftBug? {
        switch self {
        case .commitOldTermByCounting: .countsEarlierTerms
        case .changeBeforeBarrier: .changesBeforeBarrier
        case .twoChangesAtOnce: .changesTwice
        case .learnerCounts: .countsLearners
        case .removedLeaderCountsItself: .countsItselfRemoved
        default: nil
        }
    }
}

/// What one simulation is to do. Equal options give equal simulations, on every machine.
public struct SimulationOptions: Sendable {
    /// The source of all chance.
    public var seed: UInt64
    /// How long faults and load last; the final phase without faults comes on top.
    public var duration: Interval
    /// The bug to put in.
    public var plant: PlantedBug?
    /// The damaged node may lose what no copy makes good, and with it its vote for good; it may if a bug needs it, too.
    public var losesRecords: Bool
    /// Called with each line of the trace, when set.
    public var traceLine: (@Sendable (String) -> Void)?

    /// A run of `seed`; a minute under faults unless told otherwise.
    public init(
        seed: UInt64, duration: Interval = .seconds(60), plant: PlantedBug? = nil, losesRecords: Bool = false,
        traceLine: (@Sendable (String) -> Void)? = nil
    ) {
        self.seed = seed
        self.duration = duration
        self.plant = plant
        self.losesRecords = losesRecords || plant == .lostRecordsVote
        self.traceLine = traceLine
    }
}

/// A broken invariant.
public struct SimulationFailure: Hashable, Sendable {
    /// The invariant's name.
    public var invariant: String
    /// What was seen.
    public var detail: String
    /// When, on the virtual clock.
    public var time: Instant
}

/// What came of one simulation.
public struct SimulationResult: Sendable {
    /// The seed that was run.
    public var seed: UInt64
    /// A digest of everything that happened, in order.
    public var hash: UInt64
    /// Calls of clients.
    public var operations: UInt64
    /// Leaderships won.
    public var elections: UInt64
    /// Processes that crashed.
    public var crashes: UInt64
    /// Snapshots that replicas took of themselves.
    public var snapshotsTaken: UInt64
    /// Snapshots that followers were sent.
    public var snapshotsInstalled: UInt64
    /// Log segments whose files were given up.
    public var segmentsRetired: UInt64
    /// Damaged entries that were fetched from other nodes.
    public var repairs: UInt64
    /// Messages confirmed to publishers.
    public var confirmed: UInt64
    /// Events of the virtual clock.
    public var events: UInt64
    /// The virtual time that passed.
    public var simulated: Interval
    /// How often rare paths of the storage were reached.
    public var coverage: Coverage
    /// The first broken invariant; nil when all held.
    public var failure: SimulationFailure?
}
