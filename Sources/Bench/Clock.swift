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

/// Translates times of the monotonic clock into wall-clock times, by what the two clocks show when it is made.
struct WallClock: Sendable {
    private let monotonic: Instant
    /// Since 1970.
    private let nanoseconds: UInt64

    init() {
        var time = timespec()
        var best = (before: Instant.zero, after: Instant.distantFuture, wall: UInt64(0))
        // A reading that the thread was interrupted in is worth less than the next one.
        for _ in 0..<3 {
            let before = Instant.now()
            clock_gettime(CLOCK_REALTIME, &time)
            let after = Instant.now()
            guard after - before < best.after - best.before else { continue }
            best = (before, after, UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
        }
        monotonic = best.before
        nanoseconds = best.wall
    }

    /// Microseconds since 1970 at a time before it was made.
    func microseconds(at past: Instant) -> UInt64 {
        (nanoseconds - min(nanoseconds, (monotonic - past).nanoseconds)) / 1_000
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
