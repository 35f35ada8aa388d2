internal import Primitives

/// The recent times between a node's heartbeats, and the silence to tolerate that follows from them.
///
/// The threshold is `max(minimum, 4 intervals, mean + 6 standard deviations, 1.5 × the worst gap remembered)`, at most
/// the maximum, and doubled within it for a while after a false alarm. Whole microseconds throughout.
struct ArrivalWindow: Sendable {
    private static let capacity = 128
    private static let buckets = 6

    /// Gaps in microseconds; a circle once full.
    private var gaps: [UInt32] = []
    private var next = 0
    private var sum: UInt64 = 0
    private var sumOfSquares: UInt64 = 0
    /// The worst gap of each sixth of the configured memory, in microseconds.
    private var worst = [UInt32](repeating: 0, count: ArrivalWindow.buckets)
    /// The number, counted from the clock's zero, of the sixth that was written last.
    private var newestBucket: UInt64 = 0
    private var doubledUntil = Instant.zero

    mutating func record(_ gap: Interval, now: Instant, configuration: LivenessConfiguration) {
        let value = UInt32(clamping: gap.nanoseconds / 1_000)
        if gaps.count < ArrivalWindow.capacity {
            gaps.append(value)
        } else {
            let old = UInt64(gaps[next])
            sum -= old
            sumOfSquares -= old * old
            gaps[next] = value
        }
        next = (next + 1) % ArrivalWindow.capacity
        sum += UInt64(value)
        sumOfSquares += UInt64(value) * UInt64(value)
        advance(to: now, memory: configuration.memory)
        let bucket = Int(newestBucket % UInt64(ArrivalWindow.buckets))
        worst[bucket] = max(worst[bucket], value)
    }

    mutating func falseAlarm(now: Instant, configuration: LivenessConfiguration) {
        doubledUntil = now + configuration.memory
    }

    /// Clears the sixths that have passed since the last record.
    private mutating func advance(to now: Instant, memory: Interval) {
        let width = max(memory.nanoseconds / UInt64(ArrivalWindow.buckets), 1)
        let bucket = now.nanoseconds / width
        guard bucket > newestBucket else { return }
        for step in 0..<min(bucket - newestBucket, UInt64(ArrivalWindow.buckets)) {
            worst[Int((bucket - step) % UInt64(ArrivalWindow.buckets))] = 0
        }
        newestBucket = bucket
    }

    /// The silence from which the node is to be suspected.
    mutating func threshold(now: Instant, configuration: LivenessConfiguration) -> Interval {
        advance(to: now, memory: configuration.memory)
        var micros = max(configuration.minimumSilence.nanoseconds, 4 * configuration.interval.nanoseconds) / 1_000
        if let largest = worst.max() { micros = max(micros, UInt64(largest) * 3 / 2) }
        if gaps.count >= 16 {
            let count = UInt64(gaps.count)
            let mean = sum / count
            let square = sumOfSquares / count
            let variance = square > mean * mean ? square - mean * mean : 0
            micros = max(micros, mean + 6 * ArrivalWindow.squareRoot(variance))
        }
        if now < doubledUntil { micros *= 2 }
        return Swift.min(.microseconds(micros), configuration.maximumSilence)
    }

    /// The whole part of the square root, by Newton's method.
    static func squareRoot(_ value: UInt64) -> UInt64 {
        guard value > 1 else { return value }
        var guess = UInt64(1) << UInt64((64 - value.leadingZeroBitCount + 1) / 2)
        while true {
            let better = (guess + value / guess) / 2
            if better >= guess { return guess }
            guess = better
        }
    }
}
