import Glibc
import PeerLink
package import Primitives

extension Instant {
    /// The system's monotonic clock.
    package static var now: Instant { MonotonicClock.now() }
}

/// Translates times of the monotonic clock into wall-clock times, by what the two clocks show when it is made.
package struct WallClock: Sendable {
    private let monotonic: Instant
    /// Since 1970.
    private let nanoseconds: UInt64

    /// Reads both clocks.
    package init() {
        var time = timespec()
        var best = (before: Instant.zero, after: Instant.distantFuture, wall: UInt64(0))
        // A reading that the thread was interrupted in is worth less than the next one.
        for _ in 0..<3 {
            let before = Instant.now
            clock_gettime(CLOCK_REALTIME, &time)
            let after = Instant.now
            guard after - before < best.after - best.before else { continue }
            best = (before, after, UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
        }
        monotonic = best.before
        nanoseconds = best.wall
    }

    /// Microseconds since 1970.
    package func microseconds(at instant: Instant) -> UInt64 {
        let past = (monotonic - instant).nanoseconds
        let ahead = (instant - monotonic).nanoseconds
        return (nanoseconds - min(past, nanoseconds) + ahead) / 1_000
    }
}

extension WallTime {
    /// The system's wall clock.
    static var now: WallTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return WallTime(milliseconds: UInt64(time.tv_sec) * 1_000 + UInt64(time.tv_nsec) / 1_000_000)
    }
}
