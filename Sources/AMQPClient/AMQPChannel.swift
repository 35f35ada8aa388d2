public import AMQP
import NIOCore
import Primitives

/// One channel of a connection, on the connection's event loop; `async` members may be called from anywhere.
public final class AMQPChannel: @unchecked Sendable {
    struct PendingCall {
        let name: String
        let expected: MethodID
        /// `basic.get` has two answers.
        let alternative: MethodID?
        let deadline: NIODeadline
        let completion: (Result<Method, ClientError>, Message?) -> Void
    }

    struct Consumer {
        let tag: Bytes
        let deliver: (Delivery) -> Void
        let cancelled: () -> Void
    }

    /// The connection it belongs to.
    public let connection: AMQPConnection
    /// Its number.
    public let number: UInt16

    var calls = Ring<PendingCall>()
    var consumers: [Consumer] = []
    var consumersMade = 0
    var assembly = ContentAssembly()
    /// Nil until `confirmSelect`.
    var confirms: ConfirmWindow?
    var confirmRuns: [ClosedRange<UInt64>] = []
    var confirmWaiters: [UInt64: CheckedContinuation<Result<Bool, ClientError>, Never>] = [:]
    /// Set once the channel is over.
    var ended: ClientError?
    var isClosing = false

    /// Confirms as runs of sequence numbers, each number once; true is `basic.ack`, false `basic.nack`.
    public var onConfirm: ((ClosedRange<UInt64>, Bool) -> Void)?
    /// Mandatory messages that could not be routed, with the server's reason.
    public var onReturn: ((BasicReturn, Message) -> Void)?
    /// Called once when the channel ends.
    public var onClose: ((ClientError) -> Void)?

    init(connection: AMQPConnection, number: UInt16) {
        self.connection = connection
        self.number = number
    }

    /// It can be used.
    public var isOpen: Bool { ended == nil && !isClosing }
    /// Publishes that await their confirm; 0 without `confirmSelect`.
    public var unconfirmedCount: Int { confirms?.outstanding ?? 0 }
    /// Confirms that repeated an earlier one: a server fault.
    public var repeatedConfirms: UInt64 { confirms?.repeated ?? 0 }

    /// Sends a method and waits, in order with the others, for one of its answers.
    func call(
        _ method: Method, expecting expected: MethodID, or alternative: MethodID? = nil,
        completion: @escaping (Result<Method, ClientError>, Message?) -> Void
    ) {
        connection.eventLoop.assertInEventLoop()
        if let ended {
            completion(.failure(ended), nil)
            return
        }
        guard !isClosing else {
            completion(.failure(.closed), nil)
            return
        }
        let timeout = connection.settings.replyTimeoutMilliseconds
        let deadline = timeout > 0 ? connection.eventLoop.now + .milliseconds(timeout) : .distantFuture
        calls.append(
            PendingCall(
                name: method.name, expected: expected, alternative: alternative, deadline: deadline,
                completion: completion))
        connection.send(method, channel: number)
    }

    /// The name of the oldest call if it is late.
    func overdue(at now: NIODeadline) -> String? {
        guard let first = calls.first, first.deadline <= now else { return nil }
        return first.name
    }

    /// Any method with its answer, for what has no wrapper.
    ///
    /// - Throws: any `ClientError`.
    func call(_ method: Method, expecting expected: MethodID) async throws(ClientError) -> Method {
        let result = await withCheckedContinuation { continuation in
            connection.eventLoop.execute {
                self.call(method, expecting: expected) { result, _ in continuation.resume(returning: result) }
            }
        }
        return try result.get()
    }

    /// The channel is over: everybody who waits learns why.
    func end(_ error: ClientError) {
        guard ended == nil else { return }
        ended = error
        while let call = calls.popFirst() { call.completion(.failure(error), nil) }
        let waiters = confirmWaiters.sorted { $0.key < $1.key }
        confirmWaiters = [:]
        for waiter in waiters { waiter.value.resume(returning: .failure(error)) }
        onClose?(error)
        consumers = []
        onConfirm = nil
        onReturn = nil
        onClose = nil
    }

    /// Closes the channel and waits for the answer.
    ///
    /// - Throws: any `ClientError` if it ended otherwise first.
    public func close() async throws(ClientError) {
        let result = await withCheckedContinuation { continuation in
            connection.eventLoop.execute { self.close { continuation.resume(returning: $0) } }
        }
        try result.get()
    }

    /// Closes the channel.
    public func close(_ completion: @escaping (Result<Void, ClientError>) -> Void) {
        let close = ChannelClose(replyCode: 200, replyText: "bye", classID: 0, methodID: 0)
        call(.channelClose(close), expecting: ChannelCloseOk.id) { result, _ in
            completion(result.map { _ in })
        }
        isClosing = true
    }
}
