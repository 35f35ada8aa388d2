public import Primitives

/// A refusal as the protocol knows it: what `connection.close` or `channel.close` will say.
public struct AMQPError: Error, Hashable, Sendable {
    /// What has to be closed.
    public enum Scope: Hashable, Sendable {
        /// The channel only; its connection and the other channels go on.
        case channel
        /// The connection.
        case connection
    }

    /// The number on the wire.
    public var code: ReplyCode
    /// What closes. A soft error may still close the connection (as at vhost open), never the other way round.
    public var scope: Scope
    /// What happened, without the code's name.
    public var text: String
    /// The method at fault, or 0.0.
    public var method: MethodID

    /// An error whose scope is the specification's for `code`, unless `scope` says otherwise.
    public init(
        _ code: ReplyCode, _ text: String, method: MethodID = MethodID(rawValue: 0), scope: Scope? = nil
    ) {
        self.code = code
        self.scope = scope ?? (code.closesConnection ? .connection : .channel)
        self.text = text
        self.method = method
    }

    /// As RabbitMQ writes it: `NOT_FOUND - no queue 'q' in vhost '/'`. The encoder cuts it to 255 bytes.
    public var replyText: String { "\(code.name) - \(text)" }

    /// The `connection.close` that reports it.
    public var connectionClose: ConnectionClose {
        ConnectionClose(
            replyCode: code.rawValue, replyText: replyText, classID: method.classID, methodID: method.methodID)
    }

    /// The `channel.close` that reports it.
    public var channelClose: ChannelClose {
        ChannelClose(
            replyCode: code.rawValue, replyText: replyText, classID: method.classID, methodID: method.methodID)
    }

    /// 502: `what` did not parse.
    public static func syntax(_ failure: DecodingFailure, in method: MethodID, name: String) -> AMQPError {
        let reason =
            switch failure {
            case .truncated: "ends early"
            case .invalid(let field): "invalid \(field)"
            }
        return AMQPError(.syntaxError, "\(name): \(reason)", method: method)
    }

    /// 501: the frame itself is wrong.
    public static func frame(_ text: String) -> AMQPError { AMQPError(.frameError, text) }

    /// 505: a well-formed frame that has no place here.
    public static func unexpectedFrame(_ text: String) -> AMQPError { AMQPError(.unexpectedFrame, text) }

    /// 503: a method that does not exist or has no place here.
    public static func commandInvalid(_ text: String) -> AMQPError { AMQPError(.commandInvalid, text) }

    /// 504: the channel is not open, or open already.
    public static func channel(_ text: String) -> AMQPError { AMQPError(.channelError, text) }
}

extension AMQPError: CustomStringConvertible {
    /// Code and reply text, for logs.
    public var description: String { "\(code.rawValue) \(replyText)" }
}
