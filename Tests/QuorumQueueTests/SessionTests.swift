import Primitives
import QuorumQueue
import Testing

struct SessionTests {
    let a = session(1)

    @Test func commandsAreAppliedOnceAndInOrder() {
        var queue = Dialogue()
        #expect(queue.say(.session(a, 1), .open, .enqueue(2)) == [.applied(a, through: 3)])
        // Sent again, as after a leader change: the same answer, nothing stored.
        #expect(queue.say(.session(a, 1), .open, .enqueue(2)) == [.applied(a, through: 3)])
        #expect(queue.machine.messagesReady == 2)
        // A gap is refused with all behind it.
        #expect(queue.say(.session(a, 5), .enqueue(1), .enqueue(1, length: 9)) == [.outOfSequence(a, expected: 4)])
        #expect(queue.machine.messagesReady == 2)
        // A run that is partly known: the rest of it counts, and is the right part.
        #expect(queue.say(.session(a, 2), .enqueue(5)) == [.applied(a, through: 6)])
        #expect(
            queue.machine.liveMessages() == [
                MessageID(index: LogIndex(1), ordinal: 0), MessageID(index: LogIndex(1), ordinal: 1),
                MessageID(index: LogIndex(4), ordinal: 2), MessageID(index: LogIndex(4), ordinal: 3),
                MessageID(index: LogIndex(4), ordinal: 4),
            ])
        #expect(queue.machine.lastApplied(a) == 6)
    }

    @Test func progressIsReportedOncePerSessionAndEntry() {
        var queue = Dialogue()
        let b = session(2)
        let effects = queue.say(
            .session(a, 1), .open, .enqueue(1), .session(b, 1), .open, .session(a, 3), .enqueue(4))
        #expect(effects == [.applied(a, through: 6), .applied(b, through: 1)])
    }

    @Test func outcomesAreGivenAgainUntilReceived() {
        var queue = Dialogue()
        let empty = QueueEffect.outcome(a, sequence: 2, .getEmpty)
        let purged = QueueEffect.outcome(a, sequence: 4, .purged(1))
        let commands: [Command] = [.get(autoAck: false), .enqueue(1), .purge]
        #expect(
            queue.say([.session(a, 1), .open] + commands) == [empty, purged, .applied(a, through: 4)])
        // The queue has changed, the answers have not.
        _ = queue.say(.session(a, 5), .enqueue(3))
        #expect(queue.say([.session(a, 2)] + commands) == [empty, purged, .applied(a, through: 7)])
        #expect(queue.machine.outcomes(of: a, after: 2).map(\.sequence) == [4])
        #expect(
            queue.say([.session(a, firstSequence: 2, lowWater: 3)] + commands) == [purged, .applied(a, through: 7)])
        // The mark never goes back, nor beyond what was applied.
        _ = queue.say(.session(a, firstSequence: 8, lowWater: 100), .get(autoAck: false))
        _ = queue.say(.session(a, firstSequence: 9, lowWater: 1), .tick)
        #expect(queue.machine.outcomes(of: a, after: 0).map(\.sequence) == [8])
        #expect(queue.machine.messagesReady == 2)
    }

    @Test func aSessionThatIsGoneStaysGone() {
        var queue = Dialogue()
        _ = queue.say(.session(session(5), 1), .open, .close)
        #expect(queue.say(.session(session(5), 1), .open, .enqueue(1)) == [.refused(session(5), .stale)])
        #expect(queue.say(.session(session(5), 3), .enqueue(1), .purge) == [.refused(session(5), .unknown)])
        #expect(queue.say(.session(session(4), 1), .open) == [.refused(session(4), .stale)])
        let other = session(4, shard: 1)
        #expect(queue.say(.session(other, 1), .open) == [.applied(other, through: 1)])
        #expect(
            queue.say(.session(session(6), 1), .open, .close, .enqueue(1))
                == [.refused(session(6), .unknown), .applied(session(6), through: 2)])
        #expect(queue.machine.sessions(of: NodeID(1)) == [other])
        #expect(queue.machine.messagesReady == 0)
    }

    @Test func aRestartedNodeIsANewGateway() {
        var queue = Dialogue()
        let consumer = ConsumerID(session: a, number: 1)
        _ = queue.say(
            .session(a, 1), .open, .attach(consumer: 1, ConsumerOptions(prefetch: 1)), .enqueue(2))
        let reborn = session(1, incarnation: 2)
        let effects = queue.say(.session(reborn, 1), .open, .attach(consumer: 1, ConsumerOptions(prefetch: 1)))
        let again = ConsumerID(session: reborn, number: 1)
        #expect(
            effects == [
                .sessionClosed(a), .applied(reborn, through: 2),
                Dialogue.delivery(again, 1, index: 1, 0...0, returned: 1),
            ])
        #expect(queue.machine.deliveries(to: consumer, after: 0).isEmpty)
        #expect(queue.say(.session(session(9), 1), .open) == [.refused(session(9), .stale)])
        // Word of an older incarnation comes too late for anything.
        #expect(queue.say(.gatewayUp(NodeID(1), Incarnation(1))) == [])
        #expect(queue.say(.gatewayUp(NodeID(1), Incarnation(3))) == [.sessionClosed(reborn)])
        #expect(queue.machine.messagesReady == 2)
        #expect(queue.machine.sessionCount == 0)
    }

    @Test func anUnheardNodeIsSuspendedUntilItReturnsOrExpires() {
        var queue = Dialogue()
        let b = session(1, node: 2)
        let held = ConsumerID(session: a, number: 1)
        _ = queue.say(.session(a, 1), .open, .attach(consumer: 1, ConsumerOptions(prefetch: 2)), .enqueue(1))
        #expect(queue.say(.gatewayDown(NodeID(1))) == [])
        #expect(queue.machine.suspendedNodes == [NodeID(1)])
        #expect(queue.machine.consumerStatus.map(\.isActive) == [false])
        #expect(queue.say(.session(b, 1), .open, .enqueue(1)) == [.applied(b, through: 2)])
        #expect(queue.machine.deliveries(to: held, after: 0).count == 1)
        #expect(
            queue.say(.gatewayUp(NodeID(1), Incarnation(1))) == [Dialogue.delivery(held, 2, index: 3, 0...0)])
        // Down again, and for good: only what was suspended expires.
        _ = queue.say(.gatewayDown(NodeID(1)))
        let late = session(2)
        _ = queue.say(.session(late, 1), .open)
        #expect(queue.say(.gatewayExpired(NodeID(1))) == [.sessionClosed(a)])
        #expect(queue.machine.sessions(of: NodeID(1)) == [late])
        #expect(queue.machine.messagesReady == 2)
        #expect(queue.say(.session(a, 5), .enqueue(1)) == [.refused(a, .unknown)])
        #expect(queue.machine.gatewayNodes.map(\.node) == [NodeID(1), NodeID(2)])
    }

    @Test func limitsHold() {
        var queue = Dialogue(settings: QueueSettings(sessionLimit: 1, consumerLimit: 1, outcomeLimit: 3))
        _ = queue.say(.session(a, 1), .open)
        #expect(queue.say(.session(session(2), 1), .open) == [.refused(session(2), .limit)])
        #expect(queue.say(.session(session(2), 1), .open) == [.refused(session(2), .stale)])
        _ = queue.say(.session(a, 2), .attach(consumer: 1, ConsumerOptions()))
        #expect(
            queue.say(.session(a, 3), .attach(consumer: 2, ConsumerOptions()))
                == [.outcome(a, sequence: 3, .consumerRefused(.limit)), .applied(a, through: 3)])
        _ = queue.say(.session(a, 4), .purge, .purge, .purge)
        #expect(queue.machine.outcomes(of: a, after: 0).map(\.sequence) == [4, 5, 6])
    }
}
