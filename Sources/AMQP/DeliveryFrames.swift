public import Primitives

/// One `basic.deliver` with its content, ready to be written raw: ask for `byteCount`, reserve once, `write(to:)`.
///
/// All buffers are borrowed and must outlive it. Names of more than 255 octets are our own mistake.
public struct DeliveryFrames {
    @usableFromInline let channel: UInt16
    @usableFromInline let consumerTag: UnsafeRawBufferPointer
    @usableFromInline let deliveryTag: UInt64
    @usableFromInline let redelivered: Bool
    @usableFromInline let exchange: UnsafeRawBufferPointer
    @usableFromInline let routingKey: UnsafeRawBufferPointer
    @usableFromInline let properties: UnsafeRawBufferPointer
    @usableFromInline let body: UnsafeRawBufferPointer
    @usableFromInline let content: ContentLayout

    /// - Parameters:
    ///   - properties: flags and list, as `ContentHeader.properties`.
    ///   - frameMax: the negotiated limit for a whole frame, 0 for none.
    @inlinable public init(
        channel: UInt16, consumerTag: UnsafeRawBufferPointer, deliveryTag: UInt64, redelivered: Bool,
        exchange: UnsafeRawBufferPointer, routingKey: UnsafeRawBufferPointer, properties: UnsafeRawBufferPointer,
        body: UnsafeRawBufferPointer, frameMax: UInt32
    ) {
        precondition(consumerTag.count <= 255 && exchange.count <= 255 && routingKey.count <= 255)
        self.channel = channel
        self.consumerTag = consumerTag
        self.deliveryTag = deliveryTag
        self.redelivered = redelivered
        self.exchange = exchange
        self.routingKey = routingKey
        self.properties = properties
        self.body = body
        self.content = ContentLayout(propertiesLength: properties.count, bodyLength: body.count, frameMax: frameMax)
    }

    @inlinable var methodSize: Int { 4 + 1 + consumerTag.count + 9 + 1 + exchange.count + 1 + routingKey.count }

    /// Octets of all frames.
    @inlinable public var byteCount: Int { methodSize + FrameFormat.overhead + content.byteCount }

    /// Writes exactly `byteCount` octets to `base`, which must have room for them.
    @inlinable public func write(to base: UnsafeMutableRawPointer) {
        var cursor = RawCursor(base)
        cursor.frameHeader(.method, channel: channel, size: methodSize)
        cursor.put(BasicDeliver.id.rawValue)
        cursor.putShort(consumerTag)
        cursor.put(deliveryTag)
        cursor.put(redelivered ? 1 : 0 as UInt8)
        cursor.putShort(exchange)
        cursor.putShort(routingKey)
        cursor.put(FrameFormat.endOctet)
        content.write(channel: channel, properties: properties, body: body, to: cursor.pointer)
    }
}

/// One `basic.publish` with its content, ready to be written raw, like `DeliveryFrames`.
public struct PublishFrames {
    @usableFromInline let channel: UInt16
    @usableFromInline let exchange: UnsafeRawBufferPointer
    @usableFromInline let routingKey: UnsafeRawBufferPointer
    @usableFromInline let mandatory: Bool
    @usableFromInline let properties: UnsafeRawBufferPointer
    @usableFromInline let body: UnsafeRawBufferPointer
    @usableFromInline let content: ContentLayout

    /// - Parameters:
    ///   - properties: flags and list, as `BasicProperties.encode` writes them.
    ///   - frameMax: the negotiated limit for a whole frame, 0 for none.
    @inlinable public init(
        channel: UInt16, exchange: UnsafeRawBufferPointer, routingKey: UnsafeRawBufferPointer, mandatory: Bool,
        properties: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer, frameMax: UInt32
    ) {
        precondition(exchange.count <= 255 && routingKey.count <= 255)
        self.channel = channel
        self.exchange = exchange
        self.routingKey = routingKey
        self.mandatory = mandatory
        self.properties = properties
        self.body = body
        self.content = ContentLayout(propertiesLength: properties.count, bodyLength: body.count, frameMax: frameMax)
    }

    @inlinable var methodSize: Int { 4 + 2 + 1 + exchange.count + 1 + routingKey.count + 1 }

    /// Octets of all frames.
    @inlinable public var byteCount: Int { methodSize + FrameFormat.overhead + content.byteCount }

    /// Writes exactly `byteCount` octets to `base`, which must have room for them.
    @inlinable public func write(to base: UnsafeMutableRawPointer) {
        var cursor = RawCursor(base)
        cursor.frameHeader(.method, channel: channel, size: methodSize)
        cursor.put(BasicPublish.id.rawValue)
        cursor.put(0 as UInt16)
        cursor.putShort(exchange)
        cursor.putShort(routingKey)
        cursor.put(mandatory ? 1 : 0 as UInt8)
        cursor.put(FrameFormat.endOctet)
        content.write(channel: channel, properties: properties, body: body, to: cursor.pointer)
    }
}

/// `basic.ack` and `basic.nack` written raw: 21 octets each.
public enum AcknowledgementFrame {
    /// Octets of either frame.
    public static let byteCount = 21

    /// Writes a `basic.ack`.
    @inlinable public static func writeAck(
        channel: UInt16, deliveryTag: UInt64, multiple: Bool, to base: UnsafeMutableRawPointer
    ) {
        write(BasicAck.id, channel: channel, deliveryTag: deliveryTag, bits: multiple ? 1 : 0, to: base)
    }

    /// Writes a `basic.nack`.
    @inlinable public static func writeNack(
        channel: UInt16, deliveryTag: UInt64, multiple: Bool, requeue: Bool, to base: UnsafeMutableRawPointer
    ) {
        let bits: UInt8 = (multiple ? 1 : 0) | (requeue ? 2 : 0)
        write(BasicNack.id, channel: channel, deliveryTag: deliveryTag, bits: bits, to: base)
    }

    @inlinable static func write(
        _ id: MethodID, channel: UInt16, deliveryTag: UInt64, bits: UInt8, to base: UnsafeMutableRawPointer
    ) {
        var cursor = RawCursor(base)
        cursor.frameHeader(.method, channel: channel, size: 13)
        cursor.put(id.rawValue)
        cursor.put(deliveryTag)
        cursor.put(bits)
        cursor.put(FrameFormat.endOctet)
    }
}

extension ByteWriter {
    /// Appends a delivery.
    @inlinable public mutating func write(_ delivery: DeliveryFrames) {
        append(maximum: delivery.byteCount) { base in
            delivery.write(to: base)
            return delivery.byteCount
        }
    }

    /// Appends a publish.
    @inlinable public mutating func write(_ publish: PublishFrames) {
        append(maximum: publish.byteCount) { base in
            publish.write(to: base)
            return publish.byteCount
        }
    }

    /// Appends a `basic.ack`.
    @inlinable public mutating func writeAck(channel: UInt16, deliveryTag: UInt64, multiple: Bool) {
        append(maximum: AcknowledgementFrame.byteCount) { base in
            AcknowledgementFrame.writeAck(channel: channel, deliveryTag: deliveryTag, multiple: multiple, to: base)
            return AcknowledgementFrame.byteCount
        }
    }

    /// Appends a `basic.nack`.
    @inlinable public mutating func writeNack(channel: UInt16, deliveryTag: UInt64, multiple: Bool, requeue: Bool) {
        append(maximum: AcknowledgementFrame.byteCount) { base in
            AcknowledgementFrame.writeNack(
                channel: channel, deliveryTag: deliveryTag, multiple: multiple, requeue: requeue, to: base)
            return AcknowledgementFrame.byteCount
        }
    }
}
