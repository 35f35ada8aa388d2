import Primitives

/// An earlier run, as its JSON report has it, to compare with.
public struct FailoverBaseline: Decodable, Sendable {
    /// Percentiles of a row, in milliseconds.
    public struct Figures: Decodable, Sendable {
        /// Trials behind them.
        public var n: Int
        /// Half of the trials took at most this.
        public var p50: Double
        /// 99 % of them.
        public var p99: Double
    }

    /// The rows that are compared.
    public struct Summary: Decodable, Sendable {
        /// Of what clients saw; nil when no trial recovered.
        public var unavailability_ms: Figures?
        /// Of the time until all queues were led; nil without observer.
        public var all_led_ms: Figures?
    }

    /// As `--fault` had it.
    public var fault: String
    /// As `--clients` had it.
    public var clients: String
    /// Milliseconds between messages.
    public var interval_ms: Double
    /// Octets of a body.
    public var size: Int
    /// Queues besides the one that was measured.
    public var idle_queues: Int
    /// The rows.
    public var summary: Summary
}

/// Two runs side by side.
public struct FailoverComparison: Sendable {
    /// What may be slower without being a regression: a part of the earlier figure, and a floor for what is so short
    /// that the machine's noise is a large part of it. The 99th percentile, of few trials the worst of them, may move
    /// twice as much, on a floor four times as high.
    public struct Tolerance: Hashable, Sendable {
        /// Percent of the earlier figure.
        public var percent: Double
        /// Milliseconds.
        public var floor: Double

        /// A tolerance for the median.
        public init(percent: Double = 25, floor: Double = 5) {
            self.percent = percent
            self.floor = floor
        }
    }

    /// One figure of both.
    struct Line: Hashable, Sendable {
        let name: String
        let before: Double
        let now: Double
        let limit: Double

        var isWorse: Bool { now > limit }

        var text: String {
            let change = before > 0 ? (now / before - 1) * 100 : 0
            let sign = change >= 0 ? "+" : ""
            return "\(name): \(before.fixed(1)) ms before, \(now.fixed(1)) ms now (\(sign)\(change.fixed(0)) %), "
                + "limit \(limit.fixed(1)) ms" + (isWorse ? ": REGRESSION" : "")
        }
    }

    let lines: [Line]
    private let tolerance: Tolerance

    /// - Throws: `invalidOption` when the runs measured different things, or one of them nothing.
    public init(
        _ report: FailoverReport, with baseline: FailoverBaseline, tolerance: Tolerance
    ) throws(BenchError) {
        self.tolerance = tolerance
        let options = report.options
        let pairs = [
            ("fault", baseline.fault, options.fault.rawValue), ("clients", baseline.clients, options.clients.rawValue),
            ("interval", baseline.interval_ms.fixed(3), options.interval.inMilliseconds.fixed(3)),
            ("size", "\(baseline.size)", "\(options.bodySize)"),
            ("queues", "\(baseline.idle_queues + 1)", "\(options.idleQueues + 1)"),
        ]
        for (name, before, now) in pairs where before != now {
            throw .invalidOption("the baseline cannot be compared: its \(name) was \(before), this run's is \(now)")
        }
        guard let before = baseline.summary.unavailability_ms, let now = report.unavailability else {
            throw .invalidOption("nothing to compare: a run without a trial that recovered")
        }
        var lines = Self.lines("unavailable", before, now, tolerance)
        if options.idleQueues > 0, let before = baseline.summary.all_led_ms, let now = report.allLed {
            lines += Self.lines("all queues led", before, now, tolerance)
        }
        self.lines = lines
    }

    private static func lines(
        _ name: String, _ before: FailoverBaseline.Figures, _ now: Spread, _ tolerance: Tolerance
    ) -> [Line] {
        func limit(_ figure: Double, _ times: Double) -> Double {
            figure * (1 + tolerance.percent * times / 100) + tolerance.floor * times * times
        }
        return [
            Line(name: name + " p50", before: before.p50, now: now.median.inMilliseconds, limit: limit(before.p50, 1)),
            Line(
                name: name + " p99", before: before.p99, now: now.percentile(99).inMilliseconds,
                limit: limit(before.p99, 2)),
        ]
    }

    /// No figure is beyond its limit.
    public var isFine: Bool { !lines.contains(where: \.isWorse) }

    /// The tolerance, and a line for each figure.
    public var text: String {
        let head =
            "compared with the baseline; tolerance p50 \(tolerance.percent.fixed(0)) % + "
            + "\(tolerance.floor.fixed(0)) ms, p99 \((tolerance.percent * 2).fixed(0)) % + "
            + "\((tolerance.floor * 4).fixed(0)) ms"
        return ([head] + lines.map { "  " + $0.text }).joined(separator: "\n")
    }
}
