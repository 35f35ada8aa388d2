import Logging
import Primitives
import Topology

/// Messages to one other broker, gathered until the flush.
final class GatewayOutbox {
    var writer = ByteWriter()
}

/// A request to another broker that has no answer yet.
struct GatewayRequest {
    var node: NodeID
    var answer: (GatewayReply) -> Void
}

extension BrokerLoop {
    /// Bytes of messages to one broker at which they leave without waiting for the flush.
    private static let outboxLimit = 1 << 20

    // MARK: Queues here

    /// The queue, if the topology says that this node holds it in this incarnation.
    func localTransient(_ id: TransientID) -> LocalTransient? {
        if let known = transients[id] { return known }
        guard let record = node.topology.queue(.transient(id, node: node.nodeID)),
            case .transient(node.nodeID, node.incarnation, _) = record.placement
        else { return nil }
        let queue = LocalTransient(id: id, record: record, byteLimit: configuration.transientQueueLimit)
        transients[id] = queue
        return queue
    }

    func publish(_ message: Bytes, to local: LocalTransient) {
        var deliveries: [TransientDelivery] = []
        local.queue.publish(message, into: &deliveries)
        dispatch(deliveries)
    }

    /// Changes a queue here and sends the deliveries that follow.
    func change(_ id: TransientID, _ body: (inout TransientQueue, inout [TransientDelivery]) -> Void) {
        guard let local = transients[id] else { return }
        var deliveries: [TransientDelivery] = []
        body(&local.queue, &deliveries)
        dispatch(deliveries)
    }

    func attach(
        _ consumer: TransientConsumerID, to id: TransientID, window: UInt32, exclusive: Bool
    ) -> TransientAddress.AttachResult {
        guard let local = localTransient(id), !local.isDoomed else { return .gone }
        var deliveries: [TransientDelivery] = []
        guard local.queue.attach(consumer, window: window, exclusive: exclusive, into: &deliveries) else {
            return .refused
        }
        local.hadConsumer = true
        dispatch(deliveries)
        return .ok
    }

    func detach(_ consumer: TransientConsumerID, from id: TransientID) {
        guard let local = transients[id] else { return }
        local.queue.detach(consumer)
        deleteIfUnused(local)
    }

    func get(_ consumer: TransientConsumerID, from id: TransientID) -> TransientAddress.GetResult {
        guard let local = localTransient(id) else { return .gone }
        guard let delivery = local.queue.get(consumer) else { return .empty }
        return .got(delivery, remaining: UInt64(local.queue.messagesReady))
    }

    func counts(of id: TransientID) -> QueueCounts? {
        guard let queue = localTransient(id)?.queue else { return nil }
        return QueueCounts(
            ready: UInt64(queue.messagesReady), unacknowledged: UInt64(queue.messagesUnacknowledged),
            consumers: UInt64(queue.consumerCount))
    }

    /// A channel of this node that used the queue has ended.
    func transientChannelGone(_ id: TransientID, channel: UInt64) {
        transientUsers[id]?.removeAll { $0 == channel }
        if transientUsers[id]?.isEmpty ?? false { transientUsers[id] = nil }
        if let local = transients[id] {
            channelGone(local, node: node.nodeID, channel: channel)
        } else if case .transient(_, let owner)? = node.topology.queue(.transient(id, node: node.nodeID))?.target {
            post(.channelGone(queue: id, channel: channel), to: owner)
        }
    }

    private func channelGone(_ local: LocalTransient, node: NodeID, channel: UInt64) {
        var deliveries: [TransientDelivery] = []
        local.queue.channelGone(node: node, channel: channel, into: &deliveries)
        dispatch(deliveries)
        deleteIfUnused(local)
    }

    private func deleteIfUnused(_ local: LocalTransient) {
        guard local.record.autoDelete && local.hadConsumer && !local.isDoomed, local.queue.consumerCount == 0
        else { return }
        local.isDoomed = true
        cleanUp(
            .deleteQueue(vhost: local.record.vhost, name: local.record.name, expected: local.id.rawValue))
    }

    private func dispatch(_ deliveries: [TransientDelivery]) {
        for delivery in deliveries {
            let consumer = delivery.consumer
            if consumer.node == node.nodeID {
                channels[consumer.channel]?.transientSources[consumer.number]?.deliver(
                    number: delivery.number, deliveryCount: delivery.deliveryCount,
                    redelivered: delivery.redelivered, delivery.body)
            } else {
                post(
                    .deliver(
                        channel: consumer.channel, consumer: consumer.number, number: delivery.number,
                        deliveryCount: delivery.deliveryCount, redelivered: delivery.redelivered,
                        message: delivery.body), to: consumer.node)
            }
        }
    }

    // MARK: Queues anywhere

    /// Takes note that a channel has to hear of the queue's end.
    func use(_ id: TransientID, by channel: ClientChannel) {
        guard channel.transientUses.insert(id).inserted else { return }
        transientUsers[id, default: []].append(channel.serial)
    }

    /// The topology no longer has the queue.
    func transientDeleted(_ id: TransientID) {
        // A publisher's cached route holds the queue until its next publish, which an alarm may keep from coming.
        _ = transients.removeValue(forKey: id)?.queue.purge()
        for serial in transientUsers.removeValue(forKey: id) ?? [] { channels[serial]?.transientGone(id) }
    }

    /// A connection with exclusive queues has ended.
    func connectionGone(_ id: UInt64) {
        cleanUp(
            .connectionClosed(
                ConnectionOwner(node: node.nodeID, incarnation: node.incarnation, connection: id)))
    }

    /// Proposes a change that nobody waits for, again and again until it is made.
    func cleanUp(_ command: TopologyCommand) {
        node.propose(command) { [self] result in
            if case .failure = result { cleanups.append(command) }
        }
    }

    func retryCleanups() {
        guard !cleanups.isEmpty else { return }
        let due = cleanups
        cleanups.removeAll()
        for command in due { cleanUp(command) }
    }

    // MARK: Between brokers

    /// Registers somebody who waits for an answer of another broker.
    func request(at node: NodeID, _ answer: @escaping (GatewayReply) -> Void) -> UInt64 {
        let request = nextSerial()
        requests[request] = GatewayRequest(node: node, answer: answer)
        return request
    }

    func post(_ message: GatewayMessage, to node: NodeID) {
        let outbox: GatewayOutbox
        if let known = outboxes[node] {
            outbox = known
        } else {
            outbox = GatewayOutbox()
            outboxes[node] = outbox
        }
        if outbox.writer.isEmpty { outbox.writer.write(GatewayMessage.version) }
        message.encode(into: &outbox.writer)
        if outbox.writer.count >= BrokerLoop.outboxLimit {
            self.node.sendToGateway(node, outbox.writer.take())
        } else {
            askForFlush()
        }
    }

    func flushGateways() {
        guard outboxes.contains(where: { !$0.value.writer.isEmpty }) else { return }
        for (node, outbox) in outboxes.sorted(by: { $0.key < $1.key }) where !outbox.writer.isEmpty {
            self.node.sendToGateway(node, outbox.writer.take())
        }
    }

    func takeGateway(_ payload: Bytes, from sender: NodeID) {
        do throws(DecodingFailure) {
            try payload.withUnsafeBytes { buffer throws(DecodingFailure) in
                var reader = ByteReader(buffer)
                guard try reader.read(UInt8.self) == GatewayMessage.version else {
                    throw .invalid("gateway payload version")
                }
                while !reader.isAtEnd { take(try GatewayMessage(decoding: &reader), from: sender) }
            }
        } catch {
            logger.error("a broker's message cannot be read: \(error)", metadata: ["node": "\(sender)"])
        }
    }

    private func take(_ message: GatewayMessage, from sender: NodeID) {
        func consumer(_ channel: UInt64, _ number: UInt32) -> TransientConsumerID {
            TransientConsumerID(node: sender, channel: channel, number: number)
        }
        switch message {
        case .publish(let queue, let channel, let sequence, let message):
            if let local = localTransient(queue) { publish(message, to: local) }
            if sequence != 0 { post(.published(queue: queue, channel: channel, through: sequence), to: sender) }
        case .published(let queue, let channel, let through):
            channels[channel]?.remotePublishes[queue]?.published(through: through)
        case .attach(let request, let queue, let channel, let number, let window, let exclusive):
            guard number != 0 else { return post(.reply(request: request, .refused), to: sender) }
            // The answer goes first: deliveries follow it.
            switch attachRemote(consumer(channel, number), to: queue, window: window, exclusive: exclusive) {
            case .ok(let deliveries):
                post(.reply(request: request, .ok), to: sender)
                dispatch(deliveries)
            case .refused: post(.reply(request: request, .refused), to: sender)
            case .gone: post(.reply(request: request, .gone), to: sender)
            }
        case .detach(let queue, let channel, let number): detach(consumer(channel, number), from: queue)
        case .window(let queue, let channel, let number, let window):
            change(queue) { $0.setWindow(consumer(channel, number), window, into: &$1) }
        case .settle(let queue, let channel, let number, let numbers):
            change(queue) { $0.settle(consumer(channel, number), numbers, into: &$1) }
        case .giveBack(let queue, let channel, let number, let numbers, let counted):
            change(queue) { $0.giveBack(consumer(channel, number), numbers, counted: counted, into: &$1) }
        case .get(let request, let queue, let channel):
            switch get(consumer(channel, 0), from: queue) {
            case .got(let delivery, let remaining):
                post(
                    .reply(
                        request: request,
                        .got(
                            number: delivery.number, deliveryCount: delivery.deliveryCount,
                            redelivered: delivery.redelivered, remaining: remaining, message: delivery.body)),
                    to: sender)
            case .empty: post(.reply(request: request, .empty), to: sender)
            case .gone: post(.reply(request: request, .gone), to: sender)
            }
        case .purge(let request, let queue):
            let count = localTransient(queue)?.queue.purge()
            post(.reply(request: request, count.map { .purged(UInt64($0)) } ?? .gone), to: sender)
        case .counts(let request, let queue):
            post(.reply(request: request, counts(of: queue).map { .counts($0) } ?? .gone), to: sender)
        case .channelGone(let queue, let channel):
            if let local = transients[queue] { channelGone(local, node: sender, channel: channel) }
        case .deliver(let channel, let number, let deliveryNumber, let deliveryCount, let redelivered, let message):
            channels[channel]?.transientSources[number]?.deliver(
                number: deliveryNumber, deliveryCount: deliveryCount, redelivered: redelivered, message)
        case .reply(let request, let reply):
            guard let waiting = requests[request], waiting.node == sender else { return }
            requests[request] = nil
            waiting.answer(reply)
        case .resources(let resources): take(resources, of: sender)
        }
    }

    private enum RemoteAttach {
        case ok([TransientDelivery])
        case refused
        case gone
    }

    private func attachRemote(
        _ consumer: TransientConsumerID, to id: TransientID, window: UInt32, exclusive: Bool
    ) -> RemoteAttach {
        guard let local = localTransient(id), !local.isDoomed else { return .gone }
        var deliveries: [TransientDelivery] = []
        guard local.queue.attach(consumer, window: window, exclusive: exclusive, into: &deliveries) else {
            return .refused
        }
        local.hadConsumer = true
        return .ok(deliveries)
    }

    /// The link to another broker was lost with what was on its way.
    func gatewayLost(_ lost: NodeID) {
        guard lost != node.nodeID else { return }
        outboxes[lost] = nil
        let abandoned = requests.filter { $0.value.node == lost }.sorted { $0.key < $1.key }
        for (request, waiting) in abandoned {
            requests[request] = nil
            waiting.answer(.gone)
        }
        for local in transients.values.sorted(by: { $0.id < $1.id }) {
            var deliveries: [TransientDelivery] = []
            local.queue.nodeGone(lost, into: &deliveries)
            dispatch(deliveries)
            deleteIfUnused(local)
        }
        for channel in channels.values.sorted(by: { $0.serial < $1.serial }) where !channel.transientUses.isEmpty {
            channel.gatewayLost(lost)
        }
    }
}
