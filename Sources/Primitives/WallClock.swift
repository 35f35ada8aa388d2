/// Translates times of the monotonic clock into wall-clock times, by what the two clocks show when it is made.
public struct WallClock: Sendable {
    private let monotonic: Instant
    /// Since 1970.
    private let nanoseconds: UInt64

    /// Reads both clocks.
    /// - Parameter nanoseconds: what the wall clock shows, since 1970.
    public init(monotonic: () -> Instant, nanoseconds: () -> UInt64) {
        var best = (before: Instant.zero, after: Instant.distantFuture, wall: UInt64(0))
        // A reading that the thread was interrupted in is worth less than the next one.
        for _ in 0..<3 {
            let before = monotonic()
            let wall = nanoseconds()
            let after = monotonic()
            guard after - before < best.after - best.before else { continue }
            best = (before, after, wall)
        }
        self.monotonic = best.before
        self.nanoseconds = best.wall
    }

    /// Microseconds since 1970.
    public func microseconds(at instant: Instant) -> UInt64 {
        let past = (monotonic - instant).nanoseconds
        let ahead = (instant - monotonic).nanoseconds
        return (nanoseconds - min(past, nanoseconds) + ahead) / 1_000
    }
}
