public import Primitives

/// What a storm showed.
public struct StormReport: Sendable {
    /// What was asked for.
    public let options: StormOptions
    /// How long faults were made.
    public var seconds = 0.0
    /// Stretches of one or two faults at a time.
    public var rounds = 0
    /// How many of each kind were made.
    public var faults: [StormFaultKind: Int] = [:]
    /// Messages that publishers sent, each counted once.
    public var messages: UInt64 = 0
    /// The counts. A message sent again on another connection counts as another one here, except in `resent`.
    public var integrity = Integrity()
    /// Deliveries with the redelivered flag.
    public var redeliveries: UInt64 = 0
    /// Deliveries that consumers gave back on purpose.
    public var returned: UInt64 = 0
    /// Sends that the broker refused; they were sent again.
    public var nacks: UInt64 = 0
    /// Deliveries of messages whose ack had been taken over.
    public var undone: UInt64 = 0
    /// Deliveries beyond a consumer's prefetch.
    public var excess: UInt64 = 0
    /// Confirms that repeated an earlier one.
    public var repeatedConfirms: UInt64 = 0
    /// Messages that stand in the queues at the end.
    public var left: UInt64 = 0
    /// Connections that clients lost.
    public var connectionsLost = 0
    /// The longest time a queue was without a confirm.
    public var longestOutage = Interval.zero
    /// The queue's number.
    public var longestOutageQueue = 0
    /// When it began.
    public var longestOutageAt = Interval.zero
    /// The first messages that violate a promise, one line each.
    public var notes: [String] = []
    /// What else went wrong: nodes that ended by themselves, scripts that failed, breaches of protocol.
    public var problems: [String] = []

    package init(options: StormOptions) { self.options = options }

    /// How many faults were made.
    public var faultCount: Int { faults.values.reduce(0, +) }

    /// The broker kept its promises, and the storm was what it should be: the exit status hangs on it.
    public var isClean: Bool {
        integrity.isClean && integrity.unconfirmed == 0 && integrity.foreign == 0 && undone == 0 && excess == 0
            && repeatedConfirms == 0 && left == 0 && problems.isEmpty
    }

    /// Some lines, the verdict last.
    public var text: String {
        let kinds = StormFaultKind.allCases.compactMap { kind in faults[kind].map { "\(kind.rawValue) \($0)" } }
        var lines = [
            "\(faultCount) faults in \(seconds.fixed(1)) s, seed \(options.seed): " + kinds.joined(separator: ", "),
            """
            \(messages) messages: \(integrity.confirmed) confirmed, \(integrity.deliveries) delivered, \
            \(integrity.resent) resent, \(redeliveries) redelivered (\(returned) given back); \(nacks) nacks, \
            \(connectionsLost) connections lost
            """,
            """
            longest outage \(longestOutage.inSeconds.fixed(2)) s of queue \(longestOutageQueue), from \
            \(longestOutageAt.inSeconds.fixed(1)) s on
            """,
        ]
        lines += notes.map { "  " + $0 }
        lines += problems.map { "  problem: " + $0 }
        return (lines + [verdict]).joined(separator: "\n")
    }

    /// `lost 0, unexplained duplicates 0, order violations 0, acks undone 0`, and what else is wrong.
    public var verdict: String {
        var text = """
            lost \(integrity.lost), unexplained duplicates \(integrity.duplicatesUnexplained), order violations \
            \(integrity.reordered), acks undone \(undone)
            """
        func add(_ count: UInt64, _ what: String) { if count > 0 { text += ", \(what) \(count)" } }
        add(integrity.corrupt, "corrupt")
        add(integrity.foreign, "foreign")
        add(integrity.unconfirmed, "unconfirmed")
        add(excess, "beyond the prefetch")
        add(repeatedConfirms, "repeated confirms")
        add(left, "left in the queues")
        add(UInt64(problems.count), "problems")
        return text
    }

    /// All of it as a JSON document on one line.
    public var json: String {
        let kinds = StormFaultKind.allCases.map { ($0.rawValue, JSONValue.integer(UInt64(faults[$0] ?? 0))) }
        let document: JSONValue = [
            ("ok", .bool(isClean)), ("seed", .integer(options.seed)), ("seconds", .number(seconds)),
            ("nodes", .integer(UInt64(options.addresses.count))), ("queues", .integer(UInt64(options.queues))),
            ("publishers", .integer(UInt64(options.publishers))),
            ("consumers", .integer(UInt64(options.consumers))), ("rounds", .integer(UInt64(rounds))),
            ("faults", .integer(UInt64(faultCount))), ("faults_by_kind", .object(kinds)),
            ("messages", .integer(messages)), ("confirmed", .integer(integrity.confirmed)),
            ("delivered", .integer(integrity.deliveries)), ("resent", .integer(integrity.resent)),
            ("redelivered", .integer(redeliveries)), ("given_back", .integer(returned)), ("nacks", .integer(nacks)),
            ("connections_lost", .integer(UInt64(connectionsLost))),
            (
                "longest_outage",
                [
                    ("seconds", .number(longestOutage.inSeconds)),
                    ("queue", .integer(UInt64(longestOutageQueue))), ("at_seconds", .number(longestOutageAt.inSeconds)),
                ]
            ),
            ("lost", .integer(integrity.lost)),
            ("duplicates_unexplained", .integer(integrity.duplicatesUnexplained)),
            ("order_violations", .integer(integrity.reordered)), ("acks_undone", .integer(undone)),
            ("corrupt", .integer(integrity.corrupt)), ("foreign", .integer(integrity.foreign)),
            ("unconfirmed", .integer(integrity.unconfirmed)), ("beyond_prefetch", .integer(excess)),
            ("repeated_confirms", .integer(repeatedConfirms)), ("left", .integer(left)),
            ("notes", .array(notes.map { .string($0) })), ("problems", .array(problems.map { .string($0) })),
        ]
        return document.text
    }
}
