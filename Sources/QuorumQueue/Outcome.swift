public import Primitives

/// The result of a numbered command that is more than "done". Kept by the session until the client's low-water mark
/// passes it, so that a command sent again gets the same answer.
public enum Outcome: Hashable, Sendable {
    /// The message was not taken.
    case rejected(RejectReason)
    /// The purge dropped that many messages.
    case purged(UInt64)
    /// The get found no message.
    case getEmpty
    /// The get was given the delivery `number` of the session's consumer 0; `remaining` messages are ready after it.
    case got(number: UInt64, remaining: UInt64)
    /// The consumer was not attached.
    case consumerRefused(ConsumerRefusal)
}

/// Why a queue did not take a message.
public enum RejectReason: UInt8, Hashable, Sendable {
    /// The queue is at its length limit.
    case full = 1
}

/// Why a consumer was not attached.
public enum ConsumerRefusal: UInt8, Hashable, Sendable {
    /// Another consumer has exclusive use, or exclusive use was asked for while others are attached.
    case exclusive = 1
    /// The session has used this number before.
    case duplicate = 2
    /// The queue has as many consumers as its settings allow.
    case limit = 3
}

/// Why all commands of a session are refused. The gateway closes the channel.
public enum SessionRefusal: UInt8, Hashable, Sendable {
    /// No such session: it was closed, or it expired.
    case unknown = 1
    /// An open at or below the highest session ever opened by that gateway.
    case stale = 2
    /// The queue has as many sessions as its settings allow.
    case limit = 3
}

extension Outcome {
    /// Writes a tag (u8) and the fields as varints: 1 rejected(reason), 2 purged(count), 3 getEmpty, 4 got(number,
    /// remaining),
    /// 5 consumerRefused(reason).
    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .rejected(let reason):
            writer.write(UInt8(1))
            writer.write(reason.rawValue)
        case .purged(let count):
            writer.write(UInt8(2))
            writer.writeVarint(count)
        case .getEmpty:
            writer.write(UInt8(3))
        case .got(let number, let remaining):
            writer.write(UInt8(4))
            writer.writeVarint(number)
            writer.writeVarint(remaining)
        case .consumerRefused(let reason):
            writer.write(UInt8(5))
            writer.write(reason.rawValue)
        }
    }

    /// - Throws: when the bytes end early or name no outcome.
    public init(decoding reader: inout ByteReader) throws(DecodingFailure) {
        switch try reader.read(UInt8.self) {
        case 1:
            guard let reason = RejectReason(rawValue: try reader.read()) else { throw .invalid("reject reason") }
            self = .rejected(reason)
        case 2: self = .purged(try reader.readVarint())
        case 3: self = .getEmpty
        case 4:
            let number = try reader.readVarint()
            self = .got(number: number, remaining: try reader.readVarint())
        case 5:
            guard let reason = ConsumerRefusal(rawValue: try reader.read()) else { throw .invalid("consumer refusal") }
            self = .consumerRefused(reason)
        default: throw .invalid("outcome")
        }
    }
}
