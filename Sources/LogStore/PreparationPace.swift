public import Primitives

/// How fast a segment is filled beforehand: twice as fast as the log is written, so that it is ready in time, and not
/// faster, since the log's own syncs wait behind those of the steps.
public struct PreparationPace: Sendable {
    /// Bytes a second at which a segment is filled while the log is idle.
    public static let slowest = 16 << 20
    /// Bytes of a step at that pace; its sync takes little longer than one of the log.
    public static let smallestStep = 128 << 10
    /// Most bytes of a step.
    public static let largestStep = 1 << 20
    /// How far apart steps are as long as none of the bounds is met.
    static let stepInterval = Interval.milliseconds(4)

    // A mean over about eight steps.
    private static let weight = 8
    private var began: Instant
    /// When the log was last looked at, and how long it was.
    private var seen: Instant
    private var written: UInt64
    /// Bytes a second that the log is written at.
    private var logRate = 0

    /// The pace at which the first step, which begins at `now`, is made.
    /// - Parameter written: bytes of the log so far.
    public init(at now: Instant, written: UInt64) {
        began = now
        seen = now
        self.written = written
    }

    private var rate: Int { max(PreparationPace.slowest, 2 * logRate) }

    /// Bytes of the next step; a multiple of 4,096.
    public var step: Int {
        let bytes = rate / 1_000 * Int(PreparationPace.stepInterval.nanoseconds / 1_000_000)
        return min(max(bytes, PreparationPace.smallestStep), PreparationPace.largestStep) & ~4_095
    }

    /// A step of `step` bytes was made.
    /// - Parameter written: bytes of the log so far.
    /// - Returns: when the next one begins.
    public mutating func stepped(at now: Instant, written: UInt64) -> Instant {
        let due = began + Interval(nanoseconds: UInt64(step) * 1_000_000_000 / UInt64(rate))
        let next = max(now, due)
        let elapsed = max((now - seen).nanoseconds, 1)
        // Bounded, so that no product overflows: no disk writes so much.
        let bytes = min(written &- self.written, 1 << 33)
        let recent = Int(clamping: bytes * 1_000_000_000 / elapsed)
        logRate += (min(recent, 1 << 33) - logRate) / PreparationPace.weight
        began = next
        seen = now
        self.written = written
        return next
    }
}
