import Primitives
import QueueClient
import QuorumQueue

let gateway = GatewayID(node: NodeID(1), shard: 0)
let group = GroupID(7)
let firstLeader = NodeID(2)

/// A queue client that tests talk with line by line.
final class Dialogue {
    var client = QueueClient(group: group, gateway: gateway, incarnation: Incarnation(1))
    private var epoch: UInt64 = 0
    private var stretch: UInt64 = 0

    /// What a flush sends, as text.
    func flush(room: Int = .max, isPatient: Bool = false) -> [String] {
        var out: [(NodeID, ClientMessage)] = []
        client.flush(room: room, isPatient: isPatient, into: &out)
        for case (_, .resume(let request)) in out {
            epoch = request.epoch
            stretch = 0
        }
        return out.map { "\($0.0) \(describe($0.1))" }
    }

    /// The same, without what may wait for other commands.
    func patientFlush() -> [String] { flush(isPatient: true) }

    /// What a tick and the flush behind it send, as text.
    func tick(_ milliseconds: UInt64) -> [String] {
        client.tick(now: Instant(nanoseconds: milliseconds * 1_000_000))
        return flush()
    }

    /// Answers the last resume with what is applied of the sessions.
    @discardableResult
    func resumed(
        _ sessions: [UInt64: UInt64?] = [:], accepted: UInt64 = 0, unlisted: [SessionProgress] = [],
        from node: NodeID = firstLeader, term: UInt64 = 1
    ) -> [String] {
        let progress = sessions.sorted { $0.key < $1.key }.map {
            SessionProgress(number: $0.key, lastApplied: $0.value)
        }
        return receive(
            .resumed(
                ResumeReply(
                    epoch: epoch, term: Term(term), acceptedThrough: accepted, sessions: progress, unlisted: unlisted)),
            from: node)
    }

    /// The next stretch of the leader's events.
    @discardableResult
    func say(_ events: LeaderEvent..., from node: NodeID = firstLeader) -> [String] {
        stretch += 1
        return receive(stretchOf(events, epoch: epoch, number: stretch), from: node)
    }

    /// A stretch that comes out of turn.
    func sayStale(_ events: LeaderEvent..., epoch: UInt64, number: UInt64, from node: NodeID = firstLeader) -> [String]
    {
        receive(stretchOf(events, epoch: epoch, number: number), from: node)
    }

    func receive(_ message: LeaderMessage, from node: NodeID = firstLeader) -> [String] {
        var events: [QueueClientEvent] = []
        client.receive(message, from: node, into: &events)
        return events.map(describe)
    }

    private func stretchOf(_ events: [LeaderEvent], epoch: UInt64, number: UInt64) -> LeaderMessage {
        .events(
            LeaderEvents(
                epoch: epoch, number: number, gateway: gateway, incarnation: Incarnation(1), events: events))
    }

    var currentEpoch: UInt64 { epoch }

    // Read through, as expectations cannot hold a client that is not copyable.
    var leader: NodeID? { client.leader }
    var term: Term { client.term }
    var needsFlush: Bool { client.needsFlush }
    var defersSettlements: Bool { client.defersSettlements }
    var settlementRounds: UInt64 { client.settlementRounds }
    var needsTick: Bool { client.needsTick }
    var nextDeadline: Instant? { client.nextDeadline }
    var isIdle: Bool { client.isIdle }
    var isGone: Bool { client.isGone }
    var isBlocked: Bool { client.isBlocked }
    var isRelieved: Bool { client.isRelieved }
    var unansweredCommands: Int { client.unansweredCommands }
    var unansweredBytes: Int { client.unansweredBytes }
    func unanswered(_ session: SessionID) -> UInt64 { client.unanswered(session) }
    func isKnown(_ session: SessionID) -> Bool { client.isKnown(session) }

    @discardableResult
    func publish(_ session: SessionID, _ body: String) -> UInt64 {
        client.publish(session, length: body.utf8.count) { $0.copyBytes(from: body.utf8) }
    }
}

/// A client with session 5 open and attached to the leader.
func attached() -> (Dialogue, SessionID) {
    let dialogue = Dialogue()
    dialogue.client.leaderChanged(to: firstLeader, term: Term(1))
    let session = dialogue.client.openSession(number: 5)
    _ = dialogue.flush()
    dialogue.resumed([5: nil])
    dialogue.say(.applied(session: 5, through: 1))
    return (dialogue, session)
}

func deliver(
    _ session: UInt64, _ consumer: UInt32, _ first: UInt64, _ bodies: [String], redelivered: Bool = false
) -> LeaderEvent {
    .deliver(
        session: session, consumer: consumer, firstNumber: first, deliveryCount: 0, redelivered: redelivered,
        bodies: MessageBodies(Bytes(bodies.joined()), lengths: bodies.map(\.utf8.count)))
}

func describe(_ message: ClientMessage) -> String {
    switch message {
    case .resume(let request):
        let sessions = request.sessions.map { session in
            let consumers = session.consumers.filter { $0.number != 0 || $0.received != 0 }
                .map { " c\($0.number)@\($0.received)" }
            return "s\(session.number) \(session.answered)/\(session.lastSequence)\(consumers.joined())"
        }
        return "resume [" + sessions.joined(separator: ", ") + "]"
    case .commands(let message):
        return "#\(message.number) b\(message.batchID & 0xffff_ffff) " + describe(message.batch)
    case .status(_, let requestID): return "status \(requestID)"
    }
}

/// The commands of a batch: `s5@3` opens session 5's turn at number 3.
func describe(_ batch: CommandBatch) -> String {
    batch.headers.withUnsafeBytes { headers in
        var reader = CommandReader(headers)
        var words: [String] = []
        while let command = try? reader.next() {
            switch command {
            case .session(let id, let first, _): words.append("s\(id.number)@\(first)")
            case .enqueue(let run): words.append("enqueue×\(run.count)")
            case .attach(let consumer, _): words.append("attach c\(consumer)")
            case .detach(let consumer): words.append("detach c\(consumer)")
            case .settle(let consumer, let range): words.append("settle c\(consumer) \(range)")
            case .return(let consumer, let range, _): words.append("return c\(consumer) \(range)")
            case .get: words.append("get")
            case .gatewayUp(let node, let incarnation): words.append("up \(node) \(incarnation)")
            default: words.append("\(command)")
            }
        }
        return words.joined(separator: " ")
    }
}

func describe(_ event: QueueClientEvent) -> String {
    switch event {
    case .applied(let session, let through): "applied s\(session.number) \(through)"
    case .outcome(let session, let sequence, let outcome): "outcome s\(session.number) \(sequence) \(outcome)"
    case .delivered(let session, let consumer, let first, _, let redelivered, let bodies):
        "delivered s\(session.number) c\(consumer) \(first): "
            + bodies.map { String(decoding: $0) }.joined(separator: " ") + (redelivered ? " again" : "")
    case .sessionLost(let session, let loss): "lost s\(session.number) \(loss)"
    case .status(let requestID, let ready, let unacknowledged, let consumers):
        "status \(requestID): \(ready) \(unacknowledged) \(consumers)"
    case .queueGone: "gone"
    }
}
