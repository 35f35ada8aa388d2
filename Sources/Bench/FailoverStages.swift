public import Primitives

/// The stages of a failover as the surviving nodes tell them, each as the time since the fault; nil when it was not
/// told.
public struct FailoverStages: Hashable, Sendable {
    /// A survivor gave the leader up, or was asked to take over.
    public var noticed: Interval?
    /// One of them led the trial's queue.
    public var elected: Interval?
    /// It committed its first entry.
    public var committed: Interval?
    /// Every queue that had lost its leader knew another, on every survivor.
    public var allLed: Interval?
    /// How many queues that were, on the survivor that missed most.
    public var queues = 0
    /// Events were forgotten before they were asked for.
    public var isIncomplete = false

    /// Nothing is known.
    public init() {}

    /// Puts together what the survivors tell.
    ///
    /// - Parameters:
    ///   - fault: microseconds since 1970.
    ///   - leader: the name of the node that got the fault.
    package init(survivors: [NodeEvents], leader: String, queue: String, fault: UInt64) {
        isIncomplete = survivors.contains { !$0.isComplete }
        func since(_ event: BrokerEvent) -> Interval { .microseconds(event.microseconds - fault) }
        /// The first of a node's events that `isWanted`, at or after `start`.
        func first(
            _ node: NodeEvents, from start: UInt64, _ isWanted: (BrokerEvent.Kind) -> Bool
        ) -> BrokerEvent? { node.events.first { $0.microseconds >= start && isWanted($0.kind) } }

        // The leadership that counts is the first that committed something.
        let winner = survivors.compactMap { node in
            first(node, from: fault) { $0 == .committed(queue: queue) }.map { (node: node, event: $0) }
        }.min { $0.event.microseconds < $1.event.microseconds }
        if let (node, commit) = winner {
            committed = since(commit)
            let election = node.events.last {
                $0.microseconds >= fault && $0.microseconds <= commit.microseconds && $0.kind == .elected(queue: queue)
            }
            elected = election.map(since)
        }
        let signs = survivors.compactMap { node in
            first(node, from: fault) { kind in
                if case .suspected(leader, _) = kind { return true }
                return kind == .campaigned(queue: queue)
            }
        }
        noticed = signs.min { $0.microseconds < $1.microseconds }.map(since)
        for node in survivors where node.leaderless == 0 {
            for event in node.events where event.microseconds >= fault {
                guard case .allLed(let count) = event.kind else { continue }
                allLed = max(allLed ?? .zero, since(event))
                queues = max(queues, count)
            }
        }
        if survivors.contains(where: { $0.leaderless > 0 }) { allLed = nil }
    }

    /// From the fault until a survivor noticed.
    package var detection: Interval? { noticed }
    /// From there until the queue had a leader.
    package var election: Interval? { FailoverStages.between(noticed, elected) }
    /// From there until the leader had committed something.
    package var resumption: Interval? { FailoverStages.between(elected, committed) }

    private static func between(_ start: Interval?, _ end: Interval?) -> Interval? {
        guard let start, let end else { return nil }
        return (Instant.zero + end) - (Instant.zero + start)
    }

    /// ` (noticed 3.1, elected 18.2, first commit 19.0)`, what is known of it.
    package var text: String {
        var parts: [String] = []
        if let noticed { parts.append("noticed \(noticed.text)") }
        if let elected { parts.append("elected \(elected.text)") }
        if let committed { parts.append("first commit \(committed.text)") }
        if let allLed { parts.append("all \(queues) led \(allLed.text)") }
        if isIncomplete { parts.append("events missing") }
        return parts.isEmpty ? "" : " (" + parts.joined(separator: ", ") + ")"
    }

    var json: JSONValue {
        func optional(_ interval: Interval?) -> JSONValue { interval?.json ?? .null }
        return [
            ("noticed_ms", optional(noticed)), ("elected_ms", optional(elected)),
            ("first_commit_ms", optional(committed)), ("all_led_ms", optional(allLed)),
            ("queues", .integer(UInt64(queues))), ("complete", .bool(!isIncomplete)),
        ]
    }
}
