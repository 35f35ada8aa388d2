import Primitives
import QuorumQueue
import Testing

struct ModelTests {
    /// Effects with every delivery split into its messages.
    static func single(_ effects: [QueueEffect]) -> [QueueEffect] {
        effects.flatMap { effect -> [QueueEffect] in
            guard case .deliver(let run) = effect else { return [effect] }
            return (0..<run.count).map { place in
                var one = run
                one.firstNumber += UInt64(place)
                one.firstOrdinal += place
                one.count = 1
                return .deliver(one)
            }
        }
    }

    static func single(_ deliveries: [Delivery]) -> [QueueEffect] { single(deliveries.map { .deliver($0) }) }

    @Test(arguments: 0..<UInt64(10)) func theMachineDoesWhatTheModelDoes(seed: UInt64) throws {
        var stream = CommandStream(seed: seed)
        var model = ReferenceModel()
        var machine = QueueMachine()
        var effects: [QueueEffect] = []
        var newest: MessageID?
        for step in 1...UInt64(250) {
            let commands = stream.next()
            let expected = model.apply(index: LogIndex(step), commands)
            effects.removeAll(keepingCapacity: true)
            machine.apply(entry(step, commands), into: &effects)
            try #require(Self.single(effects) == expected, "seed \(seed) entry \(step): \(commands)")
            try compare(machine, model)
            // First deliveries follow the log, whoever gets them.
            for case .deliver(let delivery) in effects where !delivery.redelivered {
                let first = MessageID(index: delivery.index, ordinal: delivery.firstOrdinal)
                if let newest { try #require(newest < first) }
                newest = MessageID(index: delivery.index, ordinal: UInt16(delivery.ordinals.upperBound - 1))
            }
        }
        #expect(machine.ignoredCount == 0)
    }

    private func compare(_ machine: QueueMachine, _ model: ReferenceModel) throws {
        try #require(machine.liveMessages() == model.messages.map(\.id))
        try #require(machine.messagesReady == model.messages.filter { $0.holder == nil }.count)
        try #require(machine.messagesReady + machine.messagesUnacknowledged == model.messages.count)
        try #require(machine.consumerCount == model.attached.count)
        try #require(machine.sessionCount == model.sessions.count)
        let heldBy = Dictionary(grouping: model.messages, by: \.holder)
        for (id, session) in model.sessions {
            try #require(machine.lastApplied(id) == session.last)
            let outcomes = machine.outcomes(of: id, after: session.last / 2)
            let expected = session.outcomes.filter { $0.key > session.last / 2 }.sorted { $0.key < $1.key }
            try #require(outcomes.map(\.sequence) == expected.map(\.key))
            try #require(outcomes.map(\.outcome) == expected.map(\.value))
            for (number, consumer) in session.consumers {
                let after = consumer.next / 3
                let deliveries = machine.deliveries(to: ConsumerID(session: id, number: number), after: after)
                let held = heldBy[ConsumerID(session: id, number: number), default: []].filter { $0.number > after }
                let numbers = Self.single(deliveries).map { effect -> UInt64 in
                    guard case .deliver(let one) = effect else { return 0 }
                    return one.firstNumber
                }
                try #require(numbers == held.map(\.number).sorted())
            }
            let known = session.consumers.keys.sorted().map { ConsumerID(session: id, number: $0) }
            try #require(
                machine.consumers(of: id) == known.filter { $0.number != 0 || model.held($0) > 0 })
        }
    }

    @Test(arguments: 100..<UInt64(103)) func replicasAgree(seed: UInt64) throws {
        var streams = [CommandStream(seed: seed), CommandStream(seed: seed)]
        var machines = [QueueMachine(), QueueMachine()]
        for step in 1...UInt64(300) {
            var effects: [[QueueEffect]] = [[], []]
            for replica in 0..<2 {
                machines[replica].apply(entry(step, streams[replica].next()), into: &effects[replica])
            }
            try #require(effects[0] == effects[1])
            try #require(machines[0].stateHash() == machines[1].stateHash())
        }
    }

    /// The hash must not depend on the process: Swift seeds its own hashing in each.
    @Test func theStateHashIsTheSameInEveryProcess() {
        var stream = CommandStream(seed: 4_711)
        var machine = QueueMachine()
        var effects: [QueueEffect] = []
        for step in 1...UInt64(500) { machine.apply(entry(step, stream.next()), into: &effects) }
        #expect(machine.messagesReady + machine.messagesUnacknowledged > 0)
        #expect(machine.stateHash() == 443_054_373_684_164_004)
    }

    @Test(arguments: 0..<UInt64(40)) func damagedEntriesAreIgnoredAlikeAndNeverTrap(seed: UInt64) throws {
        var stream = CommandStream(seed: seed)
        var random = SeededRandom(seed: seed ^ 0xdada)
        var machines = [QueueMachine(), QueueMachine()]
        for step in 1...UInt64(60) {
            let good = entry(step, stream.next())
            var headers = good.headers.toArray()
            if random.oneIn(2) {
                for _ in 0..<1 + random.next(below: 4) {
                    headers[Int(random.next(below: UInt64(headers.count)))] = UInt8(
                        truncatingIfNeeded: random.next())
                }
                if random.oneIn(3) { headers.removeLast(Int(random.next(below: UInt64(headers.count)))) }
            }
            let index = random.oneIn(20) ? step / 2 : step
            let damaged = entry(
                index, CommandBatch(headers: Bytes(headers), bodies: good.bodies, commandCount: 0))
            let table = MessageTable(damaged)
            var effects: [[QueueEffect]] = [[], []]
            for replica in 0..<2 { machines[replica].apply(damaged, into: &effects[replica]) }
            try #require(effects[0] == effects[1])
            try #require(machines[0].stateHash() == machines[1].stateHash())
            // What the machine took from the entry, the table can find in it.
            for message in machines[0].liveMessages() where index == step && message.index == damaged.index {
                try #require(table[Int(message.ordinal)] != nil)
            }
            let live = machines[0].liveMessages()
            try #require(Set(live).count == live.count)
            try #require(live.count == machines[0].messagesReady + machines[0].messagesUnacknowledged)
        }
    }
}
