public import Primitives

/// What one trial showed.
public struct FailoverTrialReport: Sendable {
    /// From 1.
    public var number: Int
    /// The trial's queue.
    public var queue: String
    /// Product and version of the broker, as it gives them.
    public var server = ""
    /// What the node that led the queue got.
    public var fault = FailoverFault.kill
    /// Its number.
    public var leader = 0
    /// Its process.
    public var process: Int32 = 0
    /// From the fault until a send after it was confirmed; nil for never.
    public var firstConfirm: Interval?
    /// From the fault until a message sent after it was delivered; nil for never.
    public var firstDelivery: Interval?
    /// The longest time without a confirm or without a delivery that began between the fault and the new leader's first
    /// commit, what precedes the first new one included; nil when the service did not come back.
    public var unavailability: Interval?
    /// What the surviving nodes tell of the failover; nil without an observer.
    public var stages: FailoverStages?
    /// From the leader's first commit until clients had their confirms and deliveries; nil when that is not known.
    public var clients: Interval?
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
    /// Why the clients lost their connections, the last reason of each.
    public var losses: [String] = []
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
        let takenOver = ledger.faultAt.flatMap { fault in stages?.committed.map { fault + $0 } }
        let outage = ledger.outage(takenOver: takenOver)
        unavailability = outage?.length
        if let outage, let takenOver { clients = outage.began + outage.length - takenOver }
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
        let told = stages?.text ?? ""
        var text = """
            trial \(number): node \(leader) \(fault.participle), \
            unavailable \(after(unavailability)) ms\(told); \
            first new confirm \(after(firstConfirm)), delivery \(after(firstDelivery)) ms; \
            \(integrity.sent) sent, \(integrity.confirmed) confirmed, \(integrity.deliveries) delivered, \
            \(integrity.verdict)
            """
        if integrity.resent > 0 || integrity.duplicatesFlagged > 0 || integrity.duplicatesUnflagged > 0 {
            text += """
                 (sent again \(integrity.resent), delivered again: flagged \(integrity.duplicatesFlagged), \
                unflagged \(integrity.duplicatesUnflagged))
                """
        }
        if !losses.isEmpty { text += "; connections lost: " + losses.joined(separator: ", ") }
        for problem in problems { text += "; " + problem }
        return text
    }

    var json: JSONValue {
        func optional(_ interval: Interval?) -> JSONValue { interval?.json ?? .null }
        return [
            ("trial", .integer(UInt64(number))), ("ok", .bool(isClean)), ("queue", .string(queue)),
            ("leader", .integer(UInt64(leader))), ("leader_pid", .integer(UInt64(max(0, process)))),
            ("unavailability_ms", optional(unavailability)), ("stages", stages?.json ?? .null),
            ("clients_ms", optional(clients)), ("first_new_confirm_ms", optional(firstConfirm)),
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
            ("losses", .array(losses.map { .string($0) })), ("problems", .array(problems.map { .string($0) })),
        ]
    }
}
