import AMQP
import Primitives
import Topology

/// The publish under way on a channel: from the method to the last octet of the body.
struct PublishState {
    var mandatory = false
    var bodySize = 0
    /// Nil when the publisher set none.
    var priority: UInt8?
    /// Milliseconds.
    var expiration: UInt64?
    /// The message has a header table.
    var hasHeaders = false
}

extension ClientChannel {
    func confirmSelect(_ select: ConfirmSelect) {
        isConfirming = true
        if !select.noWait { send(.confirmSelectOk(ConfirmSelectOk())) }
    }

    // MARK: Frames

    @inline(__always)
    func beginPublish(_ payload: UnsafeRawBufferPointer) throws(AMQPError) {
        let arguments = try PublishArguments(payload: payload)
        if arguments.immediate {
            throw AMQPError(.notImplemented, "immediate=true", method: BasicPublish.id)
        }
        publish.mandatory = arguments.mandatory
        head.begin(exchange: arguments.exchange, routingKey: arguments.routingKey)
    }

    func contentHeader(_ payload: UnsafeRawBufferPointer) throws(AMQPError) {
        let header = try ContentHeader(payload: payload)
        guard header.bodySize <= UInt64(broker.configuration.maxMessageSize) else {
            throw AMQPError(
                .preconditionFailed,
                "message size \(header.bodySize) is larger than configured max size "
                    + "\(broker.configuration.maxMessageSize)", method: BasicPublish.id)
        }
        let isComplete = try content.header(bodySize: header.bodySize)
        let scan = try PropertyScan(header.properties)
        publish.bodySize = Int(header.bodySize)
        publish.priority = scan.flags.contains(.priority) ? scan.priority : nil
        publish.expiration = try scan.expirationMilliseconds(in: header.properties)
        publish.hasHeaders = scan.flags.contains(.headers)
        if scan.flags.contains(.userID) {
            try checkUserID(UnsafeRawBufferPointer(rebasing: header.properties[scan.userID]))
        }
        head.finish(properties: header.properties)
        if isComplete { try route(UnsafeRawBufferPointer(start: nil, count: 0)) }
        takeRoom(publish.bodySize)
    }

    func contentBody(_ payload: UnsafeRawBufferPointer) throws(AMQPError) {
        let isComplete = try content.body(count: payload.count)
        if isComplete && body.isEmpty {
            try route(payload)
            giveRoomBack()
            return
        }
        if body.isEmpty { body.reserve(publish.bodySize) }
        body.write(payload)
        guard isComplete else { return }
        let whole = body.take()
        try whole.withUnsafeBytes { bytes throws(AMQPError) in try route(bytes) }
        giveRoomBack()
    }

    private func checkUserID(_ claimed: UnsafeRawBufferPointer) throws(AMQPError) {
        guard !connection.isImpersonator, !claimed.elementsEqual(connection.user.utf8) else { return }
        throw AMQPError(
            .preconditionFailed,
            "user_id property set to '\(String(decoding: claimed, as: UTF8.self))' but authenticated user was "
                + "'\(connection.user)'", method: BasicPublish.id)
    }

    // MARK: Routing

    /// The message is complete: `head` and `body`.
    @inline(__always)
    private func route(_ body: UnsafeRawBufferPointer) throws(AMQPError) {
        publishedCount &+= 1
        if let alarm = broker.alarm { connection.blockForAlarm(alarm) }
        let generation = broker.topologyGeneration
        let known = head.withAddress { routes.find($0, generation: generation) }
        if let known, !publish.hasHeaders || !hasExtraKeys() {
            store(routes[known].targets, body)
        } else {
            store(try resolve(), body)
        }
    }

    /// Whether the header table may hold `CC` or `BCC`: a look at the bytes, which may say yes for no reason.
    private func hasExtraKeys() -> Bool {
        head.withParts { _, _, properties in
            guard properties.count > 6 else { return false }
            for index in 0..<properties.count - 3 where properties[index + 1] == UInt8(ascii: "C") {
                if properties[index] == 2 && properties[index + 2] == UInt8(ascii: "C") { return true }
            }
            for index in 0..<properties.count - 4 where properties[index + 1] == UInt8(ascii: "B") {
                if properties[index] == 3 && properties[index + 2] == UInt8(ascii: "C")
                    && properties[index + 3] == UInt8(ascii: "C")
                {
                    return true
                }
            }
            return false
        }
    }

    /// Routes through the topology, checking the exchange and the right to write to it.
    private func resolve() throws(AMQPError) -> [RouteTarget] {
        let address = head.withAddress { Array($0) }
        let names = head.withParts { exchange, _, _ in String(decoding: exchange, as: UTF8.self) }
        let headers = try headerTable()
        let extraKeys = try ClientChannel.extraKeys(headers)
        let topology = self.topology
        // Found anew each time: a snapshot that takes the topology's place makes new handles before it is told of.
        guard let host = topology.virtualHostRef(vhost),
            let exchange = head.withParts({ name, _, _ in topology.exchangeRef(name, in: host) })
        else { throw missingExchange(names, method: BasicPublish.id) }
        try check(.write, exchange: names, method: BasicPublish.id)
        if topology.exchange(names, vhost: vhost)?.isInternal ?? false {
            throw AMQPError(
                .accessRefused, "cannot publish to internal exchange '\(names)' in vhost '\(vhost)'",
                method: BasicPublish.id)
        }
        var buffer = RouteBuffer()
        func look(_ key: UnsafeRawBufferPointer) -> [QueueTarget] {
            topology.route(exchange, in: host, key: key, into: &buffer) { name in
                headers?[name].map { TopologyValue($0) }
            }
            return buffer.targets
        }
        var queues = head.withParts { _, key, _ in look(key) }
        let isCacheable = !buffer.dependsOnHeaders && extraKeys.isEmpty
        for key in extraKeys {
            for queue in Bytes(key).withUnsafeBytes({ look($0) }) where !queues.contains(queue) { queues.append(queue) }
        }
        let targets = queues.compactMap { target(of: $0) }
        if isCacheable {
            routes.insert(Route(address: address, targets: targets), generation: broker.topologyGeneration)
        }
        return targets
    }

    private func headerTable() throws(AMQPError) -> FieldTable? {
        guard publish.hasHeaders else { return nil }
        return try head.withParts { _, _, properties throws(AMQPError) in
            try PropertyScan(properties).headerTable(in: properties)
        }
    }

    /// Sender-selected distribution: more routing keys in the headers `CC` and `BCC`.
    private static func extraKeys(_ headers: FieldTable?) throws(AMQPError) -> [String] {
        guard let headers else { return [] }
        var keys: [String] = []
        for name in ["CC", "BCC"] {
            guard let value = headers[name] else { continue }
            guard case .array(let values) = value else {
                throw AMQPError(
                    .preconditionFailed, "invalid message: unsupported '\(name)' header type \(value.typeName)",
                    method: BasicPublish.id)
            }
            keys.append(contentsOf: values.compactMap(\.text))
        }
        return keys
    }

    /// The object that takes messages for a queue; nil when the queue is not there any more.
    func target(of queue: QueueTarget) -> RouteTarget? {
        switch queue {
        case .quorum(let group): return .quorum(session(for: group))
        case .transient(let id, let node):
            if node == broker.node.nodeID { return broker.localTransient(id).map { .local($0) } }
            if let known = remotePublishes[id] { return .remote(known) }
            let remote = RemotePublishes(queue: id, node: node, channel: self)
            remotePublishes[id] = remote
            broker.use(id, by: self)
            return .remote(remote)
        }
    }

    /// The channel's session at a quorum queue, opened when it is first needed.
    func session(for group: GroupID) -> QueueSession {
        if let known = sessions[group] { return known }
        let session = broker.handle(for: group).open(for: self, number: broker.nextSerial())
        sessions[group] = session
        return session
    }

    // MARK: Storing

    @inline(__always)
    private func store(_ targets: [RouteTarget], _ body: UnsafeRawBufferPointer) {
        let tag = isConfirming ? ledger.publish(targets: targets.count) : 0
        if targets.isEmpty {
            if publish.mandatory { sendReturn(body) }
            if tag != 0 { listConfirming() }
            return
        }
        for target in targets {
            switch target {
            case .quorum(let session): session.publish(self, body, tag: tag)
            case .local(let queue):
                broker.publish(head.message(body: body), to: queue)
                if tag != 0 { confirm(tag...tag) }
            case .remote(let remote): remote.publish(head.message(body: body), tag: tag)
            }
        }
    }

    private func sendReturn(_ body: UnsafeRawBufferPointer) {
        head.withParts { exchange, key, properties in
            send(
                .basicReturn(
                    BasicReturn(
                        replyCode: ReplyCode.noRoute.rawValue, replyText: ReplyCode.noRoute.name,
                        exchange: String(decoding: exchange, as: UTF8.self),
                        routingKey: String(decoding: key, as: UTF8.self))))
            connection.output.writeContent(
                channel: number, properties: properties, body: body, frameMax: connection.tuning.frameMax)
        }
    }

    // MARK: Confirms

    /// One queue has the publishes of these numbers.
    func confirm(_ tags: ClosedRange<UInt64>) {
        ledger.applied(tags)
        listConfirming()
    }

    func listConfirming() {
        guard !isListedConfirming else { return }
        isListedConfirming = true
        connection.confirming.append(self)
        connection.markDirty()
    }

    /// Writes the acks and nacks that are due.
    func writeConfirms() {
        isListedConfirming = false
        guard !hasEnded && ledger.hasAnswers else { return }
        ledger.drain { answer in
            if answer.isAck {
                connection.output.writeAck(channel: number, deliveryTag: answer.tag, multiple: answer.multiple)
            } else {
                connection.output.writeNack(
                    channel: number, deliveryTag: answer.tag, multiple: answer.multiple, requeue: false)
            }
        }
    }

    // MARK: Back-pressure

    /// Stops reading from the connection until the queue has caught up.
    func block(on handle: QueueHandle) {
        guard !blockedOn.contains(where: { $0 === handle }) else { return }
        blockedOn.append(handle)
        handle.waiters.append(self)
        connection.holdReading()
    }

    /// The queue has caught up.
    func unblock(from handle: QueueHandle) {
        guard let index = blockedOn.firstIndex(where: { $0 === handle }) else { return }
        blockedOn.remove(at: index)
        connection.releaseReading()
    }
}
