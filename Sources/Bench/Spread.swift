package import Primitives

/// A handful of durations, exactly.
package struct Spread: Hashable, Sendable {
    /// In ascending order, never empty.
    package let values: [Interval]

    /// Nil without values.
    package init?(_ values: [Interval]) {
        guard !values.isEmpty else { return nil }
        self.values = values.sorted()
    }

    /// The middle one, or half-way between the two in the middle.
    package var median: Interval {
        let upper = values[values.count / 2]
        guard values.count % 2 == 0 else { return upper }
        return Interval(nanoseconds: (upper.nanoseconds + values[values.count / 2 - 1].nanoseconds) / 2)
    }

    /// The smallest value that `percent` of the values do not exceed.
    package func percentile(_ percent: Int) -> Interval {
        values[max(1, (values.count * percent + 99) / 100) - 1]
    }

    /// The longest.
    package var maximum: Interval { values[values.count - 1] }

    /// `p50 … p90 … p99 … max …`, in milliseconds.
    package var text: String {
        "p50 \(median.text)  p90 \(percentile(90).text)  p99 \(percentile(99).text)  max \(maximum.text) ms"
    }

    var json: JSONValue {
        [
            ("n", .integer(UInt64(values.count))), ("min", values[0].json), ("p50", median.json),
            ("p90", percentile(90).json), ("p99", percentile(99).json), ("max", maximum.json),
        ]
    }

    /// Bins of one round width in milliseconds from the first value's to the last one's; at most `limit`.
    package func bins(limit: Int = 20) -> (width: Interval, first: UInt64, counts: [Int]) {
        var width: UInt64 = 1
        for step in 1... {
            let first = values[0].nanoseconds / (width * 1_000_000)
            let last = maximum.nanoseconds / (width * 1_000_000)
            if last - first < UInt64(limit) {
                var counts = [Int](repeating: 0, count: Int(last - first) + 1)
                for value in values { counts[Int(value.nanoseconds / (width * 1_000_000) - first)] += 1 }
                return (.milliseconds(width), first, counts)
            }
            // 1, 2, 5, 10, …
            width = step % 3 == 2 ? width * 5 / 2 : width * 2
        }
        preconditionFailure("widths grow")
    }
}
