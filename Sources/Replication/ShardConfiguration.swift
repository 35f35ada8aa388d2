public import Primitives

/// The timing and the bounds of a shard.
public struct ShardConfiguration: Sendable {
    /// Bytes of recent entries kept in memory for all groups together.
    public var cacheLimit = 64 << 20
    /// Bytes of entries that may wait for this node's disk. A follower whose disk is further behind takes no more; the
    /// leaders send them again.
    public var backlogLimit = 64 << 20
    /// Entries of one group on their way at once; more commands wait and form larger entries.
    public var entriesInFlightLimit = 4
    /// Bytes of one group's entries on their way at which more commands wait; the last entry may exceed it by all of
    /// its own.
    public var bytesInFlightLimit = 4 << 20
    /// Bytes that one tick sends to one peer, or to one gateway; the last message may exceed it.
    public var tickBytesLimit = 8 << 20
    /// The step between the successors' campaigns (consensus design: rank k waits k steps).
    public var rankStep = Interval.milliseconds(15)
    /// Random addition to a campaign's delay.
    public var campaignJitter = Interval.milliseconds(5)
    /// A campaign without result is repeated after this and up to as much again.
    public var campaignRetry = Interval.milliseconds(50)
    /// How long a leaderless group waits for a leader to speak up when this node starts.
    public var startDelay = Interval.milliseconds(100)
    /// An unanswered append is repeated after this.
    public var retransmitAfter = Interval.milliseconds(200)
    /// A leader whose entries find no majority for this long steps down.
    public var stallLimit = Interval.seconds(1)
    /// Interval of the sweep over active groups; followers learn the last commit index from it.
    public var sweepInterval = Interval.milliseconds(20)
    /// A gateway's suspended sessions are closed after this (`consumer_disconnected_timeout`).
    public var sessionExpiry = Interval.seconds(60)
    /// Bytes that a snapshot should set free; each group waits for up to twice as much.
    public var snapshotThreshold = 4 << 20
    /// States up to so many bytes are encoded and decoded on the loop, larger ones elsewhere: this takes less than a
    /// millisecond, and thousands of small groups need no other thread.
    public var inlineStateLimit = 64 << 10
    /// Bytes read back from disk at once.
    public var readAhead = 1 << 20
    /// A node's own topology command fails when it was not applied for this long.
    public var topologyTimeout = Interval.seconds(10)

    /// The defaults.
    public init() {}
}
