import Primitives
import QuorumQueue

/// What a queue should hold, computed from the committed log in the simplest way, beside a state machine of its own
/// that decides who gets what. Every decision is checked against the rules.
struct QueueModel {
    /// Where a message is.
    private enum Place { case ready, held(ConsumerID, number: UInt64) }

    private struct Message {
        var stamp: MessageStamp
        var place = Place.ready
        var wasDelivered = false
    }

    private struct Consumer {
        var prefetch: UInt32
        var isAttached = true
        var nextNumber: UInt64 = 1
        /// Positions held, by delivery number.
        var held: [UInt64: UInt64] = [:]
        /// Every delivery ever made: number to message.
        var assigned: [UInt64: UInt64] = [:]
    }

    /// What became of a message that is no longer in the queue.
    enum Fate { case settled, discarded, purged }

    let group: GroupID
    private(set) var machine = QueueMachine()
    /// By position: index and ordinal.
    private var live: [UInt64: Message] = [:]
    /// Of every message that was ever enqueued: nil while it is in the queue.
    private(set) var fates: [UInt64: Fate?] = [:]
    private var sessions: [SessionID: UInt64] = [:]
    private var consumers: [ConsumerID: Consumer] = [:]
    /// Consumers of a session, in order of their first use.
    private var consumersOf: [SessionID: [UInt32]] = [:]
    private var lastFresh: UInt64 = 0
    private var newestOfPublisher: [UInt64: UInt64] = [:]
    /// The first broken rule.
    private(set) var fault: (invariant: String, detail: String)?
    /// How many messages were ready and held after each entry.
    private(set) var counts: [(ready: Int, held: Int)] = []

    init(_ group: GroupID) { self.group = group }

    var liveCount: Int { live.count }
    var applied: LogIndex { machine.appliedIndex }

    func message(at number: UInt64, of consumer: ConsumerID) -> UInt64? { consumers[consumer]?.assigned[number] }

    private mutating func fail(_ invariant: String, _ detail: String) {
        if fault == nil { fault = (invariant, "\(group) at \(machine.appliedIndex): \(detail)") }
    }

    private static func position(_ index: LogIndex, _ ordinal: Int) -> UInt64 { index.rawValue << 12 | UInt64(ordinal) }

    // MARK: Applying

    /// One command batch in the making.
    private struct Turn {
        var session: SessionID?
        var sequence: UInt64 = 0
        var isRefused = false
    }

    mutating func apply(_ entry: Entry, isKnown: (MessageStamp) -> Bool) {
        var effects: [QueueEffect] = []
        machine.apply(entry, into: &effects)
        counts.append((machine.messagesReady, machine.messagesUnacknowledged))
        if machine.ignoredCount > 0 { fail("well-formed commands", "the machine ignored a command") }
        guard entry.header.kind == .commands else { return }
        var gets: [SessionID: [UInt64: Delivery]] = [:]
        var closed: [SessionID] = []
        var deliveries: [Delivery] = []
        var place = 0
        while place < effects.count {
            switch effects[place] {
            case .outcome(let session, let sequence, .got(let number, _)):
                if place + 1 < effects.count, case .deliver(let delivery) = effects[place + 1],
                    delivery.consumer == ConsumerID(session: session, number: 0), delivery.firstNumber == number
                {
                    gets[session, default: [:]][sequence] = delivery
                    place += 1
                }
            case .sessionClosed(let session): closed.append(session)
            case .deliver(let delivery): deliveries.append(delivery)
            default: break
            }
            place += 1
        }
        let table = MessageTable(entry)
        let bodies = entry.bodies
        entry.headers.withUnsafeBytes { headers in
            var reader = CommandReader(headers)
            var turn = Turn()
            var ordinal = 0
            while let command = try? reader.next() {
                if command.isLeaders { closeSessions(of: command, &closed) }
                switch command {
                case .session(let id, let first, _): turn = Turn(session: id, sequence: first)
                case .enqueue(let run):
                    let accepted = accept(command, &turn, &closed)
                    for skipped in run.count - accepted..<run.count {
                        guard let location = table[ordinal + skipped] else { continue }
                        enqueue(
                            QueueModel.position(entry.index, ordinal + skipped), bodies[location.range],
                            isKnown: isKnown)
                    }
                    ordinal += run.count
                default:
                    guard accept(command, &turn, &closed) > 0, let session = turn.session else { continue }
                    perform(command, session, get: gets[session]?[turn.sequence - 1])
                }
            }
        }
        for delivery in deliveries { deliver(delivery) }
        if live.count != machine.messagesReady + machine.messagesUnacknowledged {
            fail(
                "no loss",
                "the model has \(live.count) messages, the machine \(machine.messagesReady) ready and "
                    + "\(machine.messagesUnacknowledged) held")
        }
    }

    /// How many of the command's numbers are new; the last ones of them.
    private mutating func accept(_ command: Command, _ turn: inout Turn, _ closed: inout [SessionID]) -> Int {
        guard let session = turn.session, !turn.isRefused, !command.isLeaders else { return 0 }
        guard let last = sessions[session] else {
            guard command == .open, turn.sequence == 1, isOpened(session, &closed) else {
                turn.isRefused = true
                return 0
            }
            sessions[session] = 1
            turn.sequence = 2
            return 0
        }
        guard turn.sequence <= last + 1 else {
            turn.isRefused = true
            return 0
        }
        turn.sequence += UInt64(command.count)
        guard turn.sequence > last + 1 else { return 0 }
        sessions[session] = turn.sequence - 1
        return Int(turn.sequence - last - 1)
    }

    private var highest: [GatewayID: (incarnation: UInt32, number: UInt64)] = [:]
    private var incarnations: [NodeID: Incarnation] = [:]

    private mutating func isOpened(_ session: SessionID, _ closed: inout [SessionID]) -> Bool {
        guard raise(session.gateway.node, to: session.incarnation, &closed) else { return false }
        let now = (session.incarnation.rawValue, session.number)
        if let before = highest[session.gateway], now <= (before.incarnation, before.number) { return false }
        highest[session.gateway] = (incarnation: now.0, number: now.1)
        return true
    }

    private mutating func raise(_ node: NodeID, to incarnation: Incarnation, _ closed: inout [SessionID]) -> Bool {
        if let known = incarnations[node], known > incarnation { return false }
        if let known = incarnations[node], known < incarnation {
            takeClosed(&closed) { $0.gateway.node == node && $0.incarnation < incarnation }
        }
        incarnations[node] = incarnation
        return true
    }

    private mutating func closeSessions(of command: Command, _ closed: inout [SessionID]) {
        switch command {
        case .gatewayUp(let node, let incarnation): _ = raise(node, to: incarnation, &closed)
        case .gatewayExpired(let node): takeClosed(&closed) { $0.gateway.node == node }
        case .detachUnknown(let consumer): fail("consumers", "\(consumer) was unknown")
        default: break
        }
    }

    /// Closes those of `closed` that a command of the leader closed; one that is opened behind it waits for another.
    private mutating func takeClosed(_ closed: inout [SessionID], where isMeant: (SessionID) -> Bool) {
        let meant = closed.filter { sessions[$0] != nil && isMeant($0) }
        for session in meant { close(session) }
        closed.removeAll { meant.contains($0) }
    }

    private mutating func close(_ session: SessionID) {
        for number in consumersOf[session] ?? [] {
            let consumer = ConsumerID(session: session, number: number)
            for position in consumers[consumer]?.held.values.sorted() ?? [] { live[position]?.place = .ready }
            consumers[consumer]?.held = [:]
            consumers[consumer]?.isAttached = false
        }
        sessions[session] = nil
    }

    private mutating func enqueue(_ position: UInt64, _ body: Bytes, isKnown: (MessageStamp) -> Bool) {
        guard let stamp = MessageStamp(body), isKnown(stamp) else {
            return fail("no invention", "an entry holds a message that nobody published, or not as it was published")
        }
        guard fates[stamp.message] == nil else {
            return fail("dedup", "message \(stamp.message) was stored twice")
        }
        if let newest = newestOfPublisher[stamp.publisher], newest >= stamp.number {
            fail("FIFO", "message \(stamp.number) of publisher \(stamp.publisher) was stored after \(newest)")
        }
        newestOfPublisher[stamp.publisher] = stamp.number
        fates[stamp.message] = .some(nil)
        live[position] = Message(stamp: stamp)
    }

    private mutating func perform(_ command: Command, _ session: SessionID, get: Delivery?) {
        switch command {
        case .close: close(session)
        case .attach(let number, let options):
            add(ConsumerID(session: session, number: number), prefetch: options.prefetch)
        case .detach(let number): consumers[ConsumerID(session: session, number: number)]?.isAttached = false
        case .setPrefetch(let number, let prefetch):
            consumers[ConsumerID(session: session, number: number)]?.prefetch = prefetch == 0 ? 2_000 : prefetch
        case .settle(let number, let numbers):
            release(ConsumerID(session: session, number: number), numbers, as: .settled)
        case .discard(let number, let numbers):
            release(ConsumerID(session: session, number: number), numbers, as: .discarded)
        case .return(let number, let numbers, _):
            release(ConsumerID(session: session, number: number), numbers, as: nil)
        case .get:
            let consumer = ConsumerID(session: session, number: 0)
            if consumers[consumer] == nil { add(consumer, prefetch: .max) }
            if let get { deliver(get) }
        case .purge:
            // Taken together, so that the order does not matter.
            let gone = live.filter { if case .ready = $0.value.place { true } else { false } }
            for (position, message) in gone {
                live[position] = nil
                fates[message.stamp.message] = .purged
            }
        default: break
        }
    }

    private mutating func add(_ consumer: ConsumerID, prefetch: UInt32) {
        consumers[consumer] = Consumer(prefetch: prefetch == 0 ? 2_000 : prefetch)
        consumersOf[consumer.session, default: []].append(consumer.number)
    }

    private mutating func release(_ consumer: ConsumerID, _ numbers: ClosedRange<UInt64>, as fate: Fate?) {
        for number in numbers {
            guard let position = consumers[consumer]?.held.removeValue(forKey: number) else { continue }
            guard let message = live[position] else { continue }
            if let fate {
                live[position] = nil
                fates[message.stamp.message] = fate
            } else {
                live[position]?.place = .ready
            }
        }
    }

    private mutating func deliver(_ delivery: Delivery) {
        let id = delivery.consumer
        guard let consumer = consumers[id], consumer.isAttached, sessions[id.session] != nil else {
            return fail("exclusive assignment", "\(id) was given a message and is not attached")
        }
        guard delivery.firstNumber == consumer.nextNumber else {
            return fail("delivery numbers", "\(id) got \(delivery.firstNumber) and was due \(consumer.nextNumber)")
        }
        for offset in 0..<Int(delivery.count) {
            let number = delivery.firstNumber + UInt64(offset)
            let position = QueueModel.position(delivery.index, Int(delivery.firstOrdinal) + offset)
            guard let message = live[position] else {
                return fail("ack durability", "\(id) was given a message that was settled, dropped or never there")
            }
            if case .held(let holder, _) = message.place {
                return fail("exclusive assignment", "\(id) was given message \(message.stamp.message) of \(holder)")
            }
            if message.wasDelivered != delivery.redelivered {
                fail("redelivered flag", "message \(message.stamp.message): \(delivery.redelivered)")
            }
            if !message.wasDelivered {
                if position <= lastFresh { fail("FIFO", "message \(message.stamp.message) came late") }
                lastFresh = position
            }
            live[position]?.place = .held(id, number: number)
            live[position]?.wasDelivered = true
            consumers[id]?.held[number] = position
            consumers[id]?.assigned[number] = message.stamp.message
        }
        consumers[id]?.nextNumber += UInt64(delivery.count)
        if let consumer = consumers[id], id.number != 0, consumer.held.count > Int(consumer.prefetch) {
            fail("credit", "\(id) holds \(consumer.held.count) messages, may \(consumer.prefetch)")
        }
    }

    /// What is in the queue, and who holds how much of it.
    var description: String {
        var holders: [ConsumerID: Int] = [:]
        for message in live.values {
            if case .held(let consumer, _) = message.place { holders[consumer, default: 0] += 1 }
        }
        let held = holders.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
        return
            "\(machine.messagesReady) ready and \(machine.messagesUnacknowledged) held messages (\(held)); suspended "
            + "nodes: \(machine.suspendedNodes)"
    }

    /// Compares everything: costs time in proportion to the queue.
    mutating func compareAll() {
        var expected: [UInt64] = []
        expected.reserveCapacity(live.count)
        for position in live.keys { expected.append(position) }
        expected.sort()
        let found = machine.liveMessages().map { QueueModel.position($0.index, Int($0.ordinal)) }
        if expected != found { fail("no loss", "the machine's messages are not the model's") }
    }
}
