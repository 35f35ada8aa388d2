internal import Primitives

/// The growing pauses between attempts: doubled each time up to a maximum.
struct Backoff: Sendable {
    let minimum: Interval
    let maximum: Interval
    private var next: Interval

    init(minimum: Interval, maximum: Interval) {
        self.minimum = minimum
        self.maximum = maximum
        next = minimum
    }

    /// The pause before the next attempt.
    mutating func pause() -> Interval {
        let pause = next
        next = min(next * 2, maximum)
        return pause
    }

    mutating func reset() { next = minimum }
}
