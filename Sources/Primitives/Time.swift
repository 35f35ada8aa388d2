/// A point on the monotonic clock, in nanoseconds. Protocol timing uses nothing else; pure code receives it as an
/// argument.
public struct Instant: Hashable, Comparable, Sendable {
    /// Since some moment before the process started.
    public var nanoseconds: UInt64
    /// A point by its nanoseconds.
    @inlinable public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }
    /// Earlier.
    @inlinable public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }
    /// The instant `d` later; wraps at the end of time.
    @inlinable public static func + (a: Instant, d: Interval) -> Instant {
        Instant(nanoseconds: a.nanoseconds &+ d.nanoseconds)
    }
    /// Time from `b` to this instant; zero when `b` is later.
    @inlinable public static func - (a: Instant, b: Instant) -> Interval {
        Interval(nanoseconds: a.nanoseconds > b.nanoseconds ? a.nanoseconds - b.nanoseconds : 0)
    }
    /// Before everything.
    public static let zero = Instant(nanoseconds: 0)
    /// After everything: a deadline that never comes.
    public static let distantFuture = Instant(nanoseconds: .max)
}

/// A span of time in nanoseconds, never negative.
public struct Interval: Hashable, Comparable, Sendable {
    /// The length of the span.
    public var nanoseconds: UInt64
    /// A span by its nanoseconds.
    @inlinable public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }
    /// `n` µs.
    @inlinable public static func microseconds(_ n: UInt64) -> Interval { Interval(nanoseconds: n * 1_000) }
    /// `n` ms.
    @inlinable public static func milliseconds(_ n: UInt64) -> Interval { Interval(nanoseconds: n * 1_000_000) }
    /// `n` s.
    @inlinable public static func seconds(_ n: UInt64) -> Interval { Interval(nanoseconds: n * 1_000_000_000) }
    /// Shorter.
    @inlinable public static func < (a: Interval, b: Interval) -> Bool { a.nanoseconds < b.nanoseconds }
    /// The sum.
    @inlinable public static func + (a: Interval, b: Interval) -> Interval {
        Interval(nanoseconds: a.nanoseconds + b.nanoseconds)
    }
    /// `n` times as long.
    @inlinable public static func * (a: Interval, n: UInt64) -> Interval { Interval(nanoseconds: a.nanoseconds * n) }
    /// The `n`th part, rounded down.
    @inlinable public static func / (a: Interval, n: UInt64) -> Interval { Interval(nanoseconds: a.nanoseconds / n) }
    /// No time at all.
    public static let zero = Interval(nanoseconds: 0)
}

/// Wall-clock time in milliseconds since 1970. It enters a state machine only through the timestamp of an entry.
public struct WallTime: Hashable, Comparable, Sendable {
    /// Since 1970.
    public var milliseconds: UInt64
    /// A time by its milliseconds since 1970.
    @inlinable public init(milliseconds: UInt64) { self.milliseconds = milliseconds }
    /// Earlier.
    @inlinable public static func < (a: WallTime, b: WallTime) -> Bool { a.milliseconds < b.milliseconds }
    /// 1970.
    public static let zero = WallTime(milliseconds: 0)
}
