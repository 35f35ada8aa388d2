public import Primitives

/// How often and how fast cold segments are read.
public struct ScrubConfiguration: Hashable, Sendable {
    /// From the begin of one pass over all sealed segments to that of the next; zero for never.
    public var interval = Interval.seconds(24 * 3_600)
    /// Bytes read a second, at most.
    public var rate = 8 << 20

    /// A pass a day, 8 MiB a second.
    public init() {}

    /// The first pass begins this long after the start, or after `interval` if that is shorter: a node that is started
    /// often is scrubbed, too.
    public static let firstDelay = Interval.seconds(60)
}

/// What the scrub has done since the start.
public struct ScrubTotals: Hashable, Sendable {
    /// Passes over all sealed segments that are finished.
    public var passes = 0
    /// Segments read.
    public var segments = 0
    /// Bytes read.
    public var bytes = 0
    /// Segments found whose own structure is damaged.
    public var damagedSegments = 0

    /// Nothing yet.
    public init() {}
}
