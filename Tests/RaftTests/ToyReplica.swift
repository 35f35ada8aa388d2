import Primitives
import Raft

/// An entry of the toy cluster: 0 is a no-op, everything else is unique.
struct ToyEntry: Hashable {
    var term: Term
    var value: UInt64
    /// The configuration that the entry brings, if it does.
    var configuration: RaftConfiguration?
}

extension [ToyEntry] {
    /// The configurations among the entries, the first of which is at `index`.
    func configurations(from index: LogIndex) -> [PlacedConfiguration] {
        enumerated().compactMap { offset, entry in
            entry.configuration.map { PlacedConfiguration(index: index + UInt64(offset), configuration: $0) }
        }
    }
}

/// A snapshot: the state machine of the toy cluster is the list of what it has applied.
struct ToySnapshot: Hashable {
    /// Everything up to the snapshot's index.
    var entries: [ToyEntry]

    var index: LogIndex { LogIndex(UInt64(entries.count)) }
    /// The last configuration; nil for the founding one.
    var configuration: PlacedConfiguration? { entries.configurations(from: LogIndex(1)).last }
    var term: Term { entries.last?.term ?? .zero }
}

/// A snapshot under way from a leader, or being installed.
struct SnapshotEnvelope: Hashable {
    var from: NodeID
    var to: NodeID
    var leaderTerm: Term
    var snapshot: ToySnapshot
}

/// What one ready hands to the disk, or the record that makes a snapshot current.
struct DiskWrite {
    var hardState: HardState?
    var truncateFrom: LogIndex?
    var first: LogIndex?
    var entries: [ToyEntry] = []
    /// Leaves when the write is done.
    var messages: [RaftOutgoing] = []
    /// A snapshot that becomes current.
    var snapshot: ToySnapshot?
    /// Where that snapshot came from; nil for the node's own.
    var received: SnapshotEnvelope?
}

/// What a disk holds once it is synced.
struct ToyDisk {
    var hardState = HardState()
    /// The entry at index i is at i - 1. Those up to `snapshotIndex` are the snapshot's.
    var log: [ToyEntry] = []
    var snapshotIndex = LogIndex.zero

    func holds(_ entry: ToyEntry, at index: LogIndex) -> Bool {
        index.rawValue >= 1 && index.rawValue <= UInt64(log.count) && log[Int(index.rawValue) - 1] == entry
    }

    /// The current snapshot.
    var snapshot: ToySnapshot { ToySnapshot(entries: Array(log.prefix(Int(snapshotIndex.rawValue)))) }

    mutating func apply(_ write: DiskWrite) {
        if let hardState = write.hardState { self.hardState = hardState }
        if let from = write.truncateFrom, from.rawValue <= UInt64(log.count) {
            log.removeSubrange((Int(from.rawValue) - 1)...)
        }
        if let snapshot = write.snapshot, snapshot.index > snapshotIndex {
            log = snapshot.entries + log.dropFirst(snapshot.entries.count)
            snapshotIndex = snapshot.index
        }
        if let first = write.first {
            precondition(first.rawValue == UInt64(log.count) + 1, "a gap on disk")
            precondition(first > snapshotIndex, "an entry that the snapshot covers")
            log += write.entries
        }
    }

    var restored: RestoredLog {
        var runs: [TermRun] = []
        for (position, entry) in log.enumerated().dropFirst(Int(snapshotIndex.rawValue))
        where runs.last?.term != entry.term {
            runs.append(TermRun(first: LogIndex(UInt64(position) + 1), term: entry.term))
        }
        return RestoredLog(
            hardState: hardState, termRuns: runs, lastIndex: LogIndex(UInt64(log.count)),
            snapshotIndex: snapshotIndex, snapshotTerm: snapshot.term,
            configurations: log.configurations(from: LogIndex(1)))
    }
}

/// One node: the core, the entries in memory, a disk with unfinished writes.
struct ToyReplica {
    var core: RaftCore
    /// The configuration without any entry: that of the group's creation, as far as this replica can know it.
    var founding: RaftConfiguration
    /// The entry at index i is at i - 1. Those up to the core's base stand for the state machine.
    var log: [ToyEntry]
    var disk: ToyDisk
    var writes: [DiskWrite] = []
    var isUp = true
    /// The commit index as its readies told it.
    var knownCommit: LogIndex
    /// A received snapshot becomes current on disk: the core gets no append meanwhile.
    var isInstalling: Bool { writes.contains { $0.received != nil } }

    init(
        id: NodeID, group: GroupID, founding: RaftConfiguration, disk: ToyDisk, mayVote: Bool = true,
        isJoined: Bool = true, mayLead: Bool = true
    ) {
        var restored = disk.restored
        restored.mayVote = mayVote
        restored.isJoined = isJoined
        restored.mayLead = mayLead
        core = RaftCore(id: id, group: group, configuration: founding, restored: restored)
        self.founding = founding
        log = disk.log
        knownCommit = disk.snapshotIndex
        self.disk = disk
    }
}

/// A message under way, with the entries whose bytes the caller of the core would attach.
struct Envelope {
    var from: NodeID
    var to: NodeID
    var message: RaftMessage
    var entries: [ToyEntry] = []

    /// The configurations among the entries.
    var configurations: [PlacedConfiguration] {
        guard case .append(let append) = message else { return [] }
        return entries.configurations(from: append.prevIndex.next)
    }
}
