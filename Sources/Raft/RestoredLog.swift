public import Primitives

/// A stretch of the log: the entries from `first` on have `term`, until the next run begins.
public struct TermRun: Hashable, Sendable {
    /// The first index of the run.
    public var first: LogIndex
    /// The term of its entries.
    public var term: Term

    /// A run that begins at `first`.
    public init(first: LogIndex, term: Term) {
        self.first = first
        self.term = term
    }
}

/// What recovery found on disk for a group: all of it durable.
public struct RestoredLog: Sendable {
    /// Term and vote; at least the term of the last entry.
    public var hardState: HardState
    /// The terms of the entries after `snapshotIndex`, both fields ascending; empty when there are none.
    public var termRuns: [TermRun]
    /// The last entry on disk; `snapshotIndex` when there is none.
    public var lastIndex: LogIndex
    /// The last index that a snapshot covers; zero without a snapshot.
    public var snapshotIndex: LogIndex
    /// The term of the entry at `snapshotIndex`; zero without a snapshot.
    public var snapshotTerm: Term
    /// The configurations that entries brought, ascending by index: of those that the snapshot covers the last one at
    /// least, and all behind it.
    public var configurations: [PlacedConfiguration]
    /// False when the hard state or the log's identity is in doubt: records that were once durable may be gone. Such a
    /// replica follows; it neither votes nor campaigns, and **no quorum counts what it acknowledges** or echoes.
    ///
    /// Not voting is not enough. A vote also promises to take nothing from leaders of earlier terms, and a replica that
    /// forgot the vote forgot that promise. Of three, n1 leads in term 1; n3 asks n2 for its vote in term 2 and gets
    /// it; n2 loses the record and restarts in term 1. It takes an entry from n1, truly has it on disk, and says so. If
    /// n1 counted that, it would commit and confirm the entry, while n3 leads in term 2 without it, and overwrites it.
    /// Likewise n2's echo would confirm a read of n1 that misses what n3 has committed. So its answers say what
    /// they are worth (`AppendReply.mayVote`): they steer replication and count for nothing, as if it were down.
    ///
    /// Nor does a matching (index, term) vouch for what is below it in such a log. Where a truncation and the entries
    /// that followed it are lost, old entries lie under newer ones in an order that no leader ever had. So it refuses
    /// appends that join above what appends of this life, from the snapshot on and without a gap, have gone over.
    public var mayVote: Bool
    /// False when a crash interrupted a transfer: entries of a snapshot, all of them committed, stand among the log's
    /// own, and nobody can tell where the two join. Such a replica votes by its last entry as found, which is no less
    /// than what it ever acknowledged: an acknowledged entry that is committed is neither contradicted by a committed
    /// one nor by a leader that followed, so it is still there, and terms ascend. It never campaigns, and refuses
    /// appends that join above what appends of this life have gone over; what it acknowledges of those counts.
    public var isJoined: Bool
    /// False while entries are damaged: such a replica follows and votes by the identities it knows, and never
    /// campaigns.
    public var mayLead: Bool

    /// A log as recovered; the defaults are those of a new group.
    public init(
        hardState: HardState = HardState(), termRuns: [TermRun] = [], lastIndex: LogIndex = .zero,
        snapshotIndex: LogIndex = .zero, snapshotTerm: Term = .zero,
        configurations: [PlacedConfiguration] = [], mayVote: Bool = true, isJoined: Bool = true,
        mayLead: Bool = true
    ) {
        self.hardState = hardState
        self.termRuns = termRuns
        self.lastIndex = lastIndex
        self.snapshotIndex = snapshotIndex
        self.snapshotTerm = snapshotTerm
        self.configurations = configurations
        self.mayVote = mayVote
        self.isJoined = isJoined
        self.mayLead = mayLead
    }
}
