public import AMQP

/// What a server gave as the reason when it closed a connection or a channel.
public struct CloseReason: Hashable, Sendable {
    /// A reply code, such as 404; not necessarily one of `ReplyCode`.
    public var code: UInt16
    /// The server's text.
    public var text: String
    /// The method at fault, or 0.0.
    public var method: MethodID

    /// A reason.
    public init(code: UInt16, text: String, method: MethodID = MethodID(rawValue: 0)) {
        self.code = code
        self.text = text
        self.method = method
    }
}

/// Why an operation, a channel or a connection failed.
public enum ClientError: Error, Hashable, Sendable {
    /// No TCP connection.
    case connectFailed(String)
    /// The server ended the handshake: wrong password, unknown virtual host, another protocol.
    case refused(CloseReason)
    /// The server closed the connection.
    case connectionClosed(CloseReason)
    /// The server closed the channel.
    case channelClosed(CloseReason)
    /// The socket closed or failed without a close method.
    case connectionLost(String)
    /// Nothing came for two heartbeat intervals.
    case heartbeatMissed
    /// An answer, named here, took longer than the settings allow.
    case timedOut(String)
    /// The server sent what the protocol does not allow.
    case protocolViolation(AMQPError)
    /// Closed by this side.
    case closed
    /// Refused before anything was sent.
    case invalid(String)
}

extension ClientError: CustomStringConvertible {
    /// One line.
    public var description: String {
        switch self {
        case .connectFailed(let why): "cannot connect: \(why)"
        case .refused(let reason): "refused: \(reason.code) \(reason.text)"
        case .connectionClosed(let reason): "connection closed by the server: \(reason.code) \(reason.text)"
        case .channelClosed(let reason): "channel closed by the server: \(reason.code) \(reason.text)"
        case .connectionLost(let why): "connection lost: \(why)"
        case .heartbeatMissed: "connection lost: missed heartbeats"
        case .timedOut(let what): "no answer to \(what)"
        case .protocolViolation(let error): "protocol violation: \(error)"
        case .closed: "closed"
        case .invalid(let why): why
        }
    }
}
