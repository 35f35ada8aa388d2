import Glibc
public import Primitives

/// The system's monotonic clock.
public enum MonotonicClock {
    /// Nanoseconds since some moment before the process started; stands still while the machine sleeps.
    public static func now() -> Instant {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Instant(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
    }
}
