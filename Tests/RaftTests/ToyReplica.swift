import Primitives
import Raft

/// An entry of the toy cluster: 0 is a no-op, everything else is unique.
struct ToyEntry: Hashable {
    var term: Term
    var value: UInt64
}

/// What one ready hands to the disk.
struct DiskWrite {
    var hardState: HardState?
    var truncateFrom: LogIndex?
    var first: LogIndex?
    var entries: [ToyEntry] = []
    /// Leaves when the write is done.
    var messages: [RaftOutgoing] = []
}

/// What a disk holds once it is synced.
struct ToyDisk {
    var hardState = HardState()
    /// The entry at index i is at i - 1.
    var log: [ToyEntry] = []

    func holds(_ entry: ToyEntry, at index: LogIndex) -> Bool {
        index.rawValue >= 1 && index.rawValue <= UInt64(log.count) && log[Int(index.rawValue) - 1] == entry
    }

    mutating func apply(_ write: DiskWrite) {
        if let hardState = write.hardState { self.hardState = hardState }
        if let from = write.truncateFrom, from.rawValue <= UInt64(log.count) {
            log.removeSubrange((Int(from.rawValue) - 1)...)
        }
        if let first = write.first {
            precondition(first.rawValue == UInt64(log.count) + 1, "a gap on disk")
            log += write.entries
        }
    }

    var restored: RestoredLog {
        var runs: [TermRun] = []
        for (position, entry) in log.enumerated() where runs.last?.term != entry.term {
            runs.append(TermRun(first: LogIndex(UInt64(position) + 1), term: entry.term))
        }
        return RestoredLog(hardState: hardState, termRuns: runs, lastIndex: LogIndex(UInt64(log.count)))
    }
}

/// One node: the core, the entries in memory, a disk with unfinished writes.
struct ToyReplica {
    var core: RaftCore
    var log: [ToyEntry]
    var disk: ToyDisk
    var writes: [DiskWrite] = []
    var isUp = true
    /// The commit index as its readies told it.
    var knownCommit = LogIndex.zero

    init(id: NodeID, group: GroupID, voters: [NodeID], disk: ToyDisk, mayVote: Bool = true, mayLead: Bool = true) {
        var restored = disk.restored
        restored.mayVote = mayVote
        restored.mayLead = mayLead
        core = RaftCore(
            id: id, group: group, configuration: RaftConfiguration(voters: voters), restored: restored)
        log = disk.log
        self.disk = disk
    }
}

/// A message under way, with the entries whose bytes the caller of the core would attach.
struct Envelope {
    var from: NodeID
    var to: NodeID
    var message: RaftMessage
    var entries: [ToyEntry] = []
}
