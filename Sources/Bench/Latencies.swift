import Histogram
public import Primitives

/// Latencies in a histogram of three significant digits, up to an hour.
package struct Latencies: Sendable {
    private static let highest: UInt64 = 3_600_000_000_000
    private var histogram = Histogram<UInt64>(lowestDiscernibleValue: 512, highestTrackableValue: Latencies.highest)

    package init() {}

    /// Adds one.
    package mutating func record(_ latency: Interval) { histogram.record(min(latency.nanoseconds, Self.highest)) }

    /// Their percentiles.
    package var summary: LatencySummary {
        var summary = LatencySummary()
        summary.count = histogram.totalCount
        guard summary.count > 0 else { return summary }
        func at(_ percentile: Double) -> Interval {
            Interval(nanoseconds: min(histogram.valueAtPercentile(percentile), histogram.maxRecorded))
        }
        summary.mean = Interval(nanoseconds: UInt64(histogram.mean))
        summary.p50 = at(50)
        summary.p90 = at(90)
        summary.p99 = at(99)
        summary.p999 = at(99.9)
        summary.maximum = Interval(nanoseconds: histogram.maxRecorded)
        return summary
    }
}

/// Percentiles of latencies.
public struct LatencySummary: Hashable, Sendable {
    /// How many were measured; the rest is zero without any.
    public var count: UInt64 = 0
    /// The average.
    public var mean = Interval.zero
    /// Half are at most this.
    public var p50 = Interval.zero
    /// 90 % are at most this.
    public var p90 = Interval.zero
    /// 99 % are at most this.
    public var p99 = Interval.zero
    /// 99.9 % are at most this.
    public var p999 = Interval.zero
    /// The longest.
    public var maximum = Interval.zero

    /// Of nothing.
    public init() {}

    /// One line.
    var text: String {
        """
        p50 \(p50.text)  p90 \(p90.text)  p99 \(p99.text)  p99.9 \(p999.text)  max \(maximum.text) ms  \
        (n \(count), mean \(mean.text))
        """
    }

    var json: JSONValue {
        [
            ("count", .integer(count)), ("mean_ms", mean.json), ("p50_ms", p50.json), ("p90_ms", p90.json),
            ("p99_ms", p99.json), ("p999_ms", p999.json), ("max_ms", maximum.json),
        ]
    }
}

extension Interval {
    /// In milliseconds.
    public var inMilliseconds: Double { Double(nanoseconds) / 1e6 }
    /// In seconds.
    public var inSeconds: Double { Double(nanoseconds) / 1e9 }

    /// That many seconds, none below zero.
    package init(inSeconds seconds: Double) { self.init(nanoseconds: UInt64(max(0, min(seconds, 1e9)) * 1e9)) }

    /// Milliseconds with as many digits as tell something.
    package var text: String { inMilliseconds.fixed(inMilliseconds < 10 ? 2 : 1) }
    var json: JSONValue { .number(inMilliseconds) }
}
