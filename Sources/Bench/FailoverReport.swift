public import Primitives

/// What one trial showed.
public struct FailoverTrialReport: Sendable {
    /// From 1.
    public var number: Int
    /// The trial's queue.
    public var queue: String
    /// Product and version of the broker, as it gives them.
    public var server = ""
    /// The number of the node that led the queue and got the fault.
    public var leader = 0
    /// Its process.
    public var process: Int32 = 0
    /// From the fault until a send after it was confirmed; nil for never.
    public var firstConfirm: Interval?
    /// From the fault until a message sent after it was delivered; nil for never.
    public var firstDelivery: Interval?
    /// From the fault until both; nil for never.
    public var unavailability: Interval?
    /// The longest time without a confirm that ended between the fault and the node's return.
    public var longestConfirmGap = Interval.zero
    /// The longest time without a delivery that ended between the fault and the node's return.
    public var longestDeliveryGap = Interval.zero
    /// The longest time without a confirm while the node came back and after.
    public var confirmGapAfterRestart = Interval.zero
    /// The longest time without a delivery while the node came back and after.
    public var deliveryGapAfterRestart = Interval.zero
    /// The longest time without a confirm in the steady traffic before the fault.
    public var confirmGapBefore = Interval.zero
    /// From due to confirmed, before the fault.
    public var latenciesBefore = LatencySummary()
    /// The longest time from due to confirmed, over the whole trial.
    public var worstConfirm = Interval.zero
    /// How long the node took to serve again.
    public var restart = Interval.zero
    /// The counts.
    public var integrity = Integrity()
    /// Messages the broker refused; they were sent again.
    public var nacks: UInt64 = 0
    /// Confirms that repeated an earlier one.
    public var repeatedConfirms: UInt64 = 0
    /// Connections of the publisher after its first.
    public var publisherReconnects = 0
    /// Connections of the consumer after its first.
    public var consumerReconnects = 0
    /// What else went wrong.
    public var problems: [String] = []

    package init(number: Int, queue: String) {
        self.number = number
        self.queue = queue
    }

    /// Takes over what a ledger has gathered.
    package mutating func take(_ ledger: TrialLedger) {
        if let fault = ledger.faultAt {
            firstConfirm = ledger.firstConfirm.map { $0 - fault }
            firstDelivery = ledger.firstDelivery.map { $0 - fault }
        }
        unavailability = ledger.unavailability
        longestConfirmGap = ledger.confirmGaps[TrialLedger.Phase.outage.rawValue].length
        longestDeliveryGap = ledger.deliveryGaps[TrialLedger.Phase.outage.rawValue].length
        confirmGapAfterRestart = ledger.confirmGaps[TrialLedger.Phase.restored.rawValue].length
        deliveryGapAfterRestart = ledger.deliveryGaps[TrialLedger.Phase.restored.rawValue].length
        confirmGapBefore = ledger.confirmGaps[TrialLedger.Phase.before.rawValue].length
        latenciesBefore = ledger.latenciesBefore
        worstConfirm = ledger.worstConfirm
        integrity = ledger.integrity
        nacks = ledger.nacks
    }

    /// Nothing was lost, invented or reordered, everything was confirmed, and service came back.
    public var isClean: Bool {
        integrity.isClean && integrity.unconfirmed == 0 && unavailability != nil && problems.isEmpty
    }

    /// One line.
    public var text: String {
        func after(_ interval: Interval?) -> String { interval.map(\.text) ?? "never" }
        var text = """
            trial \(number): node \(leader) killed, unavailable \(after(unavailability)) ms \
            (confirm \(after(firstConfirm)), delivery \(after(firstDelivery))), longest gap: \
            confirms \(longestConfirmGap.text), deliveries \(longestDeliveryGap.text) ms; \
            \(integrity.sent) sent, \(integrity.confirmed) confirmed, \(integrity.deliveries) delivered, \
            \(integrity.verdict)
            """
        if integrity.resent > 0 || integrity.duplicatesFlagged > 0 || integrity.duplicatesUnflagged > 0 {
            text += """
                 (sent again \(integrity.resent), delivered again: flagged \(integrity.duplicatesFlagged), \
                unflagged \(integrity.duplicatesUnflagged))
                """
        }
        for problem in problems { text += "; " + problem }
        return text
    }

    var json: JSONValue {
        func optional(_ interval: Interval?) -> JSONValue { interval?.json ?? .null }
        return [
            ("trial", .integer(UInt64(number))), ("ok", .bool(isClean)), ("queue", .string(queue)),
            ("leader", .integer(UInt64(leader))), ("leader_pid", .integer(UInt64(max(0, process)))),
            ("unavailability_ms", optional(unavailability)), ("first_new_confirm_ms", optional(firstConfirm)),
            ("first_new_delivery_ms", optional(firstDelivery)), ("longest_confirm_gap_ms", longestConfirmGap.json),
            ("longest_delivery_gap_ms", longestDeliveryGap.json),
            (
                "after_restart",
                [
                    ("longest_confirm_gap_ms", confirmGapAfterRestart.json),
                    ("longest_delivery_gap_ms", deliveryGapAfterRestart.json), ("restart_ms", restart.json),
                ]
            ),
            ("before_fault", [("latency", latenciesBefore.json), ("longest_confirm_gap_ms", confirmGapBefore.json)]),
            ("worst_confirm_latency_ms", worstConfirm.json), ("integrity", integrity.json),
            ("nacks", .integer(nacks)), ("repeated_confirms", .integer(repeatedConfirms)),
            ("publisher_reconnects", .integer(UInt64(publisherReconnects))),
            ("consumer_reconnects", .integer(UInt64(consumerReconnects))),
            ("problems", .array(problems.map { .string($0) })),
        ]
    }
}

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

    /// Percentiles, a histogram for the terminal, and `lastLine`.
    public var text: String {
        var text = ""
        func line(_ name: String, _ values: [Interval]) {
            guard let spread = Spread(values) else { return }
            text += name + String(repeating: " ", count: max(1, 24 - name.count)) + spread.text + "\n"
        }
        line("unavailable", trials.compactMap(\.unavailability))
        line("first new confirm", trials.compactMap(\.firstConfirm))
        line("first new delivery", trials.compactMap(\.firstDelivery))
        line("longest confirm gap", trials.map(\.longestConfirmGap))
        line("longest delivery gap", trials.map(\.longestDeliveryGap))
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
        func spread(_ values: [Interval]) -> JSONValue { Spread(values)?.json ?? .null }
        let document: JSONValue = [
            ("server", .string(trials.first?.server ?? "")), ("fault", .string(options.fault.rawValue)),
            ("clients", .string(options.clients.rawValue)), ("interval_ms", options.interval.json),
            ("size", .integer(UInt64(options.bodySize))), ("idle_queues", .integer(UInt64(options.idleQueues))),
            ("trials", .array(trials.map(\.json))),
            (
                "summary",
                [
                    ("ok", .bool(isClean)), ("unavailability_ms", spread(trials.compactMap(\.unavailability))),
                    ("first_new_confirm_ms", spread(trials.compactMap(\.firstConfirm))),
                    ("first_new_delivery_ms", spread(trials.compactMap(\.firstDelivery))),
                    ("longest_confirm_gap_ms", spread(trials.map(\.longestConfirmGap))),
                    ("longest_delivery_gap_ms", spread(trials.map(\.longestDeliveryGap))),
                    ("integrity", integrity.json),
                ]
            ),
        ]
        return document.text
    }

    /// The histogram of unavailability as an SVG document.
    public var svg: String {
        let title = "Unavailability of a queue whose leader gets: \(options.fault.rawValue)"
        return unavailability?.svgHistogram(title: title, note: lastLine)
            ?? Spread.emptySVG(title: title, note: lastLine)
    }
}
