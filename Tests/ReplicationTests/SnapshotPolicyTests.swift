import Primitives
import Replication
import Testing

@Suite struct SnapshotPolicyTests {
    private func at(_ milliseconds: UInt64) -> Instant { Instant(nanoseconds: 1_000_000 * (10_000 + milliseconds)) }

    @Test func smallLogsAreLeftAlone() {
        let policy = SnapshotPolicy(threshold: 1_000, applied: .zero)
        #expect(!policy.isDue(byteCount: 999, applied: LogIndex(100_000), now: at(0)))
        #expect(policy.isDue(byteCount: 1_000, applied: LogIndex(1), now: at(0)))
    }

    @Test func aBacklogIsLookedAtAsItGrows() {
        var policy = SnapshotPolicy(threshold: 1_000, applied: .zero)
        let first = policy.check(
            byteCount: 5_000, liveBytes: 4_500, snapshotSize: 10, applied: LogIndex(50), now: at(0))
        #expect(!first)
        #expect(!policy.isDue(byteCount: 5_900, applied: LogIndex(60), now: at(100)))
        #expect(policy.isDue(byteCount: 6_000, applied: LogIndex(60), now: at(100)))
        let second = policy.check(
            byteCount: 6_000, liveBytes: 5_000, snapshotSize: 10, applied: LogIndex(60), now: at(100))
        #expect(second)
    }

    /// A backlog that drains hardly makes the log longer.
    @Test func aDrainingBacklogIsLookedAtAfterAWhile() {
        var policy = SnapshotPolicy(threshold: 1_000, applied: .zero)
        _ = policy.check(byteCount: 9_000, liveBytes: 9_000, snapshotSize: 10, applied: LogIndex(50), now: at(0))
        #expect(!policy.isDue(byteCount: 9_100, applied: LogIndex(51), now: at(499)))
        #expect(policy.isPending(byteCount: 9_100, applied: LogIndex(51)))
        #expect(policy.isDue(byteCount: 9_100, applied: LogIndex(51), now: at(500)))
        #expect(!policy.isPending(byteCount: 9_100, applied: LogIndex(50)))
    }

    @Test func aSnapshotMustSetMoreFreeThanItTakes() {
        var policy = SnapshotPolicy(threshold: 1_000, applied: .zero)
        let tooLarge = policy.check(
            byteCount: 9_000, liveBytes: 5_000, snapshotSize: 4_001, applied: LogIndex(50), now: at(0))
        let worthIt = policy.check(
            byteCount: 9_000, liveBytes: 5_000, snapshotSize: 4_000, applied: LogIndex(50), now: at(0))
        #expect(!tooLarge && worthIt)
        policy.taken(byteCount: 5_000)
        #expect(!policy.isDue(byteCount: 5_500, applied: LogIndex(60), now: at(10)))
    }
}
