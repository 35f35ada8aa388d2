import Primitives
import QueueClient
import QuorumQueue

/// What all gateways together published and received.
struct Ledger {
    /// Times a body was published, confirmed, delivered for the first time (unflagged) and delivered again.
    struct Fate {
        var isConfirmed = false
        /// Whether its session was closed before it was confirmed: nobody waits for the confirm any more.
        var isAbandoned = false
        var first = 0
        var again = 0
    }

    var fates: [String: Fate] = [:]
    /// What must not happen, and did.
    var faults: [String] = []

    mutating func published(_ body: String) {
        if fates.updateValue(Fate(), forKey: body) != nil { faults.append("\(body) published twice") }
    }

    mutating func confirmed(_ body: String) {
        if fates[body]?.isConfirmed ?? true { faults.append("\(body) confirmed twice") }
        fates[body]?.isConfirmed = true
    }

    mutating func abandoned(_ body: String) { fates[body]?.isAbandoned = true }

    mutating func delivered(_ body: String, redelivered: Bool) {
        if redelivered { fates[body]?.again += 1 } else { fates[body, default: Fate()].first += 1 }
        if let fate = fates[body], fate.first > 1 { faults.append("\(body) delivered \(fate.first) times unflagged") }
    }
}

/// A gateway under a random load, which checks what it is told.
final class ToyGateway {
    /// What the clients of this gateway do.
    enum Manners {
        /// Nothing is given back, and no session is closed.
        case orderly
        /// Messages are given back, consumers and sessions come and go.
        case restless
    }

    private struct Consumer {
        var next: UInt64 = 1
        var unsettled: [UInt64] = []
        var isDetaching = false
        var attach: UInt64 = 0
        /// The last body of each publisher delivered unflagged.
        var last: [String: Int] = [:]
    }

    private final class Session {
        let id: SessionID
        var applied: UInt64 = 0
        var published: [(sequence: UInt64, body: String)] = []
        var consumers: [UInt32: Consumer] = [0: Consumer()]
        var nextConsumer: UInt32 = 1
        var gets: [UInt64] = []
        var counter = 0
        init(id: SessionID) { self.id = id }
    }

    let id: GatewayID
    var client: QueueClient
    private var sessions: [Session] = []
    private var closed: Set<SessionID> = []
    private var nextSession: UInt64 = 1
    private let manners: Manners

    init(node: NodeID, manners: Manners) {
        id = GatewayID(node: node, shard: 0)
        client = QueueClient(group: group, gateway: id, incarnation: Incarnation(1))
        self.manners = manners
    }

    // MARK: Load

    /// Does one thing.
    func act(_ random: inout SeededRandom, _ ledger: inout Ledger) {
        if sessions.isEmpty || (sessions.count < 4 && random.oneIn(40)) { open() }
        let session = sessions[Int(random.next(below: UInt64(sessions.count)))]
        switch random.next(below: 20) {
        case 0..<8: publish(session, count: 1 + Int(random.next(below: 6)), &ledger)
        case 8..<10 where session.consumers.count < 4: attach(session, prefetch: UInt32(1 + random.next(below: 30)))
        case 10: session.gets.append(client.get(session.id, autoAck: false))
        case 11 where manners == .restless: detach(session, &random)
        case 12 where manners == .restless && random.oneIn(6): close(session, &ledger)
        default: settle(session, &random)
        }
    }

    /// Works towards the end: settles everything, and makes sure that somebody consumes.
    func drain() {
        if sessions.isEmpty { open() }
        for session in sessions {
            if !session.consumers.contains(where: { $0.key != 0 && !$0.value.isDetaching }) {
                attach(session, prefetch: 10)
            }
            for number in session.consumers.keys.sorted() {
                for delivery in session.consumers[number]?.unsettled ?? [] {
                    client.settle(session.id, consumer: number, delivery...delivery)
                }
                session.consumers[number]?.unsettled = []
            }
        }
    }

    private func open() {
        sessions.append(Session(id: client.openSession(number: nextSession)))
        nextSession += 1
    }

    private func publish(_ session: Session, count: Int, _ ledger: inout Ledger) {
        guard !client.isBlocked else { return }
        for _ in 0..<count {
            session.counter += 1
            let body = "\(id.node.rawValue).\(session.id.number):\(session.counter)"
            let sequence = client.publish(session.id, length: body.utf8.count) { $0.copyBytes(from: body.utf8) }
            session.published.append((sequence, body))
            ledger.published(body)
        }
    }

    private func attach(_ session: Session, prefetch: UInt32) {
        let number = session.nextConsumer
        session.nextConsumer += 1
        let options = ConsumerOptions(prefetch: prefetch)
        session.consumers[number] = Consumer(attach: client.attach(session.id, consumer: number, options: options))
    }

    private func detach(_ session: Session, _ random: inout SeededRandom) {
        let attached = session.consumers.keys.filter { $0 != 0 && session.consumers[$0]?.isDetaching == false }.sorted()
        guard !attached.isEmpty else { return }
        let number = attached[Int(random.next(below: UInt64(attached.count)))]
        session.consumers[number]?.isDetaching = true
        client.detach(session.id, consumer: number)
    }

    private func close(_ session: Session, _ ledger: inout Ledger) {
        for (_, body) in session.published { ledger.abandoned(body) }
        client.closeSession(session.id)
        sessions.removeAll { $0 === session }
        closed.insert(session.id)
    }

    private func settle(_ session: Session, _ random: inout SeededRandom) {
        for number in session.consumers.keys.sorted() {
            var kept: [UInt64] = []
            for delivery in session.consumers[number]?.unsettled ?? [] {
                switch random.next(below: 10) {
                case 0..<2: kept.append(delivery)
                case 2 where manners == .restless:
                    client.return(session.id, consumer: number, delivery...delivery, counted: random.oneIn(2))
                default: client.settle(session.id, consumer: number, delivery...delivery)
                }
            }
            session.consumers[number]?.unsettled = kept
        }
    }

    // MARK: Events

    func handle(_ event: QueueClientEvent, _ ledger: inout Ledger) {
        switch event {
        case .applied(let id, let through): applied(id, through, &ledger)
        case .outcome(let id, let sequence, let outcome): self.outcome(id, sequence, outcome, &ledger)
        case .delivered(let id, let consumer, let first, _, let redelivered, let bodies):
            delivered(id, consumer, first, redelivered, bodies, &ledger)
        case .sessionLost(let id, let loss): ledger.faults.append("\(id) lost: \(loss)")
        case .status, .queueGone: ledger.faults.append("unexpected \(event)")
        }
    }

    private func session(_ id: SessionID) -> Session? { sessions.first { $0.id == id } }

    private func applied(_ id: SessionID, _ through: UInt64, _ ledger: inout Ledger) {
        if closed.contains(id) { return }
        guard let session = session(id), through > session.applied else {
            ledger.faults.append("\(id) applied \(through) again")
            return
        }
        session.applied = through
        let confirmed = session.published.prefix { $0.sequence <= through }
        for (_, body) in confirmed { ledger.confirmed(body) }
        session.published.removeFirst(confirmed.count)
        if let get = session.gets.first, get <= through { ledger.faults.append("\(id) get \(get) without an outcome") }
    }

    private func outcome(_ id: SessionID, _ sequence: UInt64, _ outcome: Outcome, _ ledger: inout Ledger) {
        guard let session = session(id), session.gets.first == sequence else {
            ledger.faults.append("\(id) outcome \(outcome) of \(sequence)")
            return
        }
        session.gets.removeFirst()
    }

    private func delivered(
        _ id: SessionID, _ number: UInt32, _ first: UInt64, _ redelivered: Bool, _ bodies: MessageBodies,
        _ ledger: inout Ledger
    ) {
        guard let session = session(id), var consumer = session.consumers[number],
            consumer.next == first, session.applied >= consumer.attach
        else {
            ledger.faults.append("\(id) c\(number) delivery \(first) out of turn")
            return
        }
        for body in bodies {
            let text = String(decoding: body)
            ledger.delivered(text, redelivered: redelivered)
            if !redelivered { note(text, in: &consumer, &ledger) }
            consumer.unsettled.append(consumer.next)
            consumer.next += 1
        }
        session.consumers[number] = consumer
    }

    private func note(_ body: String, in consumer: inout Consumer, _ ledger: inout Ledger) {
        let parts = body.split(separator: ":")
        guard parts.count == 2, let counter = Int(parts[1]) else {
            ledger.faults.append("body \(body)")
            return
        }
        let publisher = String(parts[0])
        if counter <= consumer.last[publisher] ?? 0 { ledger.faults.append("\(body) out of order") }
        consumer.last[publisher] = counter
    }

    /// Whether everything is answered, settled and given up.
    var isQuiet: Bool {
        client.unansweredCommands == 0
            && sessions.allSatisfy { $0.consumers.values.allSatisfy { $0.unsettled.isEmpty } }
    }
}
