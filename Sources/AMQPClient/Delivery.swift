public import AMQP
public import Primitives

/// A message on its way to a consumer, in place: valid only inside the callback that receives it.
public struct Delivery {
    /// What acks name.
    public var deliveryTag: UInt64
    /// The server may have delivered it before.
    public var redelivered: Bool
    /// Where it was published.
    public var exchange: UnsafeRawBufferPointer
    /// With which key.
    public var routingKey: UnsafeRawBufferPointer
    /// Property flags and list, undecoded (see `PropertyScan`, `BasicProperties`).
    public var properties: UnsafeRawBufferPointer
    /// The body, whole.
    public var body: UnsafeRawBufferPointer
}

/// A message that owns its bytes: what `get` answers, what `basic.return` brings back, or a delivery kept.
public struct Message: Hashable, Sendable {
    /// What acks name; 0 for a returned message.
    public var deliveryTag: UInt64
    /// The server may have delivered it before.
    public var redelivered: Bool
    /// Where it was published.
    public var exchange: String
    /// With which key.
    public var routingKey: String
    /// The properties; empty when they do not decode.
    public var properties: BasicProperties
    /// The body.
    public var body: Bytes

    /// A copy of a delivery.
    public init(_ delivery: Delivery) {
        deliveryTag = delivery.deliveryTag
        redelivered = delivery.redelivered
        exchange = String(decoding: delivery.exchange, as: UTF8.self)
        routingKey = String(decoding: delivery.routingKey, as: UTF8.self)
        properties = (try? BasicProperties(decoding: delivery.properties)) ?? BasicProperties()
        body = Bytes(copying: delivery.body)
    }
}

/// The arguments of `basic.deliver` in place.
struct DeliverArguments {
    var consumerTag: UnsafeRawBufferPointer
    var deliveryTag: UInt64
    var redelivered: Bool
    var exchange: UnsafeRawBufferPointer
    var routingKey: UnsafeRawBufferPointer

    /// Decodes a payload whose id is `BasicDeliver.id`.
    init(payload: UnsafeRawBufferPointer) throws(AMQPError) {
        do throws(DecodingFailure) {
            var reader = ByteReader(payload)
            try reader.skip(4)
            consumerTag = try reader.readShortBytes()
            deliveryTag = try reader.readBigEndian(UInt64.self)
            redelivered = try reader.read(UInt8.self) & 1 != 0
            exchange = try reader.readShortBytes()
            routingKey = try reader.readShortBytes()
            guard reader.isAtEnd else { throw .invalid("octets after the last argument") }
        } catch {
            throw .syntax(error, in: BasicDeliver.id, name: BasicDeliver.name)
        }
    }
}
