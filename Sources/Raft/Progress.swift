public import Primitives

/// What a leader knows of one other voter.
public struct FollowerProgress: Hashable, Sendable {
    /// The last index known to be durable there.
    public var match: LogIndex
    /// The next index to send.
    public var next: LogIndex
    /// One append at a time, until the follower accepts one; else appends are pipelined.
    public var isProbing: Bool
    /// Appends with entries sent and not acknowledged.
    public var inflight: Int
    /// Something was sent whose answer is missing: entries, a probe or a read round. Without it nothing is lost by
    /// waiting.
    public var awaitsReply: Bool
    /// The caller said that its link is congested.
    public var isPaused: Bool
}

/// A leader's book on one other voter.
struct Progress: Sendable {
    let node: NodeID
    /// The last index durable there and known to match. Only grows while this node leads.
    var match = LogIndex.zero
    /// The next index to send; above `match`. Optimistic: entries below it may have been lost.
    var next: LogIndex
    var isProbing = true
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

    init(node: NodeID, next: LogIndex) {
        self.node = node
        self.next = next
    }

    /// Nothing on the way is expected to arrive any more.
    mutating func reset() {
        isProbing = true
        probeIsOut = false
        next = match.next
        inflight.removeAll()
        toldCommit = .zero
    }

    /// Forgets appends that an acknowledgement up to `match` covers.
    mutating func acknowledge(through index: LogIndex) {
        match = max(match, index)
        while let last = inflight.first, last <= match { inflight.popFirst() }
    }
}
