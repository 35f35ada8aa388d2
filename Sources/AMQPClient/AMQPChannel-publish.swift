import AMQP
import NIOCore
public import Primitives

extension AMQPChannel {
    /// Appends a publish to the connection's output, which leaves with the tick or with `flush()`.
    ///
    /// - Parameter properties: flags and list in place of the route's, as `BasicProperties.encoded()` makes them.
    /// - Returns: its sequence number for `onConfirm`; 0 without confirms or when the channel is over.
    @discardableResult
    public func publish(_ route: PublishRoute, properties: Bytes? = nil, body: UnsafeRawBufferPointer) -> UInt64 {
        connection.eventLoop.assertInEventLoop()
        guard isOpen else { return 0 }
        route.exchange.withUnsafeBytes { exchange in
            route.routingKey.withUnsafeBytes { routingKey in
                (properties ?? route.properties).withUnsafeBytes { properties in
                    let frames = PublishFrames(
                        channel: number, exchange: exchange, routingKey: routingKey, mandatory: route.mandatory,
                        properties: properties, body: body, frameMax: connection.frameMax)
                    connection.append(frames.byteCount) { frames.write(to: $0) }
                }
            }
        }
        return confirms?.next() ?? 0
    }

    /// Acknowledges a delivery, or all up to it.
    public func ack(_ deliveryTag: UInt64, multiple: Bool = false) {
        connection.eventLoop.assertInEventLoop()
        guard isOpen else { return }
        connection.append(AcknowledgementFrame.byteCount) {
            AcknowledgementFrame.writeAck(channel: number, deliveryTag: deliveryTag, multiple: multiple, to: $0)
        }
    }

    /// Gives a delivery back, or all up to it.
    public func nack(_ deliveryTag: UInt64, multiple: Bool = false, requeue: Bool = true) {
        connection.eventLoop.assertInEventLoop()
        guard isOpen else { return }
        connection.append(AcknowledgementFrame.byteCount) {
            AcknowledgementFrame.writeNack(
                channel: number, deliveryTag: deliveryTag, multiple: multiple, requeue: requeue, to: $0)
        }
    }

    /// Rejects a delivery.
    public func reject(_ deliveryTag: UInt64, requeue: Bool) {
        connection.eventLoop.assertInEventLoop()
        guard isOpen else { return }
        connection.send(.basicReject(BasicReject(deliveryTag: deliveryTag, requeue: requeue)), channel: number)
    }

    /// Writes what has gathered on the connection.
    public func flush() { connection.flush() }

    func settle(_ tag: UInt64, multiple: Bool, positive: Bool) throws(AMQPError) {
        // The runs leave the channel before the callbacks, which may publish.
        var runs = confirmRuns
        confirmRuns = []
        guard confirms?.settle(tag, multiple: multiple, into: &runs) == true else {
            throw AMQPError(.preconditionFailed, "confirm of unknown publish \(tag)", scope: .connection)
        }
        for run in runs {
            onConfirm?(run, positive)
            guard !confirmWaiters.isEmpty else { continue }
            for sequence in run {
                confirmWaiters.removeValue(forKey: sequence)?.resume(returning: .success(positive))
            }
        }
        runs.removeAll(keepingCapacity: true)
        confirmRuns = runs
    }

    /// Publishes one message and waits for its confirm: for tests and tools, not for load.
    ///
    /// - Returns: true for `basic.ack`, false for `basic.nack`.
    /// - Throws: any `ClientError`; `invalid` without `confirmSelect`.
    public func publishConfirmed(_ route: PublishRoute, body: Bytes) async throws(ClientError) -> Bool {
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<Bool, ClientError>, Never>) in
            connection.eventLoop.execute {
                guard self.isOpen else {
                    continuation.resume(returning: .failure(self.ended ?? .closed))
                    return
                }
                guard self.confirms != nil else {
                    continuation.resume(returning: .failure(.invalid("confirms are not selected")))
                    return
                }
                let sequence = body.withUnsafeBytes { self.publish(route, body: $0) }
                self.confirmWaiters[sequence] = continuation
            }
        }
        return try result.get()
    }
}

extension AMQPConnection {
    /// Reserves `count` octets of output once and lets `write` fill all of them.
    func append(_ count: Int, _ write: (UnsafeMutableRawPointer) -> Void) {
        output.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { room in
            guard let base = room.baseAddress else { return 0 }
            write(base)
            return count
        }
        setNeedsFlush()
    }
}
