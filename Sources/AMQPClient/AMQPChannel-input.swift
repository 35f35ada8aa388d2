import AMQP
import Primitives

extension AMQPChannel {
    /// Handles one frame of this channel. A delivery whose header and body follow in the same buffer is taken as a
    /// whole: `offset` then moves behind them.
    func handle(
        _ frame: Frame, payload: UnsafeRawBufferPointer, in bytes: UnsafeRawBufferPointer, offset: inout Int
    ) throws(AMQPError) {
        switch frame.type {
        case .heartbeat: break
        case .method: try handleMethod(payload, in: bytes, offset: &offset)
        case .header:
            if try assembly.header(payload, maximumBodySize: connection.settings.maximumBodySize) { try assembled() }
        case .body:
            if try assembly.body(payload) { try assembled() }
        }
    }

    private func handleMethod(
        _ payload: UnsafeRawBufferPointer, in bytes: UnsafeRawBufferPointer, offset: inout Int
    ) throws(AMQPError) {
        guard assembly.isIdle else { throw .unexpectedFrame("method frame inside a content") }
        switch MethodID.peek(payload) {
        case BasicDeliver.id:
            guard try !deliverInPlace(payload, in: bytes, offset: &offset) else { return }
            try assembly.begin(method: payload)
        case BasicGetOk.id, BasicReturn.id: try assembly.begin(method: payload)
        case BasicAck.id:
            let ack = try BasicAck(payload: payload)
            try settle(ack.deliveryTag, multiple: ack.multiple, positive: true)
        case BasicNack.id:
            let nack = try BasicNack(payload: payload)
            try settle(nack.deliveryTag, multiple: nack.multiple, positive: false)
        default: try handleOther(try Method(payload: payload))
        }
    }

    /// The common case: method, header and at most one body frame lie next to each other. False when they do not.
    private func deliverInPlace(
        _ payload: UnsafeRawBufferPointer, in bytes: UnsafeRawBufferPointer, offset: inout Int
    ) throws(AMQPError) -> Bool {
        var ahead = offset
        guard let headerFrame = try connection.parser.next(bytes, at: &ahead),
            headerFrame.type == .header, headerFrame.channel == number
        else { return false }
        let header = try ContentHeader(payload: UnsafeRawBufferPointer(rebasing: bytes[headerFrame.payload]))
        var body = UnsafeRawBufferPointer(start: nil, count: 0)
        if header.bodySize > 0 {
            guard header.bodySize <= connection.settings.maximumBodySize,
                let bodyFrame = try connection.parser.next(bytes, at: &ahead),
                bodyFrame.type == .body, bodyFrame.channel == number, UInt64(bodyFrame.payload.count) == header.bodySize
            else { return false }
            body = UnsafeRawBufferPointer(rebasing: bytes[bodyFrame.payload])
        }
        offset = ahead
        try deliver(method: payload, properties: header.properties, body: body)
        return true
    }

    private func deliver(
        method: UnsafeRawBufferPointer, properties: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer
    ) throws(AMQPError) {
        let arguments = try DeliverArguments(payload: method)
        // Few consumers a channel: comparing bytes is cheaper than hashing them. A consumer just cancelled may be gone.
        guard
            let consumer = consumers.first(where: { $0.tag.withUnsafeBytes { $0.elementsEqual(arguments.consumerTag) } }
            )
        else { return }
        consumer.deliver(
            Delivery(
                deliveryTag: arguments.deliveryTag, redelivered: arguments.redelivered, exchange: arguments.exchange,
                routingKey: arguments.routingKey, properties: properties, body: body))
    }

    private func assembled() throws(AMQPError) {
        let method = assembly.method
        let properties = assembly.properties
        let body = Bytes(assembly.takeBody())
        try method.withUnsafeBytes { method throws(AMQPError) in
            try properties.withUnsafeBytes { properties throws(AMQPError) in
                try body.withUnsafeBytes { body throws(AMQPError) in
                    try finish(method: method, properties: properties, body: body)
                }
            }
        }
    }

    private func finish(
        method: UnsafeRawBufferPointer, properties: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer
    ) throws(AMQPError) {
        func message(_ tag: UInt64, _ redelivered: Bool, _ exchange: String, _ routingKey: String) -> Message {
            let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
            var message = Message(
                Delivery(
                    deliveryTag: tag, redelivered: redelivered, exchange: nothing, routingKey: nothing,
                    properties: properties, body: body))
            message.exchange = exchange
            message.routingKey = routingKey
            return message
        }
        switch MethodID.peek(method) {
        case BasicDeliver.id: try deliver(method: method, properties: properties, body: body)
        case BasicReturn.id:
            let returned = try BasicReturn(payload: method)
            onReturn?(returned, message(0, false, returned.exchange, returned.routingKey))
        default:
            let got = try BasicGetOk(payload: method)
            try answer(.basicGetOk(got), message(got.deliveryTag, got.redelivered, got.exchange, got.routingKey))
        }
    }

    private func handleOther(_ method: Method) throws(AMQPError) {
        switch method {
        case .channelClose(let close):
            connection.send(.channelCloseOk(ChannelCloseOk()), channel: number)
            // When the closes cross, ours is still answered: the number stays taken until then.
            if isClosing { end(.channelClosed(CloseReason(close))) } else { leave(.channelClosed(CloseReason(close))) }
        case .channelCloseOk:
            if ended == nil { try answer(method, nil) }
            leave(.closed)
        case .channelFlow(let flow):
            connection.send(.channelFlowOk(ChannelFlowOk(active: flow.active)), channel: number)
        case .basicCancel(let cancel):
            if !cancel.noWait {
                connection.send(.basicCancelOk(BasicCancelOk(consumerTag: cancel.consumerTag)), channel: number)
            }
            removeConsumer(cancel.consumerTag)?.cancelled()
        default: try answer(method, nil)
        }
    }

    private func answer(_ method: Method, _ message: Message?) throws(AMQPError) {
        guard let call = calls.first, call.expected == method.id || call.alternative == method.id else {
            throw AMQPError(.commandInvalid, "\(method.name) answers no call", method: method.id, scope: .connection)
        }
        calls.popFirst()
        call.completion(.success(method), message)
    }

    private func leave(_ error: ClientError) {
        if Int(number) < connection.channels.count && connection.channels[Int(number)] === self {
            connection.channels[Int(number)] = nil
        }
        end(error)
    }

    func removeConsumer(_ tag: String) -> Consumer? {
        let wanted = Bytes(tag)
        guard let index = consumers.firstIndex(where: { $0.tag == wanted }) else { return nil }
        return consumers.remove(at: index)
    }
}
