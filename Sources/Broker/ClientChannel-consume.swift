import AMQP
import Primitives
import QuorumQueue
import Topology

extension ClientChannel {
    /// What to do with acknowledged deliveries.
    enum Verdict {
        case settle
        case giveBack(counted: Bool)
        case discard
    }

    // MARK: Acknowledging

    func acknowledge(tag: UInt64, multiple: Bool, _ verdict: Verdict, method: MethodID) throws(AMQPError) {
        // Gathered first: a queue in this node's memory answers with deliveries at once, perhaps to this channel.
        var runs: [AcknowledgedRun] = []
        swap(&runs, &acknowledged)
        let isKnown = unacked.take(tag: tag, multiple: multiple) { slot, numbers in
            runs.append(AcknowledgedRun(slot: slot, numbers: numbers))
        }
        guard isKnown else {
            throw AMQPError(.preconditionFailed, "unknown delivery tag \(tag)", method: method)
        }
        for run in runs {
            guard Int(run.slot) < sources.count, let source = sources[Int(run.slot)] else { continue }
            switch verdict {
            case .settle: source.settle(run.numbers)
            case .giveBack(let counted): source.giveBack(run.numbers, counted: counted)
            case .discard: source.discard(run.numbers)
            }
            source.released(run.numbers.count)
        }
        runs.removeAll(keepingCapacity: true)
        swap(&runs, &acknowledged)
    }

    func basicRecover(requeue: Bool, method: MethodID) throws(AMQPError) {
        guard requeue else { throw AMQPError(.notImplemented, "requeue=false", method: method) }
        try acknowledge(tag: 0, multiple: true, .giveBack(counted: false), method: method)
    }

    func basicQos(_ qos: BasicQos) throws(AMQPError) {
        guard qos.prefetchSize == 0 else {
            throw AMQPError(.notImplemented, "prefetch_size!=0 (\(qos.prefetchSize))", method: BasicQos.id)
        }
        prefetch = UInt32(qos.prefetchCount)
        // A global prefetch is taken per consumer, as RabbitMQ 4.3 does, and holds for the living ones too.
        if qos.global {
            for source in consumers.values.sorted(by: { $0.slot < $1.slot }) { source.setPrefetch(prefetch) }
        }
        send(.basicQosOk(BasicQosOk()))
    }

    // MARK: Sources

    /// A source in a free slot.
    func makeSource(
        tag: String, queue: String, noAck: Bool, isExclusive: Bool, prefetch: UInt32, state: DeliverySource.State
    ) -> DeliverySource {
        let slot: UInt32
        if let free = freeSlots.popLast() {
            slot = free
        } else {
            slot = UInt32(sources.count)
            sources.append(nil)
        }
        let source = DeliverySource(
            channel: self, slot: slot, tag: tag, queue: queue, noAck: noAck, isExclusive: isExclusive,
            prefetch: prefetch, state: state)
        sources[Int(slot)] = source
        return source
    }

    /// A source that is over: nothing of it is unacknowledged.
    func free(_ source: DeliverySource) {
        guard Int(source.slot) < sources.count, sources[Int(source.slot)] === source else { return }
        sources[Int(source.slot)] = nil
        freeSlots.append(source.slot)
        if case .transient(_, let consumer) = source.backing { transientSources[consumer] = nil }
    }

    /// A source whose queue is gone: the client hears of it if it wants to.
    func sourceGone(_ source: DeliverySource) {
        guard !hasEnded else { return }
        let wasActive = source.state == .active
        if source.state == .attaching { source.attached = nil }
        if source.state == .getting {
            if let get = pendingGet, isCurrent(get.token), source.outstanding == 0 {
                pendingGet = nil
                finish(get.token) { () throws(AMQPError) in
                    throw self.missingQueue(source.queue, method: BasicGet.id)
                }
            }
        } else {
            source.state = .cancelled
            if consumers[source.tag] === source { consumers[source.tag] = nil }
        }
        if wasActive && connection.capabilities.consumerCancelNotify {
            send(.basicCancel(BasicCancel(consumerTag: source.tag, noWait: true)))
        }
        if source.outstanding == 0 { free(source) }
    }

    // MARK: Consuming

    func basicConsume(_ consume: BasicConsume) throws(AMQPError) {
        let record = try queue(named: consume.queue, method: BasicConsume.id)
        try check(.read, queue: record.name, method: BasicConsume.id)
        try checkExclusive(record, method: BasicConsume.id)
        let tag = consume.consumerTag.isEmpty ? broker.uniqueName("amq.ctag-") : consume.consumerTag
        guard consumers[tag] == nil else {
            throw AMQPError(.notAllowed, "attempt to reuse consumer tag '\(tag)'", method: BasicConsume.id)
        }
        var priority: Int32 = 0
        if let value = consume.arguments["x-priority"] {
            guard let number = value.integer.flatMap({ Int32(exactly: $0) }) else {
                throw AMQPError(
                    .preconditionFailed, "invalid arg 'x-priority' for consumer '\(tag)'", method: BasicConsume.id)
            }
            priority = number
        }
        let source = makeSource(
            tag: tag, queue: record.name, noAck: consume.noAck, isExclusive: consume.exclusive, prefetch: prefetch,
            state: .attaching)
        consumers[tag] = source
        let token = begin(BasicConsume.id)
        source.attached = { [self] in
            source.attached = nil
            finish(token) { () throws(AMQPError) in
                if !consume.noWait { self.send(.basicConsumeOk(BasicConsumeOk(consumerTag: tag))) }
            }
        }
        attach(source, to: record, priority: priority, token: token)
    }

    private func attach(_ source: DeliverySource, to record: QueueRecord, priority: Int32, token: UInt64) {
        let window = source.noAck ? broker.configuration.autoAckWindow : source.prefetch
        switch record.target {
        case .quorum(let group):
            let options = ConsumerOptions(
                prefetch: window, autoAck: source.noAck, exclusive: source.isExclusive, priority: priority,
                tag: source.tag)
            let session = session(for: group)
            let consumer = session.attach(source, options) { [self] result in
                switch result {
                case .done: attached(source)
                case .outcome(.consumerRefused(let reason)): refused(source, token, reason)
                case .outcome, .queueGone: attachFailed(source, token)
                }
            }
            source.backing = .quorum(session, consumer: consumer)
        case .transient(let id, let node):
            let consumer = nextTransientConsumer
            nextTransientConsumer += 1
            transientSources[consumer] = source
            broker.use(id, by: self)
            let address = TransientAddress(queue: id, node: node, channel: self)
            source.backing = .transient(address, consumer: consumer)
            address.attach(consumer, window: window, exclusive: source.isExclusive) { [self] result in
                switch result {
                case .ok: attached(source)
                case .refused: refused(source, token, .exclusive)
                case .gone: attachFailed(source, token)
                }
            }
        }
    }

    private func attached(_ source: DeliverySource) {
        guard source.state == .attaching else { return }
        source.state = .active
        source.attached?()
    }

    private func refused(_ source: DeliverySource, _ token: UInt64, _ reason: ConsumerRefusal) {
        drop(source)
        finish(token) { () throws(AMQPError) in
            switch reason {
            case .exclusive:
                throw AMQPError(
                    .accessRefused, "queue '\(source.queue)' in vhost '\(self.vhost)' in exclusive use",
                    method: BasicConsume.id)
            case .duplicate, .limit:
                throw AMQPError(
                    .preconditionFailed, "queue '\(source.queue)' in vhost '\(self.vhost)' takes no more consumers",
                    method: BasicConsume.id)
            }
        }
    }

    private func attachFailed(_ source: DeliverySource, _ token: UInt64) {
        drop(source)
        finish(token) { () throws(AMQPError) in throw self.missingQueue(source.queue, method: BasicConsume.id) }
    }

    private func drop(_ source: DeliverySource) {
        guard !hasEnded else { return }
        source.attached = nil
        source.state = .cancelled
        source.backing = .none
        if consumers[source.tag] === source { consumers[source.tag] = nil }
        free(source)
    }

    func basicCancel(_ cancel: BasicCancel) {
        if let source = consumers.removeValue(forKey: cancel.consumerTag) {
            source.state = .cancelled
            source.settleWritten()
            source.detach()
            if source.outstanding == 0 { free(source) }
        }
        if !cancel.noWait { send(.basicCancelOk(BasicCancelOk(consumerTag: cancel.consumerTag))) }
    }

    // MARK: Getting

    func basicGet(_ get: BasicGet) throws(AMQPError) {
        let record = try queue(named: get.queue, method: BasicGet.id)
        try check(.read, queue: record.name, method: BasicGet.id)
        try checkExclusive(record, method: BasicGet.id)
        let token = begin(BasicGet.id)
        switch record.target {
        case .quorum(let group):
            let session = session(for: group)
            let source = makeSource(
                tag: "", queue: record.name, noAck: get.noAck, isExclusive: false, prefetch: 0, state: .getting)
            source.backing = .quorum(session, consumer: 0)
            session.sources[0] = source
            session.get(autoAck: get.noAck) { [self] result in
                switch result {
                case .outcome(.got(_, let remaining)):
                    pendingGet = PendingGet(token: token, remaining: remaining)
                case .outcome(.getEmpty):
                    free(source)
                    finish(token) { () throws(AMQPError) in self.send(.basicGetEmpty(BasicGetEmpty())) }
                case .done, .outcome, .queueGone:
                    free(source)
                    finish(token) { () throws(AMQPError) in
                        throw self.missingQueue(record.name, method: BasicGet.id)
                    }
                }
            }
        case .transient(let id, let node): getTransient(get, record, id, node, token)
        }
    }

    private func getTransient(
        _ get: BasicGet, _ record: QueueRecord, _ id: TransientID, _ node: NodeID, _ token: UInt64
    ) {
        broker.use(id, by: self)
        let address = TransientAddress(queue: id, node: node, channel: self)
        let source = makeSource(
            tag: "", queue: record.name, noAck: get.noAck, isExclusive: false, prefetch: 0, state: .getting)
        source.backing = .transient(address, consumer: 0)
        address.get { [self] result in
            switch result {
            case .got(let delivery, let remaining):
                pendingGet = PendingGet(token: token, remaining: remaining)
                source.deliver(
                    number: delivery.number, deliveryCount: delivery.deliveryCount,
                    redelivered: delivery.redelivered, delivery.body)
            case .empty:
                free(source)
                finish(token) { () throws(AMQPError) in self.send(.basicGetEmpty(BasicGetEmpty())) }
            case .gone:
                free(source)
                finish(token) { () throws(AMQPError) in throw self.missingQueue(record.name, method: BasicGet.id) }
            }
        }
    }

    /// The message of the `basic.get` under way.
    func finishGet(
        _ source: DeliverySource, number: UInt64, deliveryCount: UInt32, redelivered: Bool, _ message: Bytes
    ) {
        guard let get = pendingGet, isCurrent(get.token) else {
            source.giveBack(number...number, counted: false)
            return
        }
        pendingGet = nil
        finish(get.token) { () throws(AMQPError) in
            message.withUnsafeBytes { buffer in
                guard let envelope = source.readable(buffer, number) else {
                    self.send(.basicGetEmpty(BasicGetEmpty()))
                    return
                }
                let tag = source.take(number)
                self.deliveredCount &+= 1
                self.send(
                    .basicGetOk(
                        BasicGetOk(
                            deliveryTag: tag, redelivered: redelivered,
                            exchange: String(decoding: envelope.exchange, as: UTF8.self),
                            routingKey: String(decoding: envelope.routingKey, as: UTF8.self),
                            messageCount: UInt32(clamping: get.remaining))))
                let write = { (properties: UnsafeRawBufferPointer) in
                    self.connection.output.writeContent(
                        channel: self.number, properties: properties, body: envelope.body,
                        frameMax: self.connection.tuning.frameMax)
                }
                if deliveryCount == 0 {
                    write(envelope.properties)
                } else {
                    envelope.withCounted(deliveryCount, write)
                }
            }
        }
    }
}

/// Acknowledged deliveries of one source with consecutive numbers.
struct AcknowledgedRun {
    var slot: UInt32
    var numbers: ClosedRange<UInt64>
}

/// A `basic.get` that was given a message which has not arrived yet.
struct PendingGet {
    var token: UInt64
    var remaining: UInt64
}
