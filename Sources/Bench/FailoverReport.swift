import Primitives

/// What a run of the failover probe showed.
public struct FailoverReport: Sendable {
    /// What was asked for.
    public let options: FailoverOptions
    /// The trials that were made.
    public var trials: [FailoverTrialReport] = []

    package init(options: FailoverOptions) { self.options = options }

    /// Every trial was: the exit status hangs on it.
    public var isClean: Bool { trials.count == options.trials && trials.allSatisfy(\.isClean) }

    /// The counts of all trials.
    public var integrity: Integrity { trials.reduce(Integrity()) { $0 + $1.integrity } }

    var unavailability: Spread? { Spread(trials.compactMap(\.unavailability)) }
    var allLed: Spread? { Spread(trials.compactMap { $0.stages?.allLed }) }

    /// A row of the table: its name, its member in JSON, its values.
    private var rows: [(name: String, member: String, values: [Interval])] {
        let stages = trials.compactMap(\.stages)
        return [
            ("unavailable", "unavailability_ms", trials.compactMap(\.unavailability)),
            ("  detection", "detection_ms", stages.compactMap(\.detection)),
            ("  election", "election_ms", stages.compactMap(\.election)),
            ("  resumption", "resumption_ms", stages.compactMap(\.resumption)),
            ("  clients", "clients_ms", trials.compactMap(\.clients)),
            ("first new confirm", "first_new_confirm_ms", trials.compactMap(\.firstConfirm)),
            ("first new delivery", "first_new_delivery_ms", trials.compactMap(\.firstDelivery)),
            ("longest confirm gap", "longest_confirm_gap_ms", trials.map(\.longestConfirmGap)),
            ("longest delivery gap", "longest_delivery_gap_ms", trials.map(\.longestDeliveryGap)),
            ("all queues led", "all_led_ms", stages.compactMap(\.allLed)),
        ]
    }

    /// Percentiles, a histogram for the terminal, and `lastLine`.
    public var text: String {
        var text = ""
        for row in rows {
            guard let spread = Spread(row.values) else { continue }
            text += row.name + String(repeating: " ", count: max(1, 24 - row.name.count)) + spread.text + "\n"
        }
        if let unavailability { text += "\n" + unavailability.terminalHistogram + "\n" }
        return text + lastLine
    }

    /// `lost 0, duplicates 0, reordered 0; unavailable median 43.1 ms, worst 60.2 ms (3 trials)`.
    public var lastLine: String {
        var text = integrity.verdict
        if let spread = unavailability {
            text += "; unavailable median \(spread.median.text) ms, worst \(spread.maximum.text) ms"
        }
        text += " (\(trials.count) \(trials.count == 1 ? "trial" : "trials"))"
        let stuck = trials.count { $0.unavailability == nil }
        if stuck > 0 { text += "; \(stuck) without recovery" }
        return text
    }

    /// All of it as a JSON document on one line.
    public var json: String {
        let spreads = rows.map { ($0.member, Spread($0.values)?.json ?? JSONValue.null) }
        let document: JSONValue = [
            ("server", .string(trials.first?.server ?? "")), ("fault", .string(options.fault.rawValue)),
            ("clients", .string(options.clients.rawValue)), ("interval_ms", options.interval.json),
            ("size", .integer(UInt64(options.bodySize))), ("idle_queues", .integer(UInt64(options.idleQueues))),
            ("trials", .array(trials.map(\.json))),
            ("summary", .object([("ok", .bool(isClean))] + spreads + [("integrity", integrity.json)])),
        ]
        return document.text
    }

    /// The histogram of unavailability, and below it the stages of each trial, as an SVG document.
    public var svg: String {
        let chart = FailoverChart(
            title: "Unavailability of a queue whose leader is \(options.fault.participle), clients on: "
                + options.clients.rawValue,
            note: lastLine, unavailability: unavailability,
            stages: trials.compactMap { trial in
                guard let stages = trial.stages, let detection = stages.detection, let election = stages.election,
                    let resumption = stages.resumption, let clients = trial.clients
                else { return nil }
                return [detection, election, resumption, clients]
            })
        return chart.svg
    }
}
