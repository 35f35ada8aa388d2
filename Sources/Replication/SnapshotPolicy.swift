package import Primitives

/// When a replica's log is looked at, and when a snapshot is worth its cost: when what it would set free is more than
/// a threshold and more than the snapshot itself (the policy of RabbitMQ's quorum queues, by bytes).
package struct SnapshotPolicy {
    /// Bytes that a snapshot should set free.
    package let threshold: Int
    /// What the log held when it was last looked at, up to where it was applied, and when that was.
    private var checkedBytes = 0
    private var checkedIndex: LogIndex
    private var checkedAt = Instant.zero

    /// After so long the log is looked at although it has hardly grown: a backlog may have drained.
    private static let interval = Interval.milliseconds(500)

    /// - Parameter threshold: bytes; spread over the groups by the caller, so that not all are due at once.
    package init(threshold: Int, applied: LogIndex) {
        self.threshold = threshold
        checkedIndex = applied
    }

    /// Whether the log is to be looked at, now or a little later.
    package func isPending(byteCount: Int, applied: LogIndex) -> Bool {
        byteCount >= threshold && applied > checkedIndex
    }

    /// Whether enough has happened since the last look.
    package func isDue(byteCount: Int, applied: LogIndex, now: Instant) -> Bool {
        isPending(byteCount: byteCount, applied: applied)
            && (byteCount - checkedBytes >= threshold || now - checkedAt >= SnapshotPolicy.interval)
    }

    /// Takes note of a look. Returns whether a snapshot is worth it.
    package mutating func check(
        byteCount: Int, liveBytes: Int, snapshotSize: Int, applied: LogIndex, now: Instant
    ) -> Bool {
        checkedIndex = applied
        checkedBytes = byteCount
        checkedAt = now
        return byteCount - liveBytes >= max(threshold, snapshotSize)
    }

    /// A snapshot was taken: the log holds `byteCount` bytes now.
    package mutating func taken(byteCount: Int) { checkedBytes = byteCount }
}
