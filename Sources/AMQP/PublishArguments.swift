/// The arguments of `basic.publish` in place: nothing is copied or allocated, the buffer must outlive them.
public struct PublishArguments {
    /// UTF-8, at most 255 octets; empty is the default exchange.
    public var exchange: UnsafeRawBufferPointer
    /// UTF-8, at most 255 octets.
    public var routingKey: UnsafeRawBufferPointer
    /// Unroutable messages are to be returned.
    public var mandatory: Bool
    /// RabbitMQ answers 540 when set.
    public var immediate: Bool

    /// Decodes the payload of a method frame whose id is `BasicPublish.id` (see `MethodID.peek`).
    ///
    /// - Throws: 502 for arguments that do not fill the payload or are not UTF-8.
    @inlinable public init(payload: UnsafeRawBufferPointer) throws(AMQPError) {
        // id 4, ticket 2, a length and the exchange, a length and the key, one octet of bits
        guard payload.count >= 9 else { throw PublishArguments.malformed }
        let exchangeLength = Int(payload[6])
        guard payload.count >= 9 + exchangeLength else { throw PublishArguments.malformed }
        let keyLength = Int(payload[7 + exchangeLength])
        guard payload.count == 9 + exchangeLength + keyLength else { throw PublishArguments.malformed }
        exchange = UnsafeRawBufferPointer(rebasing: payload[7..<7 + exchangeLength])
        routingKey = UnsafeRawBufferPointer(rebasing: payload[8 + exchangeLength..<8 + exchangeLength + keyLength])
        guard exchange.isWellFormedUTF8 && routingKey.isWellFormedUTF8 else { throw PublishArguments.malformed }
        let bits = payload[8 + exchangeLength + keyLength]
        mandatory = bits & 1 != 0
        immediate = bits & 2 != 0
    }

    @usableFromInline static var malformed: AMQPError {
        AMQPError(.syntaxError, "basic.publish: malformed arguments", method: BasicPublish.id)
    }
}
