import NIOCore
import Primitives

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

extension Instant {
    /// The monotonic clock, the same one the event loops go by.
    static func now() -> Instant { Instant(nanoseconds: NIODeadline.now().uptimeNanoseconds) }
}

extension WallClock {
    /// Reads the system's clocks.
    init() {
        self.init(
            monotonic: Instant.now,
            nanoseconds: {
                var time = timespec()
                clock_gettime(CLOCK_REALTIME, &time)
                return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
            })
    }
}

/// Waits until `condition` holds on the event loop; false when it did not within `seconds`. Looks every few
/// milliseconds: whatever is measured takes its time where it happens.
///
/// - Throws: `CancellationError`.
func wait(
    on eventLoop: any EventLoop, seconds: Double, until condition: @escaping @Sendable () -> Bool
) async throws -> Bool {
    let deadline = Instant.now() + Interval(inSeconds: seconds)
    while true {
        if try await eventLoop.submit(condition).get() { return true }
        guard Instant.now() < deadline else { return false }
        try await Task.sleep(nanoseconds: 3_000_000)
    }
}

/// - Throws: `CancellationError`.
func pause(seconds: Double) async throws {
    try await Task.sleep(nanoseconds: Interval(inSeconds: seconds).nanoseconds)
}
