import Primitives
import QuorumQueue
import Testing

struct ConsumerTests {
    let a = session(1)
    func consumer(_ number: UInt32) -> ConsumerID { ConsumerID(session: a, number: number) }

    @Test func consumersTakeTurns() {
        var queue = Dialogue()
        _ = queue.say(
            .session(a, 1), .open, .attach(consumer: 1, ConsumerOptions(prefetch: 2)),
            .attach(consumer: 2, ConsumerOptions(prefetch: 9)))
        #expect(
            queue.say(.session(a, 4), .enqueue(6)) == [
                .applied(a, through: 9),
                Dialogue.delivery(consumer(1), 1, index: 2, 0...0), Dialogue.delivery(consumer(2), 1, index: 2, 1...1),
                Dialogue.delivery(consumer(1), 2, index: 2, 2...2),
                // The first has no credit left; the second, now alone, gets the rest at once.
                Dialogue.delivery(consumer(2), 2, index: 2, 3...5),
            ])
    }

    @Test func priorityGoesFirstWhileItHasCredit() {
        var queue = Dialogue()
        _ = queue.say(
            .session(a, 1), .open, .attach(consumer: 1, ConsumerOptions()),
            .attach(consumer: 2, ConsumerOptions(prefetch: 2, priority: 1)))
        #expect(
            queue.say(.session(a, 4), .enqueue(3)) == [
                .applied(a, through: 6), Dialogue.delivery(consumer(2), 1, index: 2, 0...1),
                Dialogue.delivery(consumer(1), 1, index: 2, 2...2),
            ])
    }

    @Test func creditBoundsWhatAConsumerHolds() {
        var queue = Dialogue()
        _ = queue.say(.session(a, 1), .open, .attach(consumer: 1, ConsumerOptions(prefetch: 3)), .enqueue(10))
        #expect(queue.machine.messagesUnacknowledged == 3)
        #expect(
            queue.say(.session(a, 13), .settle(consumer: 1, 2...2))
                == [.applied(a, through: 13), Dialogue.delivery(consumer(1), 4, index: 1, 3...3)])
        #expect(queue.say(.session(a, 14), .settle(consumer: 1, 2...2)) == [.applied(a, through: 14)])
        _ = queue.say(.session(a, 15), .setPrefetch(consumer: 1, 1))
        #expect(queue.say(.session(a, 16), .settle(consumer: 1, 1...3)) == [.applied(a, through: 16)])
        #expect(
            queue.say(.session(a, 17), .setPrefetch(consumer: 1, 0))
                == [.applied(a, through: 17), Dialogue.delivery(consumer(1), 5, index: 1, 4...9)])
    }

    @Test func returnedMessagesGoBackToTheirPlaces() {
        var queue = Dialogue()
        _ = queue.say(.session(a, 1), .open, .attach(consumer: 1, ConsumerOptions(prefetch: 4)), .enqueue(6))
        #expect(
            queue.say(
                .session(a, 9), .return(consumer: 1, 4...4, counted: true), .return(consumer: 1, 2...2, counted: false),
                .discard(consumer: 1, 1...1)) == [
                    .applied(a, through: 11), Dialogue.delivery(consumer(1), 5, index: 1, 1...1, returned: 0),
                    Dialogue.delivery(consumer(1), 6, index: 1, 3...3, returned: 1),
                    Dialogue.delivery(consumer(1), 7, index: 1, 4...4),
                ])
        // A new leader sends the rest again, as it was.
        #expect(queue.machine.deliveries(to: consumer(1), after: 5).map(\.deliveryCount) == [1, 0])
        #expect(queue.machine.deliveries(to: consumer(1), after: 5).map(\.redelivered) == [true, false])
        #expect(queue.machine.deliveries(to: consumer(1), after: 7).isEmpty)
    }

    @Test func aDetachedConsumerKeepsWhatItHoldsUntilSettled() {
        var queue = Dialogue()
        _ = queue.say(.session(a, 1), .open, .attach(consumer: 1, ConsumerOptions(exclusive: true)), .enqueue(2))
        #expect(queue.say(.session(a, 5), .detach(consumer: 1), .enqueue(1)) == [.applied(a, through: 6)])
        #expect(queue.machine.consumerCount == 0)
        #expect(queue.machine.consumers(of: a) == [consumer(1)])
        #expect(queue.machine.messagesUnacknowledged == 2)
        _ = queue.say(.session(a, 7), .settle(consumer: 1, 1...1), .return(consumer: 1, 2...2, counted: false))
        #expect(queue.machine.consumers(of: a).isEmpty)
        #expect(queue.machine.messagesReady == 2)
    }

    @Test func exclusiveMeansAlone() {
        var queue = Dialogue()
        let b = session(2)
        _ = queue.say(.session(a, 1), .open, .attach(consumer: 1, ConsumerOptions()))
        _ = queue.say(.session(b, 1), .open)
        let exclusive = Command.attach(consumer: 2, ConsumerOptions(exclusive: true))
        func refused(_ session: SessionID, _ sequence: UInt64, _ reason: ConsumerRefusal) -> [QueueEffect] {
            [.outcome(session, sequence: sequence, .consumerRefused(reason)), .applied(session, through: sequence)]
        }
        #expect(queue.say(.session(b, 2), exclusive) == refused(b, 2, .exclusive))
        _ = queue.say(.session(a, 3), .detach(consumer: 1))
        #expect(queue.say(.session(b, 3), exclusive) == [.applied(b, through: 3)])
        #expect(queue.say(.session(b, 4), exclusive) == refused(b, 4, .duplicate))
        #expect(
            queue.say(.session(a, 4), .attach(consumer: 3, ConsumerOptions())) == refused(a, 4, .exclusive))
        _ = queue.say(.session(b, 5), .close)
        #expect(queue.say(.session(a, 5), .attach(consumer: 4, ConsumerOptions())) == [.applied(a, through: 5)])
    }

    @Test func aGetTakesOneMessage() {
        var queue = Dialogue()
        _ = queue.say(.session(a, 1), .open, .enqueue(2))
        #expect(
            queue.say(.session(a, 4), .get(autoAck: false)) == [
                .outcome(a, sequence: 4, .got(number: 1, remaining: 1)),
                Dialogue.delivery(consumer(0), 1, index: 1, 0...0), .applied(a, through: 4),
            ])
        #expect(queue.machine.consumers(of: a) == [consumer(0)])
        #expect(queue.machine.consumerCount == 0)
        // The same get again: the same answer, no second message.
        #expect(
            queue.say(.session(a, 4), .get(autoAck: false)) == [
                .outcome(a, sequence: 4, .got(number: 1, remaining: 1)), .applied(a, through: 4),
            ])
        _ = queue.say(.session(a, 5), .return(consumer: 0, 1...1, counted: true))
        #expect(queue.machine.consumers(of: a).isEmpty)
        #expect(
            queue.say(.session(a, 6), .get(autoAck: true)) == [
                .outcome(a, sequence: 6, .got(number: 2, remaining: 1)),
                Dialogue.delivery(consumer(0), 2, index: 1, 0...0, returned: 1), .applied(a, through: 6),
            ])
    }

    @Test func aPurgeDropsWhatNobodyHolds() {
        var queue = Dialogue()
        _ = queue.say(.session(a, 1), .open, .attach(consumer: 1, ConsumerOptions(prefetch: 2)), .enqueue(5))
        _ = queue.say(.session(a, 8), .detach(consumer: 1), .return(consumer: 1, 1...1, counted: true))
        #expect(
            queue.say(.session(a, 10), .purge) == [.outcome(a, sequence: 10, .purged(4)), .applied(a, through: 10)])
        #expect(queue.machine.liveMessages() == [MessageID(index: LogIndex(1), ordinal: 1)])
    }

    @Test func whatNobodyKnowsIsGivenBackUncounted() {
        var queue = Dialogue()
        _ = queue.say(.session(a, 1), .open, .attach(consumer: 1, ConsumerOptions()), .enqueue(1))
        #expect(queue.say(.detachUnknown(consumer(1))) == [])
        #expect(queue.machine.consumerCount == 0)
        #expect(
            queue.say(.session(a, 4), .attach(consumer: 2, ConsumerOptions()))
                == [.applied(a, through: 4), Dialogue.delivery(consumer(2), 1, index: 1, 0...0, returned: 0)])
        #expect(
            queue.say(.detachUnknown(consumer(7)), .detachUnknown(ConsumerID(session: session(8), number: 1))) == [])
        #expect(queue.machine.messagesUnacknowledged == 1)
    }
}
