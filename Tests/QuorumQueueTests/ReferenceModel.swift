import Primitives
import QuorumQueue

/// What a queue promises, written as plainly as possible: a list of messages, dictionaries, one step a message.
struct ReferenceModel {
    struct Message: Equatable {
        var id: MessageID
        var deliveryCount: UInt32 = 0
        var redelivered = false
        var holder: ConsumerID?
        var number: UInt64 = 0
    }
    struct Consumer {
        var prefetch: Int
        var priority: Int32
        var exclusive: Bool
        var attached: Bool
        var next: UInt64 = 1
    }
    struct Session {
        var last: UInt64 = 1
        var lowWater: UInt64 = 0
        var outcomes: [UInt64: Outcome] = [:]
        var suspended = false
        var consumers: [UInt32: Consumer] = [:]
    }

    /// All messages of the queue in log order, ready and held.
    var messages: [Message] = []
    var sessions: [SessionID: Session] = [:]
    var opened: [GatewayID: (UInt32, UInt64)] = [:]
    var incarnations: [NodeID: Incarnation] = [:]
    /// Consumers in turn.
    var turn: [ConsumerID] = []
    var effects: [QueueEffect] = []
    /// Messages by holder, counted along: counting them anew would make the model useless for long streams.
    private var holds: [ConsumerID: Int] = [:]

    mutating func apply(index: LogIndex, _ commands: [Command]) -> [QueueEffect] {
        effects = []
        var touched: [SessionID] = []
        var through: [SessionID: UInt64] = [:]
        var current: (id: SessionID, next: UInt64, refused: Bool)?
        var ordinal: UInt16 = 0
        for command in commands {
            if case .session(let id, let first, let lowWater) = command {
                current = (id, first, false)
                if let session = sessions[id], min(lowWater, session.last) > session.lowWater {
                    sessions[id]?.lowWater = min(lowWater, session.last)
                    sessions[id]?.outcomes = session.outcomes.filter { $0.key > min(lowWater, session.last) }
                }
                continue
            }
            if command.isLeaders {
                current = nil
                leader(command)
                continue
            }
            for _ in 0..<command.count {
                if case .enqueue = command { ordinal += 1 }
                guard let (id, sequence, refused) = current, !refused else { continue }
                current?.next += 1
                guard sessions[id] != nil || command == .open && sequence == 1 else {
                    current?.refused = true
                    effects.append(.refused(id, .unknown))
                    continue
                }
                if sessions[id] == nil {
                    guard open(id) else {
                        current?.refused = true
                        effects.append(.refused(id, .stale))
                        continue
                    }
                } else if let last = sessions[id]?.last, sequence > last + 1 {
                    current?.refused = true
                    effects.append(.outOfSequence(id, expected: last + 1))
                    continue
                } else if let last = sessions[id]?.last, sequence <= last {
                    if let outcome = sessions[id]?.outcomes[sequence] {
                        effects.append(.outcome(id, sequence: sequence, outcome))
                    }
                } else {
                    sessions[id]?.last = sequence
                    through[id] = sequence
                    perform(command, id, sequence, MessageID(index: index, ordinal: ordinal &- 1))
                }
                if !touched.contains(id) { touched.append(id) }
                if let last = sessions[id]?.last { through[id] = last }
            }
        }
        for id in touched { effects.append(.applied(id, through: through[id] ?? 0)) }
        serve()
        return effects
    }

    private mutating func open(_ id: SessionID) -> Bool {
        guard raise(id.gateway.node, id.incarnation) else { return false }
        if let highest = opened[id.gateway], (id.incarnation.rawValue, id.number) <= highest { return false }
        opened[id.gateway] = (id.incarnation.rawValue, id.number)
        sessions[id] = Session()
        return true
    }

    private mutating func raise(_ node: NodeID, _ incarnation: Incarnation) -> Bool {
        if let known = incarnations[node], known > incarnation { return false }
        incarnations[node] = incarnation
        for id in sessions.keys.sorted() where id.gateway.node == node && id.incarnation < incarnation { expire(id) }
        return true
    }

    private mutating func expire(_ id: SessionID) {
        effects.append(.sessionClosed(id))
        close(id)
    }

    private mutating func close(_ id: SessionID) {
        for at in messages.indices where messages[at].holder?.session == id { giveBack(at, counted: true) }
        turn.removeAll { $0.session == id }
        sessions[id] = nil
    }

    private mutating func giveBack(_ at: Int, counted: Bool) {
        if let holder = messages[at].holder { holds[holder, default: 0] -= 1 }
        messages[at].holder = nil
        messages[at].redelivered = true
        if counted { messages[at].deliveryCount += 1 }
    }

    private mutating func leader(_ command: Command) {
        switch command {
        case .gatewayDown(let node):
            for id in sessions.keys where id.gateway.node == node { sessions[id]?.suspended = true }
        case .gatewayUp(let node, let incarnation):
            guard raise(node, incarnation) else { return }
            for id in sessions.keys.sorted() where id.gateway.node == node {
                sessions[id]?.suspended = false
                for number in (sessions[id]?.consumers.keys).map({ $0.sorted() }) ?? [] {
                    enlist(ConsumerID(session: id, number: number))
                }
            }
        case .gatewayExpired(let node):
            for id in sessions.keys.sorted() where id.gateway.node == node && sessions[id]?.suspended == true {
                expire(id)
            }
        case .detachUnknown(let id):
            for at in messages.indices where messages[at].holder == id { giveBack(at, counted: false) }
            detach(id)
        default: break
        }
    }

    private mutating func perform(_ command: Command, _ id: SessionID, _ sequence: UInt64, _ message: MessageID) {
        switch command {
        case .enqueue: messages.append(Message(id: message))
        case .close: close(id)
        case .attach(let number, let options):
            if let refusal = attach(ConsumerID(session: id, number: number), options) {
                record(.consumerRefused(refusal), id, sequence)
            }
        case .detach(let number): detach(ConsumerID(session: id, number: number))
        case .setPrefetch(let number, let prefetch):
            sessions[id]?.consumers[number]?.prefetch = prefetch == 0 ? 2_000 : Int(prefetch)
            enlist(ConsumerID(session: id, number: number))
        case .settle(let number, let numbers), .discard(let number, let numbers):
            let consumer = ConsumerID(session: id, number: number)
            let before = messages.count
            messages.removeAll { numbers.contains($0.number) && $0.holder == consumer }
            holds[consumer, default: 0] -= before - messages.count
            released(consumer)
        case .return(let number, let numbers, let counted):
            let consumer = ConsumerID(session: id, number: number)
            for at in messages.indices where numbers.contains(messages[at].number) && messages[at].holder == consumer {
                giveBack(at, counted: counted)
            }
            released(consumer)
        case .get: get(id, sequence)
        case .purge:
            let before = messages.count
            messages.removeAll { $0.holder == nil }
            record(.purged(UInt64(before - messages.count)), id, sequence)
        default: break
        }
    }

    private mutating func record(_ outcome: Outcome, _ id: SessionID, _ sequence: UInt64) {
        sessions[id]?.outcomes[sequence] = outcome
        effects.append(.outcome(id, sequence: sequence, outcome))
    }

    var attached: [Consumer] { sessions.values.flatMap { $0.consumers.values.filter(\.attached) } }

    private mutating func attach(_ id: ConsumerID, _ options: ConsumerOptions) -> ConsumerRefusal? {
        if sessions[id.session]?.consumers[id.number] != nil { return .duplicate }
        if attached.contains(where: \.exclusive) || options.exclusive && !attached.isEmpty { return .exclusive }
        sessions[id.session]?.consumers[id.number] = Consumer(
            prefetch: options.prefetch == 0 ? 2_000 : Int(options.prefetch), priority: options.priority,
            exclusive: options.exclusive, attached: true)
        enlist(id)
        return nil
    }

    private mutating func detach(_ id: ConsumerID) {
        sessions[id.session]?.consumers[id.number]?.attached = false
        turn.removeAll { $0 == id }
        released(id)
    }

    private mutating func released(_ id: ConsumerID) {
        enlist(id)
        if id.number != 0 && sessions[id.session]?.consumers[id.number]?.attached == false && held(id) == 0 {
            sessions[id.session]?.consumers[id.number] = nil
        }
    }

    func held(_ id: ConsumerID) -> Int { holds[id] ?? 0 }

    private func isEligible(_ id: ConsumerID) -> Bool {
        guard let session = sessions[id.session], let consumer = session.consumers[id.number] else { return false }
        return consumer.attached && !session.suspended && held(id) < consumer.prefetch
    }

    private mutating func enlist(_ id: ConsumerID) {
        if isEligible(id) && !turn.contains(id) { turn.append(id) }
    }

    private mutating func get(_ id: SessionID, _ sequence: UInt64) {
        let ready = messages.filter { $0.holder == nil }.count
        if ready == 0 { return record(.getEmpty, id, sequence) }
        if sessions[id]?.consumers[0] == nil {
            sessions[id]?.consumers[0] = Consumer(prefetch: 0, priority: 0, exclusive: false, attached: false)
        }
        record(
            .got(number: sessions[id]?.consumers[0]?.next ?? 0, remaining: UInt64(ready - 1)), id, sequence)
        deliver(to: ConsumerID(session: id, number: 0))
    }

    private mutating func serve() {
        func priority(_ id: ConsumerID) -> Int32 { sessions[id.session]?.consumers[id.number]?.priority ?? 0 }
        var waiting = messages.reduce(0) { $1.holder == nil ? $0 + 1 : $0 }
        while waiting > 0, let highest = turn.map(priority).max(),
            let at = turn.firstIndex(where: { priority($0) == highest })
        {
            let id = turn.remove(at: at)
            guard isEligible(id) else { continue }
            deliver(to: id)
            waiting -= 1
            enlist(id)
        }
    }

    private mutating func deliver(to id: ConsumerID) {
        guard let at = messages.firstIndex(where: { $0.holder == nil }),
            let number = sessions[id.session]?.consumers[id.number]?.next
        else { return }
        sessions[id.session]?.consumers[id.number]?.next += 1
        messages[at].holder = id
        messages[at].number = number
        holds[id, default: 0] += 1
        effects.append(
            .deliver(
                Delivery(
                    consumer: id, firstNumber: number, index: messages[at].id.index,
                    firstOrdinal: messages[at].id.ordinal, count: 1, deliveryCount: messages[at].deliveryCount,
                    redelivered: messages[at].redelivered)))
    }
}
