import Primitives
import QuorumQueue
import Testing

/// What homogeneous traffic must not cost: work or memory by the message.
struct RunsTests {
    @Test func aThousandMessagesAreOneRunEverywhere() {
        var queue = Dialogue()
        let id = session(1)
        let consumer = ConsumerID(session: id, number: 1)
        _ = queue.say(.session(id, 1), .open, .attach(consumer: 1, ConsumerOptions(prefetch: 5_000)))
        let effects = queue.say(.session(id, 3), .enqueue(1_000, length: 10))
        #expect(effects == [.applied(id, through: 1_002), Dialogue.delivery(consumer, 1, index: 2, 0...999)])
        // Messages of unequal length are as consecutive as others.
        let mixed = (0..<500).flatMap { _ in [Command.enqueue(1, length: 1), .enqueue(1, length: 2)] }
        #expect(
            queue.say([.session(id, 1_003)] + mixed)
                == [.applied(id, through: 2_002), Dialogue.delivery(consumer, 1_001, index: 3, 0...999)])
        #expect(queue.machine.deliveries(to: consumer, after: 0).count == 2)
        #expect(queue.machine.deliveries(to: consumer, after: 1_990).map(\.count) == [10])
        // Given back in two parts, they are one run again.
        let returned = queue.say(
            .session(id, 2_003), .detach(consumer: 1), .return(consumer: 1, 1_500...2_000, counted: true),
            .return(consumer: 1, 1_001...1_499, counted: true), .settle(consumer: 1, 1...1_000),
            .attach(consumer: 2, ConsumerOptions()))
        #expect(
            returned == [
                .applied(id, through: 2_007),
                Dialogue.delivery(ConsumerID(session: id, number: 2), 1, index: 3, 0...999, returned: 1),
            ])
    }

    @Test func aBacklogOfManyEntriesComesOutInOrder() {
        var queue = Dialogue()
        let id = session(1)
        _ = queue.say(.session(id, 1), .open)
        var sequence: UInt64 = 2
        var expected: [MessageID] = []
        var random = SeededRandom(seed: 5)
        for entry in 2...UInt64(900) {
            let count = random.oneIn(10) ? 1 + Int(random.next(below: 9)) : 3
            let half = random.oneIn(4) ? 1 : count
            var commands: [Command] = [.session(id, sequence), .enqueue(half)]
            if count > half { commands.append(.enqueue(count - half, length: 1)) }
            _ = queue.say(commands)
            sequence += UInt64(count)
            expected += (0..<count).map { MessageID(index: LogIndex(entry), ordinal: UInt16($0)) }
        }
        #expect(queue.machine.messagesReady == expected.count)
        #expect(queue.machine.liveMessages() == expected)
        var taken: [MessageID] = []
        _ = queue.say(.session(id, sequence), .attach(consumer: 1, ConsumerOptions(prefetch: 7)))
        taken += queue.held(ConsumerID(session: id, number: 1), after: 0)
        while queue.machine.messagesReady > 0 {
            sequence += 1
            let last = UInt64(taken.count)
            _ = queue.say(.session(id, sequence), .settle(consumer: 1, 1...last - 1))
            taken += queue.held(ConsumerID(session: id, number: 1), after: last)
        }
        #expect(taken == expected)
    }

    /// Settling every other message, from the back, leaves as many holes as it can.
    @Test func settlingInAnyOrderKeepsTheRest() {
        var queue = Dialogue()
        let id = session(1)
        let consumer = ConsumerID(session: id, number: 1)
        _ = queue.say(
            .session(id, 1), .open, .attach(consumer: 1, ConsumerOptions(prefetch: 4_000)), .enqueue(1_000))
        var left = Set(UInt64(1)...1_000)
        var sequence: UInt64 = 1_003
        var random = SeededRandom(seed: 6)
        for round in 0..<900 {
            let first = round < 300 ? 1_000 - UInt64(round) * 2 : 1 + random.next(below: 1_000)
            let last = round < 300 || random.oneIn(2) ? first : min(1_000, first + random.next(below: 4))
            _ = queue.say(.session(id, sequence), .settle(consumer: 1, first...last))
            sequence += 1
            left.subtract(first...last)
            if round % 50 == 0 {
                let held = queue.machine.deliveries(to: consumer, after: 0).flatMap { $0.firstNumber...$0.lastNumber }
                #expect(held == left.sorted())
            }
        }
        #expect(queue.machine.messagesUnacknowledged == left.count)
        #expect(!left.isEmpty)
        _ = queue.say(.session(id, sequence), .settle(consumer: 1, 1...CommandLimits.number))
        #expect(queue.machine.messagesUnacknowledged == 0)
        #expect(queue.machine.liveMessages().isEmpty)
    }

    @Test func manyRunsComeBackInLogOrder() {
        var queue = Dialogue()
        let ids = (1...4).map { session($0) }
        for id in ids { _ = queue.say(.session(id, 1), .open, .attach(consumer: 1, ConsumerOptions(prefetch: 100))) }
        _ = queue.say(.session(ids[0], 3), .enqueue(200))
        #expect(queue.machine.messagesUnacknowledged == 200)
        let expected = queue.machine.liveMessages()
        for id in [ids[2], ids[0], ids[3], ids[1]] {
            let last = queue.machine.lastApplied(id) ?? 0
            _ = queue.say(.session(id, last + 1), .detach(consumer: 1), .return(consumer: 1, 1...100, counted: false))
        }
        #expect(queue.machine.messagesReady == 200)
        let reader = session(5)
        _ = queue.say(.session(reader, 1), .open, .attach(consumer: 9, ConsumerOptions(prefetch: 200)))
        #expect(queue.held(ConsumerID(session: reader, number: 9), after: 0) == expected)
    }
}

extension Dialogue {
    mutating func say(_ commands: [Command]) -> [QueueEffect] {
        index += 1
        var effects: [QueueEffect] = []
        machine.apply(entry(index, commands), into: &effects)
        return effects
    }

    func held(_ consumer: ConsumerID, after number: UInt64) -> [MessageID] {
        machine.deliveries(to: consumer, after: number).flatMap { run in
            run.ordinals.map { MessageID(index: run.index, ordinal: UInt16($0)) }
        }
    }
}
