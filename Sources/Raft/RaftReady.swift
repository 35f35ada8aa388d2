public import Primitives

/// An append for `to`. The caller attaches the bytes of `append.entries`; it may send at once, before its own disk has
/// them.
public struct AppendOrder: Hashable, Sendable {
    /// The receiver.
    public var to: NodeID
    /// The head of the message, which names its entries.
    public var append: Append

    /// An append for a node.
    public init(to: NodeID, append: Append) {
        self.to = to
        self.append = append
    }
}

/// A message for `to`.
public struct RaftOutgoing: Hashable, Sendable {
    /// The receiver.
    public var to: NodeID
    /// The whole message: no bytes are to be attached.
    public var message: RaftMessage

    /// A message for a node.
    public init(to: NodeID, message: RaftMessage) {
        self.to = to
        self.message = message
    }
}

/// Who leads the group, as far as this replica knows.
public struct LeaderChange: Hashable, Sendable {
    /// Nil: nobody is known to lead; the caller's campaign timer runs.
    public var leader: NodeID?
    /// The term it leads in, or in which the leader is unknown.
    public var term: Term

    /// A leader, or none, in a term.
    public init(leader: NodeID?, term: Term) {
        self.leader = leader
        self.term = term
    }
}

/// A confirmed read: whatever was committed before `readIndex(context:)` is at or below `index`.
public struct ReadableIndex: Hashable, Sendable {
    /// The caller's own context.
    public var context: UInt64
    /// Serve the read when the machine has applied this index.
    public var index: LogIndex

    /// An answer to a read.
    public init(context: UInt64, index: LogIndex) {
        self.context = context
        self.index = index
    }
}

/// A peer did what Raft rules out: its disk lost what it had promised to keep, or it is not the node that it says it
/// is. The message was ignored; log it loudly.
public enum RaftViolation: Hashable, Sendable {
    /// `node` claims to lead in a term that has another leader.
    case secondLeader(node: NodeID, term: Term)
    /// `node`, as leader, contradicts an entry committed here.
    case conflictBelowCommit(node: NodeID, index: LogIndex)
    /// `node` acknowledges an index that this leader does not have.
    case acknowledgedBeyondLog(node: NodeID, index: LogIndex)
}

/// What the caller must do after an input. Owned and reused by the caller: inputs append to it, `removeAll()` keeps the
/// memory.
///
/// Order of work:
/// 1. Drop the log's suffix from `truncateFrom`, in memory and (by a record) on disk; make the no-op for `noopAt`.
/// 2. Hand `hardState`, the truncation and the entries of `persist` to the disk. **What a group hands over must become
///    durable in the order in which it was handed over.**
/// 3. Send `sendNow` and `appends` at once, in parallel with the disk.
/// 4. When the disk has `hardState` and `persist`, both: call `durable(hardState:into:)` first, then
///    `durable(term:through:into:)` with the last index and its term, and send `sendAfterDurable`. Each hardState must
///    be reported, or a later one.
/// 5. Start the state machine over if `snapshotInstalled`, then apply up to `commit`, serve `readable`, fail
///    `failedReads`.
/// 6. Send snapshots to the nodes of `snapshotNeeded`.
///
/// Several `propose`, `durable` and `readIndex` inputs may share a ready. After a `receive` work it off before the next
/// `receive` into it, as `persist` and `truncateFrom` refer to the entries attached to that one message.
public struct RaftReady: Sendable {
    /// Term and vote to make durable. Repeated when messages depend on it and it is not known to be durable yet.
    public var hardState: HardState?
    /// Drop the log from here on; always above the commit index, always with a `persist` that starts at or below it.
    public var truncateFrom: LogIndex?
    /// Entries new to this log, to write. A follower takes them from the message just received, a leader from its
    /// proposals.
    public var persist: ClosedRange<LogIndex>?
    /// Of `persist`, the index of the no-op of a new leader's term (`RaftCore.term`): the caller makes the entry.
    public var noopAt: LogIndex?
    /// Messages that depend on nothing unwritten.
    public var sendNow: [RaftOutgoing] = []
    /// Messages that must not leave before all of this ready is durable.
    public var sendAfterDurable: [RaftOutgoing] = []
    /// Appends, with and without entries; the bytes are the caller's to attach.
    public var appends: [AppendOrder] = []
    /// The new commit index; it may be ahead of what is durable here.
    public var commit: LogIndex?
    /// The new role.
    public var role: RaftRole?
    /// The new leader, or that there is none. If it is a node the caller holds to be down, it calls `leaderSuspected`
    /// again.
    public var leader: LeaderChange?
    /// Confirmed reads.
    public var readable: [ReadableIndex] = []
    /// Contexts of reads that cannot be confirmed here: not the leader, or no longer.
    public var failedReads: [UInt64] = []
    /// Followers that only a snapshot can help, at or above `RaftCore.baseIndex`: the caller sends its newest. Each is
    /// named again while that has not helped (by `retransmit`, or when it asks for votes): go on with a transfer that
    /// runs, begin anew where it may have been lost. End by `snapshotFailed` what cannot be completed.
    public var snapshotNeeded: [NodeID] = []
    /// The snapshot up to this index has taken the place of the log up to there: the state machine starts over from it.
    public var snapshotInstalled: LogIndex?
    /// With `snapshotInstalled`: the entries from here on, the index behind the snapshot, went too. They are to be
    /// dropped from memory; on disk they went before (`RaftCore.keepsSuffix`).
    public var snapshotDroppedFrom: LogIndex?
    /// What a peer did wrong.
    public var violations: [RaftViolation] = []

    /// Nothing to do.
    public init() {}

    /// Whether there is nothing to do.
    public var isEmpty: Bool {
        hardState == nil && truncateFrom == nil && persist == nil && commit == nil && role == nil && leader == nil
            && sendNow.isEmpty && sendAfterDurable.isEmpty && appends.isEmpty && readable.isEmpty
            && failedReads.isEmpty && snapshotNeeded.isEmpty && snapshotInstalled == nil && violations.isEmpty
    }

    /// Empties the ready and keeps its memory.
    public mutating func removeAll() {
        hardState = nil
        truncateFrom = nil
        persist = nil
        noopAt = nil
        sendNow.removeAll(keepingCapacity: true)
        sendAfterDurable.removeAll(keepingCapacity: true)
        appends.removeAll(keepingCapacity: true)
        commit = nil
        role = nil
        leader = nil
        readable.removeAll(keepingCapacity: true)
        failedReads.removeAll(keepingCapacity: true)
        snapshotNeeded.removeAll(keepingCapacity: true)
        snapshotInstalled = nil
        snapshotDroppedFrom = nil
        violations.removeAll(keepingCapacity: true)
    }

    /// Names a follower once, however many inputs share this ready.
    mutating func addSnapshotNeeded(_ node: NodeID) {
        if !snapshotNeeded.contains(node) { snapshotNeeded.append(node) }
    }

    /// Notes entries appended at the end of the log.
    mutating func addPersist(_ range: ClosedRange<LogIndex>) {
        guard let earlier = persist else {
            persist = range
            return
        }
        precondition(earlier.upperBound.next == range.lowerBound, "a gap between entries to persist")
        persist = earlier.lowerBound...range.upperBound
    }

    /// Notes a truncation, and forgets entries noted before it that it drops.
    mutating func addTruncate(from index: LogIndex) {
        if let earlier = persist, earlier.upperBound >= index {
            persist = earlier.lowerBound < index ? earlier.lowerBound...(index - 1) : nil
        }
        if let noop = noopAt, noop >= index { noopAt = nil }
        truncateFrom = min(truncateFrom ?? index, index)
    }
}
