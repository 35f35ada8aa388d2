public import Primitives

/// A consumer, for people to look at.
public struct ConsumerStatus: Hashable, Sendable {
    /// The consumer.
    public var id: ConsumerID
    /// What it was attached with.
    public var options: ConsumerOptions
    /// The prefetch in force.
    public var prefetch: UInt32
    /// Messages it holds.
    public var unacknowledged: Int
    /// Whether it is served: attached, and its gateway is heard of.
    public var isActive: Bool
}

extension QueueMachine {
    /// Messages that wait.
    public var messagesReady: Int { ready.count }
    /// Messages that consumers hold.
    public var messagesUnacknowledged: Int { unsettledCount }
    /// No message waits, and no consumer holds one.
    public var isEmpty: Bool { ready.isEmpty && unsettledCount == 0 }
    /// Attached consumers.
    public var consumerCount: Int { attachedConsumers }
    /// Open sessions, suspended ones included.
    public var sessionCount: Int { sessions.count }

    /// The sessions of a node's gateways, ascending.
    public func sessions(of node: NodeID) -> [SessionID] { places(of: node).map { sessions[$0].id } }

    /// The nodes that have suspended sessions, ascending.
    public var suspendedNodes: [NodeID] {
        var found: [NodeID] = []
        for session in sessions where session.isSuspended && session.id.gateway.node != found.last {
            found.append(session.id.gateway.node)
        }
        return found
    }

    /// The nodes that have sessions, each with the newest incarnation heard of, ascending. A new leader compares them
    /// with the nodes it hears.
    public var gatewayNodes: [(node: NodeID, incarnation: Incarnation)] {
        nodes.compactMap { places(of: $0.id).isEmpty ? nil : ($0.id, $0.incarnation) }
    }

    /// The number of the session's last applied command; nil when there is no such session.
    public func lastApplied(_ session: SessionID) -> UInt64? { known(session).map { sessions[$0].lastApplied } }

    /// What the session's gateway should know of: its consumers, detached ones that hold messages included; number 0
    /// when it holds messages. Ascending.
    public func consumers(of session: SessionID) -> [ConsumerID] {
        guard let place = known(session) else { return [] }
        return sessions[place].consumers.compactMap {
            $0.number != 0 || consumers[Int($0.slot)].unsettled.count > 0
                ? ConsumerID(session: session, number: $0.number) : nil
        }
    }

    /// What the consumer holds of deliveries above `number`, as first delivered.
    public func deliveries(to consumer: ConsumerID, after number: UInt64) -> [Delivery] {
        guard let place = known(consumer.session), let slot = sessions[place].slot(of: consumer.number) else {
            return []
        }
        var found: [Delivery] = []
        consumers[slot].unsettled.forEach(after: number) { found.append(consumers[slot].delivery(of: $0)) }
        return found
    }

    /// The recorded outcomes of the session's commands above `sequence`, ascending.
    public func outcomes(of session: SessionID, after sequence: UInt64) -> [(sequence: UInt64, outcome: Outcome)] {
        guard let place = known(session) else { return [] }
        let first = sessions[place].firstOutcome(after: sequence)
        return sessions[place].outcomes[first...].map { ($0.sequence, $0.outcome) }
    }

    /// Attached consumers, ascending.
    public var consumerStatus: [ConsumerStatus] {
        sessions.flatMap { session in
            session.consumers.compactMap { known in
                let consumer = consumers[Int(known.slot)]
                guard consumer.isAttached else { return nil }
                return ConsumerStatus(
                    id: consumer.id, options: consumer.options, prefetch: consumer.prefetch,
                    unacknowledged: consumer.unsettled.count, isActive: !consumer.isSuspended)
            }
        }
    }

    /// Visits every message that the queue still needs, a stretch of one entry at a time: the ready ones in order, then
    /// those held, by consumer.
    public func forEachLive(_ visit: (_ index: LogIndex, _ ordinals: Range<Int>) -> Void) {
        func visitRun(_ first: Position, _ count: Int) {
            visit(first.index, Int(first.ordinal)..<Int(first.ordinal) + count)
        }
        ready.returned.forEach { visitRun($0.first, Int($0.count)) }
        ready.fresh.forEach { visitRun($0, $1) }
        for session in sessions {
            for consumer in session.consumers {
                consumers[Int(consumer.slot)].unsettled.forEach { visitRun($0.first, Int($0.count)) }
            }
        }
    }

    /// Every message that the queue still needs, ascending; for checkers.
    public func liveMessages() -> [MessageID] {
        var found: [MessageID] = []
        forEachLive { index, ordinals in
            for ordinal in ordinals { found.append(MessageID(index: index, ordinal: UInt16(ordinal))) }
        }
        return found.sorted()
    }

    private func known(_ session: SessionID) -> Int? {
        let place = place(of: session)
        return place < sessions.count && sessions[place].id == session ? place : nil
    }
}
