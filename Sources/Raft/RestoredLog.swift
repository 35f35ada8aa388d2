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
    /// False when the hard state or the log's identity is in doubt: such a replica follows, and neither votes nor
    /// campaigns.
    public var mayVote: Bool
    /// False while entries are damaged: such a replica follows and votes by the identities it knows, and never
    /// campaigns.
    public var mayLead: Bool

    /// A log as recovered; the defaults are those of a new group.
    public init(
        hardState: HardState = HardState(), termRuns: [TermRun] = [], lastIndex: LogIndex = .zero,
        snapshotIndex: LogIndex = .zero, snapshotTerm: Term = .zero, mayVote: Bool = true, mayLead: Bool = true
    ) {
        self.hardState = hardState
        self.termRuns = termRuns
        self.lastIndex = lastIndex
        self.snapshotIndex = snapshotIndex
        self.snapshotTerm = snapshotTerm
        self.mayVote = mayVote
        self.mayLead = mayLead
    }
}
