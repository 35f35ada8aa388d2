import Primitives

/// What one load showed, with each broker.
public struct ComparisonRow: Sendable {
    let scenario: LoadScenario
    /// By broker, then by run; none is empty.
    let reports: [[LoadReport]]

    package init(scenario: LoadScenario, reports: [[LoadReport]]) {
        self.scenario = scenario
        self.reports = reports
    }

    /// A figure of loads.
    struct Figure: Sendable {
        let name: String
        let title: String
        let digits: Int
        let value: @Sendable (LoadReport) -> Double?

        /// In the order of a table's columns.
        static let all = [
            Figure(name: "confirmed_per_s", title: "confirmed/s", digits: 0) {
                $0.options.declaresOnly ? nil : $0.confirmRate
            },
            Figure(name: "drained_per_s", title: "drained/s", digits: 0) { $0.drainRate },
            latency("confirm_p50_ms", "confirm p50 ms", \.p50),
            latency("confirm_p99_ms", "p99 ms", \.p99),
            latency("confirm_p999_ms", "p99.9 ms", \.p999),
            Figure(name: "server_cpu_s_per_million", title: "CPU s/million", digits: 2) { $0.serverCPUPerMillion },
            Figure(name: "idle_resident_mib", title: "resident MiB before", digits: 0) {
                $0.idleResidentBytes.map { Double($0) / Double(1 << 20) }
            },
            Figure(name: "server_resident_mib", title: "resident MiB", digits: 0) {
                $0.serverResidentBytes.map { Double($0) / Double(1 << 20) }
            },
            Figure(name: "declare_ms", title: "ms a declaration", digits: 2, value: \.declareMilliseconds),
            Figure(name: "resident_kib_per_queue", title: "KiB a queue and process", digits: 1) {
                $0.residentBytesPerQueue.map { $0 / 1_024 }
            },
        ]

        private static func latency(
            _ name: String, _ title: String, _ percentile: any KeyPath<LatencySummary, Interval> & Sendable
        ) -> Figure {
            Figure(name: name, title: title, digits: 2) {
                $0.confirmLatency.count > 0 ? $0.confirmLatency[keyPath: percentile].inMilliseconds : nil
            }
        }
    }

    /// The median over a broker's runs; nil when they have no such figure.
    func median(_ figure: Figure, of broker: Int) -> Double? {
        let values = reports[broker].compactMap(figure.value).sorted()
        guard !values.isEmpty else { return nil }
        let upper = values[values.count / 2]
        return values.count % 2 == 1 ? upper : (upper + values[values.count / 2 - 1]) / 2
    }

    /// The first broker's median over the second's.
    func ratio(_ figure: Figure) -> Double? {
        guard reports.count == 2, let own = median(figure, of: 0), let other = median(figure, of: 1), other > 0 else {
            return nil
        }
        return own / other
    }
}

/// Loads and their figures: medians over the runs and, with two brokers, the first one's as multiples of the second's.
public struct ComparisonReport: Sendable {
    let rows: [ComparisonRow]

    package init(rows: [ComparisonRow]) { self.rows = rows }

    /// No load was lost, duplicated or reordered anywhere.
    public var isClean: Bool { rows.allSatisfy { $0.reports.allSatisfy { $0.allSatisfy(\.isClean) } } }

    /// A Markdown table.
    public var text: String {
        let figures = ComparisonRow.Figure.all.filter { figure in rows.contains { $0.median(figure, of: 0) != nil } }
        var lines = ["| load | broker | " + figures.map(\.title).joined(separator: " | ") + " |"]
        lines.append("|---|---|" + String(repeating: "---|", count: figures.count))
        for row in rows {
            for broker in row.reports.indices {
                let cells = figures.map { figure in row.median(figure, of: broker)?.fixed(figure.digits) ?? "–" }
                lines.append(
                    "| \(row.scenario.title) | \(row.reports[broker].last?.server ?? "") | "
                        + cells.joined(separator: " | ") + " |")
            }
            guard row.reports.count == 2 else { continue }
            let cells = figures.map { row.ratio($0).map { "× \($0.fixed($0 < 0.995 ? 3 : 1))" } ?? "–" }
            lines.append("| | ratio | " + cells.joined(separator: " | ") + " |")
        }
        let runs = rows.first?.reports.first?.count ?? 0
        let verdict = isClean ? "nothing lost, duplicated or reordered" : "NOT CLEAN: see the single runs"
        return lines.joined(separator: "\n") + "\nmedians of \(runs) runs; \(verdict)"
    }

    /// All of it, the single runs included, as a JSON document on one line.
    public var json: String {
        let document: JSONValue = [
            ("ok", .bool(isClean)),
            (
                "loads",
                .array(
                    rows.map { row in
                        [
                            ("name", .string(row.scenario.name)), ("title", .string(row.scenario.title)),
                            ("brokers", .array(row.reports.indices.map { broker(row, $0) })),
                            ("ratios", .object(ratios(row))),
                        ]
                    })
            ),
        ]
        return document.text
    }

    private func broker(_ row: ComparisonRow, _ index: Int) -> JSONValue {
        let medians = ComparisonRow.Figure.all.map { figure in
            (figure.name, row.median(figure, of: index).map { JSONValue.number($0) } ?? .null)
        }
        return [
            ("server", .string(row.reports[index].last?.server ?? "")), ("medians", .object(medians)),
            ("runs", .array(row.reports[index].map(\.document))),
        ]
    }

    private func ratios(_ row: ComparisonRow) -> [(String, JSONValue)] {
        ComparisonRow.Figure.all.compactMap { figure in row.ratio(figure).map { (figure.name, .number($0)) } }
    }

    /// The rates as bars, one pair for each load.
    public var svg: String {
        let figure = ComparisonRow.Figure.all[0]
        let (left, width, step) = (330, 820, 22)
        let most = rows.flatMap { row in row.reports.indices.compactMap { row.median(figure, of: $0) } }.max() ?? 1
        var shapes = SVG.text("confirmed messages a second", x: 20, y: 28, size: 16)
        var y = 48
        for row in rows where row.median(figure, of: 0) != nil {
            shapes += SVG.text(row.scenario.title, x: left - 10, y: y + 15, size: 12, anchor: "end")
            for broker in row.reports.indices {
                let rate = row.median(figure, of: broker) ?? 0
                let server = row.reports[broker].last?.server ?? ""
                let length = max(1, Int(rate * Double(width - left - 190) / max(most, 1)))
                shapes += SVG.rectangle(
                    x: left, y: y, width: length, height: step - 4, fill: broker == 0 ? "#d9722e" : "#7a8ca3",
                    title: "\(server): \(rate.fixed(0))")
                shapes += SVG.text("\(rate.fixed(0))  \(server)", x: left + length + 6, y: y + 14, size: 11)
                y += step
            }
            y += 10
        }
        return SVG.document(width: width, height: y + 10, shapes)
    }
}
