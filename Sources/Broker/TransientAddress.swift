import Primitives
import Topology

/// A transient queue in the memory of this node.
final class LocalTransient {
    let id: TransientID
    let record: QueueRecord
    var queue: TransientQueue
    /// A consumer was attached once: an auto-delete queue goes when none is left.
    var hadConsumer = false
    /// Its deletion was proposed.
    var isDoomed = false

    init(id: TransientID, record: QueueRecord, byteLimit: Int) {
        self.id = id
        self.record = record
        queue = TransientQueue(byteLimit: byteLimit)
    }
}

/// A transient queue, here or elsewhere, as one channel speaks to it.
struct TransientAddress {
    enum GetResult {
        case got(TransientDelivery, remaining: UInt64)
        case empty
        case gone
    }

    enum AttachResult {
        case ok
        case refused
        case gone
    }

    let queue: TransientID
    let node: NodeID
    let channel: ClientChannel

    private var broker: BrokerLoop { channel.broker }
    private var isHere: Bool { node == broker.node.nodeID }

    private func id(_ consumer: UInt32) -> TransientConsumerID {
        TransientConsumerID(node: broker.node.nodeID, channel: channel.serial, number: consumer)
    }

    func attach(_ consumer: UInt32, window: UInt32, exclusive: Bool, _ answer: @escaping (AttachResult) -> Void) {
        if isHere { return answer(broker.attach(id(consumer), to: queue, window: window, exclusive: exclusive)) }
        let channel = channel.serial
        let request = broker.request(at: node) { reply in
            switch reply {
            case .ok: answer(.ok)
            case .refused: answer(.refused)
            default: answer(.gone)
            }
        }
        broker.post(
            .attach(
                request: request, queue: queue, channel: channel, consumer: consumer, window: window,
                exclusive: exclusive), to: node)
    }

    func detach(_ consumer: UInt32) {
        if isHere {
            broker.detach(id(consumer), from: queue)
        } else {
            broker.post(.detach(queue: queue, channel: channel.serial, consumer: consumer), to: node)
        }
    }

    func setWindow(_ consumer: UInt32, _ window: UInt32) {
        if isHere {
            let id = id(consumer)
            broker.change(queue) { $0.setWindow(id, window, into: &$1) }
        } else {
            broker.post(
                .window(queue: queue, channel: channel.serial, consumer: consumer, window: window), to: node)
        }
    }

    func settle(_ consumer: UInt32, _ numbers: ClosedRange<UInt64>) {
        if isHere {
            let id = id(consumer)
            broker.change(queue) { $0.settle(id, numbers, into: &$1) }
        } else {
            broker.post(
                .settle(queue: queue, channel: channel.serial, consumer: consumer, numbers: numbers), to: node)
        }
    }

    func giveBack(_ consumer: UInt32, _ numbers: ClosedRange<UInt64>, counted: Bool) {
        if isHere {
            let id = id(consumer)
            broker.change(queue) { $0.giveBack(id, numbers, counted: counted, into: &$1) }
        } else {
            broker.post(
                .giveBack(
                    queue: queue, channel: channel.serial, consumer: consumer, numbers: numbers, counted: counted),
                to: node)
        }
    }

    func get(_ answer: @escaping (GetResult) -> Void) {
        if isHere { return answer(broker.get(id(0), from: queue)) }
        let id = id(0)
        let request = broker.request(at: node) { reply in
            switch reply {
            case .got(let number, let deliveryCount, let redelivered, let remaining, let message):
                let delivery = TransientDelivery(
                    consumer: id, number: number, deliveryCount: deliveryCount, redelivered: redelivered,
                    body: message)
                answer(.got(delivery, remaining: remaining))
            case .empty: answer(.empty)
            default: answer(.gone)
            }
        }
        broker.post(.get(request: request, queue: queue, channel: channel.serial), to: node)
    }
}

/// One channel's publishes to a transient queue of another node.
final class RemotePublishes {
    let queue: TransientID
    let node: NodeID
    let channel: ClientChannel
    private var sequence: UInt64 = 0
    private var runs = PublishRuns()

    init(queue: TransientID, node: NodeID, channel: ClientChannel) {
        self.queue = queue
        self.node = node
        self.channel = channel
    }

    /// `tag` is the publish number, 0 outside of confirm mode.
    func publish(_ message: Bytes, tag: UInt64) {
        if tag != 0 {
            sequence += 1
            runs.append(sequence: sequence, tag: tag)
        }
        channel.broker.post(
            .publish(queue: queue, channel: channel.serial, sequence: tag == 0 ? 0 : sequence, message: message),
            to: node)
    }

    func published(through: UInt64) {
        runs.applied(through: through) { tags in channel.confirm(tags) }
    }

    /// The queue was deleted: what is unanswered counts as unrouted.
    func queueGone() { published(through: .max) }

    /// The way to the queue was lost, perhaps with messages on it: what is unanswered is refused.
    func linkLost() {
        runs.applied(through: .max) { tags in
            for tag in tags { channel.ledger.refuse(tag) }
            channel.confirm(tags)
        }
    }
}
