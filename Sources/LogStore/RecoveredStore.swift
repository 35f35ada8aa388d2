public import Primitives

/// The current snapshot of a group's machine.
public struct RecoveredSnapshot: Sendable {
    /// The last entry that it includes.
    public var index: LogIndex
    /// The term of that entry.
    public var term: Term
    /// The machine's state, as it was staged in chunks.
    public var bytes: Bytes
    /// The entries up to `index` that the state refers to: ascending, disjoint.
    public var live: [ClosedRange<LogIndex>]

    /// A snapshot with this content.
    public init(index: LogIndex, term: Term, bytes: Bytes, live: [ClosedRange<LogIndex>]) {
        self.index = index
        self.term = term
        self.bytes = bytes
        self.live = live
    }
}

/// What the log of one group held when the store was opened.
public struct RecoveredGroup: Sendable {
    /// Whose log it is.
    public var group: GroupID
    /// Highest term recorded; zero when there was none.
    public var term: Term
    /// The vote given in `term`.
    public var vote: NodeID?
    /// The parameters of the newest `groupCreated` record.
    public var created: Bytes?
    /// The newest configuration record; empty when it is damaged.
    public var configuration: Bytes?
    /// The current snapshot; nil when there is none.
    public var snapshot: RecoveredSnapshot?
    /// The entries up to the snapshot's index that its state refers to, ascending by index, with gaps.
    public var retained: [EntryLocation] = []
    /// Indices, ascending, that the snapshot's state refers to and whose entries were not found. A peer has them;
    /// staged again, they are repaired.
    public var missing: [LogIndex] = []
    /// The entries behind the snapshot, contiguous by index, from the one after the snapshot's index on; from index 1
    /// when there is no snapshot, unless records were lost.
    public var entries: [EntryLocation]
    /// Indices, ascending, of entries whose bytes are damaged: term, length and checksum in `entries` are right, a peer
    /// has the bytes. Staged again with the same index and term, an entry is repaired.
    public var damaged: [LogIndex]
    /// False when records may be missing whose very identity is lost: a vote could then be a second one in its term.
    public var mayVote: Bool
    /// False as long as entries are damaged or records may be missing.
    public var mayLead: Bool
    /// When the group has lost its vote only because a part of its log is missing whose extent is known: nothing behind
    /// this index ever was in it. Zero otherwise.
    public var lostThrough = LogIndex.zero

    /// A group with this content.
    package init(
        group: GroupID, term: Term, vote: NodeID?, created: Bytes?, configuration: Bytes?, snapshot: RecoveredSnapshot?,
        retained: [EntryLocation] = [], missing: [LogIndex] = [], entries: [EntryLocation], damaged: [LogIndex] = [],
        mayVote: Bool = true, mayLead: Bool = true
    ) {
        self.group = group
        self.term = term
        self.vote = vote
        self.created = created
        self.configuration = configuration
        self.snapshot = snapshot
        self.retained = retained
        self.missing = missing
        self.entries = entries
        self.damaged = damaged
        self.mayVote = mayVote
        self.mayLead = mayLead
    }

    /// Index of the last entry, or of the snapshot when no entry is behind it; zero without both.
    public var lastIndex: LogIndex { entries.last?.index ?? snapshot?.index ?? .zero }
}

/// What `NodeLog.open` found.
public struct RecoveredStore: Sendable {
    /// The identity of this data directory.
    public var storeID: StoreID
    /// The number of this start, already durable.
    public var incarnation: Incarnation
    /// No record was ever made durable here, so nothing was ever promised: the node may take part in a bootstrap.
    public var isFresh: Bool
    /// False when records may be missing whose very identity is lost. It holds for groups that are not listed, too.
    public var mayVote: Bool
    /// The groups, ascending by id.
    public var groups: [RecoveredGroup]
    /// Groups that were removed, ascending by id.
    public var removedGroups: [GroupID]
    /// What recovery read and met.
    public var report: RecoveryReport

    /// A store with this content.
    package init(
        storeID: StoreID, incarnation: Incarnation, isFresh: Bool, mayVote: Bool, groups: [RecoveredGroup],
        removedGroups: [GroupID], report: RecoveryReport = RecoveryReport()
    ) {
        self.storeID = storeID
        self.incarnation = incarnation
        self.isFresh = isFresh
        self.mayVote = mayVote
        self.groups = groups
        self.removedGroups = removedGroups
        self.report = report
    }
}

/// What recovery read and met, for the log and for metrics.
public struct RecoveryReport: Hashable, Sendable {
    /// Segments that hold frames.
    public var segments = 0
    /// Segments of which only the footer was read.
    public var sealedSegments = 0
    /// Frames met, whole or damaged.
    public var frames = 0
    /// Records in them; each entry counts.
    public var records = 0
    /// Bytes read from the disk.
    public var bytesRead = 0
    /// Bytes of a torn tail: written, but never confirmed to anybody.
    public var tornBytes = 0
    /// Records whose bytes are damaged and whose identity is known.
    public var damagedRecords = 0
    /// Frames of which not even the identity of the records is known.
    public var lostFrames = 0
    /// Frames whose directory was taken from the copy in the next one.
    public var repeatedDirectories = 0
    /// Segments that the log has left and whose footer is damaged: their frames were read instead.
    public var damagedFooters = 0
    /// Reads that the device refused, tried again in vain.
    public var readErrors = 0
    /// Whether the log ended with the mark of an orderly stop.
    public var cleanStop = false

    /// Nothing read, nothing met.
    public init() {}
}

/// How far the opening of a store has come.
public struct OpeningProgress: Hashable, Sendable {
    /// Segments read.
    public var segments: Int
    /// Segments that there are.
    public var of: Int
    /// Bytes read.
    public var bytesRead: Int
}
