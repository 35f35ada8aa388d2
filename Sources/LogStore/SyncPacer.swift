public import Primitives

/// Decides how long the log writer waits for more to write before it syncs.
///
/// An idle log syncs at once. When syncs come so fast that they and the wake-ups behind them, not the bytes, are the
/// cost, a short wait makes fewer and larger ones: for 128 KiB, or a quarter of what a commit took recently, at most
/// 300 µs. Where submissions come one by one, each behind the completion of the one before, nothing would come of it.
public struct SyncPacer: Sendable {
    /// Mean interval between syncs under which the log counts as busy: about 1,500 a second.
    public static let busyInterval = Interval.microseconds(667)
    /// Bytes for which no longer is waited.
    public static let enoughBytes = 128 << 10
    /// No wait is longer.
    public static let longestWait = Interval.microseconds(300)
    /// Mean submissions of a round, in 256ths, from which on more are to be expected while the log waits.
    static let enoughSubmissions = 320

    // Means over about 16 syncs. A gap counts as 11 ms at most, which is enough to make the log idle at once.
    private static let weight: UInt64 = 16
    private static let longestGap = Interval.milliseconds(11)
    private var meanInterval = longestGap.nanoseconds
    private var meanLatency: UInt64 = 0
    private var meanSubmissions = 256
    private var lastSync: Instant?

    /// An idle log.
    public init() {}

    /// Takes note of a sync that ended at `now`; `latency` runs from the oldest submission in it.
    public mutating func synced(at now: Instant, latency: Interval) {
        if let lastSync {
            let gap = min(now - lastSync, SyncPacer.longestGap).nanoseconds
            meanInterval = (meanInterval * (SyncPacer.weight - 1) + gap) / SyncPacer.weight
        }
        meanLatency = (meanLatency * (SyncPacer.weight - 1) + latency.nanoseconds) / SyncPacer.weight
        lastSync = now
    }

    /// Takes note of how many submissions were written together.
    public mutating func took(submissions count: Int) {
        meanSubmissions += (min(count, 64) * 256 - meanSubmissions) / Int(SyncPacer.weight)
    }

    /// How long to wait, from `now` on, when `bytes` wait to be written.
    public func wait(at now: Instant, bytes: Int) -> Interval {
        guard bytes < SyncPacer.enoughBytes, let lastSync, now - lastSync < SyncPacer.longestGap,
            meanInterval < SyncPacer.busyInterval.nanoseconds, meanSubmissions >= SyncPacer.enoughSubmissions
        else { return .zero }
        return min(Interval(nanoseconds: meanLatency / 4), SyncPacer.longestWait)
    }
}
