import AMQP
import Primitives
import QueueClient
import QuorumQueue

/// One channel's use of one quorum queue.
final class QueueSession {
    /// What a numbered command other than a publish came to.
    enum Result {
        case done
        case outcome(Outcome)
        case queueGone
    }

    private struct Waiting {
        var sequence: UInt64
        var answer: (Result) -> Void
    }

    let handle: QueueHandle
    let channel: ClientChannel
    let id: SessionID
    /// Publishes in confirm mode without an answer.
    private var publishes = PublishRuns()
    /// Consumers by their numbers; 0 is `basic.get`.
    var sources: [UInt32: DeliverySource] = [:]
    private var nextConsumer: UInt32 = 1
    /// Commands with somebody waiting, in order of their sequence numbers.
    private var waiting = Ring<Waiting>()

    init(handle: QueueHandle, channel: ClientChannel, id: SessionID) {
        self.handle = handle
        self.channel = channel
        self.id = id
    }

    func close() {
        for source in sources.values { source.backing = .none }
        sources.removeAll()
        waiting.removeAll()
        handle.close(self)
    }

    // MARK: Commands

    /// Stores the channel's message, head and body. `tag` is its publish number, 0 outside of confirm mode.
    @inline(__always)
    func publish(_ channel: ClientChannel, _ body: UnsafeRawBufferPointer, tag: UInt64) {
        let priority = channel.publish.priority
        let expiration = channel.publish.expiration
        let sequence = channel.head.withUnsafeBytes { head in
            handle.client.publish(
                id, priority: priority, expiration: expiration, length: head.count + body.count
            ) { room in
                room.copyMemory(from: head)
                guard body.count > 0 else { return }
                UnsafeMutableRawBufferPointer(rebasing: room[head.count...]).copyMemory(from: body)
            }
        }
        handle.markDirty()
        if tag != 0 {
            if sequence != 0 {
                publishes.append(sequence: sequence, tag: tag)
            } else {
                // The queue was deleted: the message counts as unrouted, and is confirmed as such.
                channel.confirm(tag...tag)
            }
        }
        if body.count >= LargeBodies.least { handle.noteUnanswered() }
        if handle.client.isBlocked { channel.block(on: handle) }
    }

    /// - Returns: the consumer's number.
    func attach(_ source: DeliverySource, _ options: ConsumerOptions, _ answer: @escaping (Result) -> Void) -> UInt32 {
        let consumer = nextConsumer
        nextConsumer += 1
        sources[consumer] = source
        wait(for: handle.client.attach(id, consumer: consumer, options: options), answer)
        return consumer
    }

    func detach(_ consumer: UInt32) {
        // Deliveries may come until the queue has heard of it; they go back.
        wait(for: handle.client.detach(id, consumer: consumer)) { [self] _ in
            sources[consumer] = nil
        }
    }

    func setPrefetch(_ consumer: UInt32, _ prefetch: UInt32) {
        handle.client.setPrefetch(id, consumer: consumer, prefetch)
        handle.markDirty()
    }

    func get(autoAck: Bool, _ answer: @escaping (Result) -> Void) {
        wait(for: handle.client.get(id, autoAck: autoAck), answer)
    }

    func purge(_ answer: @escaping (Result) -> Void) { wait(for: handle.client.purge(id), answer) }

    func settle(_ consumer: UInt32, _ numbers: ClosedRange<UInt64>) {
        handle.client.settle(id, consumer: consumer, numbers)
        handle.markDirty()
    }

    func giveBack(_ consumer: UInt32, _ numbers: ClosedRange<UInt64>, counted: Bool) {
        handle.client.return(id, consumer: consumer, numbers, counted: counted)
        handle.markDirty()
    }

    func discard(_ consumer: UInt32, _ numbers: ClosedRange<UInt64>) {
        handle.client.discard(id, consumer: consumer, numbers)
        handle.markDirty()
    }

    private func wait(for sequence: UInt64, _ answer: @escaping (Result) -> Void) {
        guard sequence != 0 else { return answer(.queueGone) }
        waiting.append(Waiting(sequence: sequence, answer: answer))
        handle.markDirty()
    }

    // MARK: Events

    func applied(through: UInt64) {
        publishes.applied(through: through) { tags in channel.confirm(tags) }
        while let first = waiting.first, first.sequence <= through {
            waiting.popFirst()
            first.answer(.done)
        }
    }

    func outcome(_ outcome: Outcome, of sequence: UInt64) {
        if case .rejected = outcome {
            if let tag = publishes.tag(of: sequence) { channel.ledger.refuse(tag) }
            return
        }
        var passed = Ring<Waiting>()
        var found: Waiting?
        while let first = waiting.popFirst() {
            if first.sequence == sequence { found = first } else { passed.append(first) }
        }
        waiting = passed
        found?.answer(.outcome(outcome))
    }

    func delivered(
        consumer: UInt32, firstNumber: UInt64, deliveryCount: UInt32, redelivered: Bool, bodies: MessageBodies
    ) {
        guard let source = sources[consumer] else {
            handle.client.return(
                id, consumer: consumer, firstNumber...firstNumber + UInt64(bodies.count) - 1, counted: false)
            handle.markDirty()
            return
        }
        var number = firstNumber
        for body in bodies {
            if let sabotage = channel.broker.sabotage {
                deliver(sabotage, source, consumer: consumer, number: number, redelivered: redelivered, body)
            } else {
                source.deliver(number: number, deliveryCount: deliveryCount, redelivered: redelivered, body)
            }
            number += 1
        }
    }

    private func deliver(
        _ sabotage: Sabotage, _ source: DeliverySource, consumer: UInt32, number: UInt64, redelivered: Bool,
        _ body: Bytes
    ) {
        switch sabotage.action(consumer: consumer, number: number, body: body) {
        case .deliver:
            source.deliver(number: number, deliveryCount: 0, redelivered: redelivered, body)
        case .drop:
            handle.client.settle(id, consumer: consumer, number...number)
        case .twice:
            source.deliver(number: number, deliveryCount: 0, redelivered: redelivered, body)
            source.deliver(number: number, deliveryCount: 0, redelivered: redelivered, body)
        case .hold:
            break
        case .release(let heldNumber, let heldBody):
            source.deliver(number: number, deliveryCount: 0, redelivered: redelivered, body)
            source.deliver(number: heldNumber, deliveryCount: 0, redelivered: false, heldBody)
        }
    }

    /// The queue no longer knows the session: nobody can say which of its publishes were stored.
    func lost(_ loss: SessionLoss) {
        channel.sessions[handle.group] = nil
        channel.fail(
            AMQPError(.internalError, "the session at a queue of this channel has ended: \(loss)", scope: .channel))
    }

    /// The queue was deleted. What was not confirmed counts as unrouted.
    func queueGone() {
        publishes.applied(through: .max) { tags in channel.confirm(tags) }
        channel.sessions[handle.group] = nil
        while let first = waiting.popFirst() { first.answer(.queueGone) }
        let ended = sources.sorted { $0.key < $1.key }
        sources.removeAll()
        for (_, source) in ended { source.queueGone() }
    }
}
