public import Primitives

/// A message between the replicas of one group. Group and sender travel in the envelope, which is the caller's.
///
/// Messages may be lost, repeated, delayed and reordered; none of that breaks safety. See `RaftCore` for what brings
/// progress back.
public enum RaftMessage: Hashable, Sendable {
    /// Would you vote for me? Changes no one's term.
    case preVote(PreVote)
    case preVoteReply(VoteReply)
    /// Vote for me.
    case vote(Vote)
    case voteReply(VoteReply)
    /// Entries, commit index, rank and read round of a leader; without entries it is a heartbeat or a probe.
    case append(Append)
    case appendReply(AppendReply)
    /// The leader of this term asks the receiver to campaign at once: a leadership transfer (thesis, section 3.10).
    case timeoutNow(Term)
    /// The sender led in this term and has stepped down.
    case leaderGone(Term)
}

/// A question before an election (thesis, section 9.6).
public struct PreVote: Hashable, Sendable {
    /// The term that the sender would campaign in: its own plus one.
    public var term: Term
    /// The last index of the sender's log.
    public var lastIndex: LogIndex
    /// The term of the entry there.
    public var lastTerm: Term
    /// The sender's successor rank; it breaks ties between two that ask at the same time.
    public var rank: UInt8

    /// A question with all its fields.
    public init(term: Term, lastIndex: LogIndex, lastTerm: Term, rank: UInt8) {
        self.term = term
        self.lastIndex = lastIndex
        self.lastTerm = lastTerm
        self.rank = rank
    }
}

/// A request for a vote (Raft paper, section 5.2). It leaves only when the sender's own vote is durable.
public struct Vote: Hashable, Sendable {
    /// The term that the sender campaigns in.
    public var term: Term
    /// The last index of the sender's log.
    public var lastIndex: LogIndex
    /// The term of the entry there.
    public var lastTerm: Term
    /// The old leader asked for this election: voters do not hold on to it.
    public var isTransfer: Bool

    /// A request with all its fields.
    public init(term: Term, lastIndex: LogIndex, lastTerm: Term, isTransfer: Bool) {
        self.term = term
        self.lastIndex = lastIndex
        self.lastTerm = lastTerm
        self.isTransfer = isTransfer
    }
}

/// The answer to `preVote` and to `vote`.
public struct VoteReply: Hashable, Sendable {
    /// The term asked for when a pre-vote is granted, else the sender's own term.
    public var term: Term
    /// Whether the sender says yes.
    public var isGranted: Bool

    /// An answer with all its fields.
    public init(term: Term, isGranted: Bool) {
        self.term = term
        self.isGranted = isGranted
    }
}

/// The head of an AppendEntries request (Raft paper, section 5.3).
///
/// Its entries are those at `prevIndex + 1 ... prevIndex + count`, all of one term (a leader ends a message where the
/// term changes). Their bytes follow the message and are the caller's.
public struct Append: Hashable, Sendable {
    /// The leader's term.
    public var term: Term
    /// The index that the entries follow; the receiver must have it in `prevTerm`.
    public var prevIndex: LogIndex
    /// The term of the entry at `prevIndex`; zero at index 0.
    public var prevTerm: Term
    /// The leader's commit index; the receiver clamps it to what it has verified.
    public var commit: LogIndex
    /// Entries that follow, at most `RaftLimits.entriesPerAppend`; 0 for a heartbeat.
    public var count: UInt64
    /// The term of each of the `count` entries; zero when there are none.
    public var entriesTerm: Term
    /// The receiver's place in the succession, 0 first; `Append.noRank` when it has none.
    public var rank: UInt8
    /// The read round to echo; 0 for none.
    public var readContext: UInt64

    /// No place in the succession.
    public static let noRank: UInt8 = 255

    /// An append; the defaults are those of a heartbeat.
    public init(
        term: Term, prevIndex: LogIndex, prevTerm: Term, commit: LogIndex, count: UInt64 = 0,
        entriesTerm: Term = .zero, rank: UInt8 = Append.noRank, readContext: UInt64 = 0
    ) {
        self.term = term
        self.prevIndex = prevIndex
        self.prevTerm = prevTerm
        self.commit = commit
        self.count = count
        self.entriesTerm = entriesTerm
        self.rank = rank
        self.readContext = readContext
    }

    /// The index of the last entry; `prevIndex` when there is none.
    public var lastIndex: LogIndex { prevIndex + count }

    /// The indices whose bytes follow; nil when there are none.
    public var entries: ClosedRange<LogIndex>? { count == 0 ? nil : prevIndex.next...lastIndex }

    /// The same append as two, to bound the bytes of a message: the first `count` entries, and the rest.
    ///
    /// The core need not know: replies name indices, not messages.
    /// - Precondition: `count` is in `1..<self.count`.
    public func split(after count: UInt64) -> (first: Append, rest: Append) {
        precondition(count > 0 && count < self.count)
        var first = self
        var rest = self
        first.count = count
        rest.prevIndex = prevIndex + count
        rest.prevTerm = entriesTerm
        rest.count = self.count - count
        return (first, rest)
    }
}

/// The answer to an append. It speaks of durable entries only, so it is sent when they are.
public struct AppendReply: Hashable, Sendable {
    /// The sender's term.
    public var term: Term
    /// Whether the sender's log matches the leader's at `prevIndex`.
    public var isAccepted: Bool
    /// Accepted: the last index that is both durable here and known to match the leader's log. Rejected: the
    /// `prevIndex` refused.
    public var index: LogIndex
    /// Accepted: the last index known to match, durable or not. Rejected: where to look next, the last index here whose
    /// term is not above `prevTerm`.
    public var hintIndex: LogIndex
    /// Rejected: the term at `hintIndex`. Accepted: zero.
    public var hintTerm: Term
    /// The read round of the append; 0 for none.
    public var readContext: UInt64
    /// False: the sender's store lost records (`RestoredLog.mayVote`). Its answer steers replication, and no quorum
    /// counts it.
    public var mayVote: Bool

    /// An answer with all its fields.
    public init(
        term: Term, isAccepted: Bool, index: LogIndex, hintIndex: LogIndex, hintTerm: Term = .zero,
        readContext: UInt64 = 0, mayVote: Bool = true
    ) {
        self.term = term
        self.isAccepted = isAccepted
        self.index = index
        self.hintIndex = hintIndex
        self.hintTerm = hintTerm
        self.readContext = readContext
        self.mayVote = mayVote
    }
}
