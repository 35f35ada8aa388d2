public import AMQP
import NIOCore
import Primitives

/// How to consume.
public struct ConsumeOptions: Hashable, Sendable {
    /// Empty: one is made up.
    public var consumerTag: String
    /// The server takes deliveries as acknowledged.
    public var noAck: Bool
    /// No other consumer on the queue.
    public var exclusive: Bool
    /// Such as `x-priority`.
    public var arguments: FieldTable

    /// Options, all off by default.
    public init(
        consumerTag: String = "", noAck: Bool = false, exclusive: Bool = false, arguments: FieldTable = FieldTable()
    ) {
        self.consumerTag = consumerTag
        self.noAck = noAck
        self.exclusive = exclusive
        self.arguments = arguments
    }
}

extension AMQPChannel {
    /// Starts a consumer; on the loop. Its tag comes back.
    ///
    /// - Parameters:
    ///   - deliver: each message in place; may ack and publish.
    ///   - cancelled: the server ended the consumer, as when the queue is deleted.
    /// - Throws: any `ClientError`.
    public func consume(
        _ queue: String, options: ConsumeOptions = ConsumeOptions(), deliver: @escaping (Delivery) -> Void,
        cancelled: @escaping () -> Void = {}, completion: @escaping (Result<String, ClientError>) -> Void
    ) {
        do throws(ClientError) {
            try checkNames(queue, options.consumerTag)
        } catch {
            completion(.failure(error))
            return
        }
        consumersMade += 1
        let tag = options.consumerTag.isEmpty ? "ctag\(number).\(consumersMade)" : options.consumerTag
        // Deliveries may follow the answer in the same read: the consumer is there before it is asked for.
        consumers.append(Consumer(tag: Bytes(tag), deliver: deliver, cancelled: cancelled))
        let consume = BasicConsume(
            queue: queue, consumerTag: tag, noAck: options.noAck, exclusive: options.exclusive,
            arguments: options.arguments)
        call(.basicConsume(consume), expecting: BasicConsumeOk.id) { result, _ in
            if case .failure = result { _ = self.removeConsumer(tag) }
            completion(result.map { _ in tag })
        }
    }

    /// Starts a consumer; its callbacks come on the loop. Its tag comes back.
    ///
    /// - Throws: any `ClientError`.
    public func consume(
        _ queue: String, options: ConsumeOptions = ConsumeOptions(),
        deliver: @escaping @Sendable (Delivery) -> Void, cancelled: @escaping @Sendable () -> Void = {}
    ) async throws(ClientError) -> String {
        let result = await withCheckedContinuation { continuation in
            connection.eventLoop.execute {
                self.consume(queue, options: options, deliver: deliver, cancelled: cancelled) {
                    continuation.resume(returning: $0)
                }
            }
        }
        return try result.get()
    }

    /// Ends a consumer; nothing is delivered to it afterwards.
    ///
    /// - Throws: any `ClientError`.
    public func cancel(_ consumerTag: String) async throws(ClientError) {
        try checkNames(consumerTag)
        _ = try await call(.basicCancel(BasicCancel(consumerTag: consumerTag)), expecting: BasicCancelOk.id)
        await connection.onLoop { _ in _ = self.removeConsumer(consumerTag) }
    }

    /// Fetches one message, or nil from an empty queue.
    ///
    /// - Throws: any `ClientError`.
    public func get(_ queue: String, noAck: Bool = false) async throws(ClientError) -> Message? {
        try checkNames(queue)
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<Message?, ClientError>, Never>) in
            connection.eventLoop.execute {
                let get = Method.basicGet(BasicGet(queue: queue, noAck: noAck))
                self.call(get, expecting: BasicGetOk.id, or: BasicGetEmpty.id) { result, message in
                    continuation.resume(returning: result.map { _ in message })
                }
            }
        }
        return try result.get()
    }

    /// Limits unacknowledged deliveries: of each new consumer, or with `global` of the channel. 0 is no limit.
    ///
    /// - Throws: any `ClientError`.
    public func qos(prefetchCount: UInt16, global: Bool = false) async throws(ClientError) {
        _ = try await call(
            .basicQos(BasicQos(prefetchCount: prefetchCount, global: global)), expecting: BasicQosOk.id)
    }

    /// Asks for the redelivery of everything unacknowledged.
    ///
    /// - Throws: any `ClientError`.
    public func recover(requeue: Bool = true) async throws(ClientError) {
        _ = try await call(.basicRecover(BasicRecover(requeue: requeue)), expecting: BasicRecoverOk.id)
    }

    /// Turns on publisher confirms; sequence numbers start at 1.
    ///
    /// - Throws: any `ClientError`.
    public func confirmSelect() async throws(ClientError) {
        let result = await withCheckedContinuation { continuation in
            connection.eventLoop.execute { self.confirmSelect { continuation.resume(returning: $0) } }
        }
        try result.get()
    }

    /// Turns on publisher confirms; on the loop.
    public func confirmSelect(_ completion: @escaping (Result<Void, ClientError>) -> Void) {
        call(.confirmSelect(ConfirmSelect()), expecting: ConfirmSelectOk.id) { result, _ in
            if case .success = result, self.confirms == nil { self.confirms = ConfirmWindow() }
            completion(result.map { _ in })
        }
    }
}
