public import Primitives

/// What a leader knows of one other member.
public struct FollowerProgress: Hashable, Sendable {
    /// The last index known to be durable there.
    public var match: LogIndex
    /// `match` as far as a quorum may count it: acknowledged while the follower's word counted
    /// (`RestoredLog.mayVote`).
    public var counted: LogIndex
    /// The next index to send.
    public var next: LogIndex
    /// One append at a time, until the follower accepts one; else appends are pipelined.
    public var isProbing: Bool
    /// It needs a snapshot, up to this index at least, before appends can go on; nil when appends will do.
    public var pendingSnapshot: LogIndex?
    /// Appends with entries sent and not acknowledged.
    public var inflight: Int
    /// Something was sent whose answer is missing: entries, a probe, a read round or a snapshot. Without it nothing is
    /// lost by waiting.
    public var awaitsReply: Bool
    /// The caller said that its link is congested.
    public var isPaused: Bool
}

/// How a leader sends to a follower.
enum ProgressState: Hashable, Sendable {
    /// One append at a time, to find where the logs join.
    case probe
    /// Appends follow each other without waiting.
    case replicate
    /// No appends at all: what it needs next is covered by the leader's snapshot, up to `pending` when it was named.
    case snapshot(pending: LogIndex)
}

/// A leader's book on one other member.
struct Progress: Sendable {
    let node: NodeID
    /// Counts towards a quorum.
    var isVoter: Bool
    /// The last index durable there and known to match. Only grows while this node leads, unless the follower says that
    /// its store lost records.
    var match = LogIndex.zero
    /// `match` as far as a quorum may count it: acknowledged while the follower might vote.
    var counted = LogIndex.zero
    /// The next index to send; above `match` and above the log's base. Optimistic: entries below it may have been lost.
    var next: LogIndex
    var state = ProgressState.probe
    /// While probing: one was sent and not answered.
    var probeIsOut = false
    /// The last index of each append with entries on its way, ascending.
    var inflight = Ring<LogIndex>()
    /// The commit index last told to it while pipelining. Every later append repeats it, so the follower knows it as
    /// far as its log goes.
    var toldCommit = LogIndex.zero
    /// The highest read round it has echoed.
    var echoed: UInt64 = 0
    var isPaused = false

    init(node: NodeID, isVoter: Bool, next: LogIndex) {
        self.node = node
        self.isVoter = isVoter
        self.next = next
    }

    var isProbing: Bool { state == .probe }

    /// What it needs up to, when it waits for a snapshot.
    var pendingSnapshot: LogIndex? {
        guard case .snapshot(let pending) = state else { return nil }
        return pending
    }

    /// Nothing on the way is expected to arrive any more: probe behind what is acknowledged, or, where the log no
    /// longer reaches back to that, at its base. The follower may be there, only its answers lost.
    mutating func probe(base: LogIndex) {
        state = .probe
        probeIsOut = false
        next = max(match, base).next
        inflight.removeAll()
        toldCommit = .zero
    }

    /// Appends cannot help any more.
    mutating func awaitSnapshot(base: LogIndex) {
        probe(base: base)
        state = .snapshot(pending: base)
    }

    /// Notes an acknowledgement, and forgets appends that it covers.
    mutating func acknowledge(through index: LogIndex, counts: Bool) {
        match = max(match, index)
        if counts { counted = max(counted, index) }
        while let last = inflight.first, last <= match { inflight.popFirst() }
    }

    /// The follower's store lost what is above `index`.
    mutating func forget(above index: LogIndex) {
        match = min(match, index)
        counted = min(counted, index)
    }
}
