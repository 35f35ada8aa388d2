public import Primitives
public import QuorumQueue

extension LeaderPort {
    /// Bytes of bodies after which a message to a gateway is closed.
    static let messageSize = 1 << 20
    /// Deliveries behind one that waits for its bodies that the source is told of.
    static let prefetchCount = 32
    /// Reports of progress that wait for deliveries before those of one session are joined.
    static let reportLimit = 1_024

    /// Notes the effects of an entry that was applied, for the gateways that are attached. What concerns others they
    /// learn from the machine's state when they resume.
    public mutating func perform(_ effects: [QueueEffect]) {
        guard isCaughtUp, !gateways.isEmpty else { return }
        for effect in effects {
            switch effect {
            case .applied(let id, let through):
                guard let place = streaming(id) else { continue }
                gateways[place].applied.append((id.number, through))
            case .outcome(let id, let sequence, let outcome):
                guard let place = streaming(id) else { continue }
                gateways[place].events.append(.outcome(session: id.number, sequence: sequence, outcome))
            case .refused(let id, let reason):
                guard let place = streaming(id) else { continue }
                gateways[place].events.append(.refused(session: id.number, reason))
            case .outOfSequence(let id, let expected):
                guard let place = streaming(id) else { continue }
                gateways[place].events.append(.outOfSequence(session: id.number, expected: expected))
            case .sessionClosed(let id):
                guard let place = streaming(id) else { continue }
                gateways[place].events.append(.sessionClosed(session: id.number))
            case .deliver(let delivery):
                guard let place = streaming(delivery.consumer.session) else { continue }
                gateways[place].deliveries.append(delivery)
            }
        }
    }

    private func streaming(_ session: SessionID) -> Int? {
        let place = place(of: session.gateway)
        guard place < gateways.count, gateways[place].id == session.gateway, gateways[place].phase == .streaming,
            gateways[place].incarnation == session.incarnation
        else { return nil }
        return place
    }

    /// The end of a loop tick, or the arrival of bodies: appends what can be sent.
    /// - Parameters:
    ///   - isBackedUp: whether the link to a node has more than it can take; deliveries to it wait, answers do not.
    ///   - byteLimit: bytes of bodies for one gateway at which the rest waits for another flush; see `isPostponed`.
    public mutating func flush(
        from source: inout some MessageBodySource, isBackedUp: (NodeID) -> Bool, byteLimit: Int = .max,
        into out: inout [(GatewayID, LeaderMessage)]
    ) {
        out += answers
        answers.removeAll()
        for place in gateways.indices where gateways[place].hasNews {
            let isFull = gateways[place].hasDeliveries && isBackedUp(gateways[place].id.node)
            gateways[place].flush(from: &source, isBackedUp: isFull, byteLimit: byteLimit, into: &out)
        }
    }
}

extension Attachment {
    var hasDeliveries: Bool { !deliveries.isEmpty || !waiting.isEmpty }

    /// Sends the resume's answer, then outcomes, deliveries as far as their bodies are there, and progress: a session's
    /// after the deliveries that came before it, so that a detach is answered after the last delivery.
    mutating func flush(
        from source: inout some MessageBodySource, isBackedUp: Bool, byteLimit: Int,
        into out: inout [(GatewayID, LeaderMessage)]
    ) {
        if let reply {
            out.append((id, .resumed(reply)))
            self.reply = nil
        }
        var room = ByteRoom(limit: byteLimit)
        if !isBackedUp { deliverWaiting(from: &source, &room, into: &out) }
        deliverFresh(from: &source, isBackedUp: isBackedUp, &room, into: &out)
        isPostponed = room.isFull && !waiting.isEmpty
        report()
        send(into: &out)
    }

    private mutating func deliverWaiting(
        from source: inout some MessageBodySource, _ room: inout ByteRoom, into out: inout [(GatewayID, LeaderMessage)]
    ) {
        while !room.isFull, let next = waiting.first {
            let bodies = source.bodies(of: next)
            guard bodies != nil || source.isGone(next) else {
                for place in 1..<max(1, min(waiting.count, LeaderPort.prefetchCount)) {
                    source.prefetch(waiting[place])
                }
                return
            }
            waiting.popFirst()
            let session = next.consumer.session.number
            let left = (waitingSessions[session] ?? 1) - 1
            waitingSessions[session] = left == 0 ? nil : left
            if let bodies { deliver(next, bodies, &room, into: &out) }
        }
    }

    private mutating func deliverFresh(
        from source: inout some MessageBodySource, isBackedUp: Bool, _ room: inout ByteRoom,
        into out: inout [(GatewayID, LeaderMessage)]
    ) {
        for delivery in deliveries {
            if waiting.isEmpty, !isBackedUp, !room.isFull, let bodies = source.bodies(of: delivery) {
                deliver(delivery, bodies, &room, into: &out)
            } else {
                if !isBackedUp && !room.isFull && !waiting.isEmpty && waiting.count < LeaderPort.prefetchCount {
                    source.prefetch(delivery)
                }
                waiting.append(delivery)
                waitingSessions[delivery.consumer.session.number, default: 0] += 1
            }
        }
        deliveries.removeAll(keepingCapacity: deliveries.count <= 1_024)
    }

    private mutating func deliver(
        _ delivery: Delivery, _ bodies: MessageBodies, _ room: inout ByteRoom,
        into out: inout [(GatewayID, LeaderMessage)]
    ) {
        precondition(bodies.count == Int(delivery.count))
        room.total += bodies.bytes.count
        room.message += bodies.bytes.count
        events.append(
            .deliver(
                session: delivery.consumer.session.number, consumer: delivery.consumer.number,
                firstNumber: delivery.firstNumber, deliveryCount: delivery.deliveryCount,
                redelivered: delivery.redelivered, bodies: bodies))
        if room.message >= LeaderPort.messageSize {
            send(into: &out)
            room.message = 0
        }
    }

    /// Moves progress to the events, as far as it need not wait.
    private mutating func report() {
        if waiting.isEmpty {
            for (session, through) in applied { events.append(.applied(session: session, through: through)) }
            applied.removeAll(keepingCapacity: applied.count <= 1_024)
            return
        }
        var kept = 0
        for place in applied.indices {
            let next = applied[place]
            if waitingSessions[next.session] == nil {
                events.append(.applied(session: next.session, through: next.through))
            } else {
                applied[kept] = next
                kept += 1
            }
        }
        applied.removeLast(applied.count - kept)
        if kept > LeaderPort.reportLimit { coalesceApplied() }
    }

    /// Keeps the newest progress of each session, so that what waits is bounded by the sessions.
    private mutating func coalesceApplied() {
        applied.sort { ($0.session, $0.through) < ($1.session, $1.through) }
        var kept = 0
        for place in 1..<applied.count {
            if applied[place].session != applied[kept].session { kept += 1 }
            applied[kept] = applied[place]
        }
        applied.removeLast(applied.count - kept - 1)
    }

    private mutating func send(into out: inout [(GatewayID, LeaderMessage)]) {
        var start = 0
        while start < events.count {
            let end = min(events.count, start + LeaderEvents.limit)
            let part = start == 0 && end == events.count ? events : Array(events[start..<end])
            out.append(
                (
                    id,
                    .events(
                        LeaderEvents(
                            epoch: epoch, number: nextNumber, gateway: id, incarnation: incarnation, events: part))
                ))
            nextNumber += 1
            start = end
        }
        events = []
    }
}

/// The bytes of bodies that one flush sends to one gateway.
private struct ByteRoom {
    let limit: Int
    var total = 0
    /// Of them those in the message under construction.
    var message = 0

    var isFull: Bool { total >= limit }
}
