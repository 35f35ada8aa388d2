import Glibc
import PeerLink
package import Primitives

extension Instant {
    /// The system's monotonic clock.
    package static var now: Instant { MonotonicClock.now() }
}

extension WallClock {
    /// Reads the system's clocks.
    package init() { self.init(monotonic: { .now }, nanoseconds: { WallTime.nanoseconds }) }
}

extension WallTime {
    /// The system's wall clock.
    static var now: WallTime { WallTime(milliseconds: nanoseconds / 1_000_000) }

    /// What it shows, since 1970.
    fileprivate static var nanoseconds: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
