import Glibc
import PeerLink
package import Primitives

extension Instant {
    /// The system's monotonic clock.
    package static var now: Instant { MonotonicClock.now() }
}

extension WallTime {
    /// The system's wall clock.
    static var now: WallTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return WallTime(milliseconds: UInt64(time.tv_sec) * 1_000 + UInt64(time.tv_nsec) / 1_000_000)
    }
}
