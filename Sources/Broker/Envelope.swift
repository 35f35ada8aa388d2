package import Primitives

/// A message as a queue stores it: opaque to the queue, laid out so that a delivery is three copies and no decoding.
///
/// Layout, version 1:
///
///     u8   version            1
///     u8   length, exchange   a short string, as `basic.deliver` has it
///     u8   length, key        a short string, as `basic.deliver` has it
///     u32  length, properties little-endian length; property flags and list as the publisher sent them
///     …    body               the rest
package struct Envelope {
    package static let version: UInt8 = 1

    /// Exchange and routing key as two short strings, ready to be copied into a `basic.deliver`.
    package let address: UnsafeRawBufferPointer
    /// Property flags and property list, as in a content header frame.
    package let properties: UnsafeRawBufferPointer
    package let body: UnsafeRawBufferPointer

    /// Reads an envelope in place. Queue bodies come from disk and peers, so the form is checked.
    package init(_ buffer: UnsafeRawBufferPointer) throws(DecodingFailure) {
        var reader = ByteReader(buffer)
        guard try reader.read(UInt8.self) == Envelope.version else { throw .invalid("envelope version") }
        try reader.skip(Int(try reader.read(UInt8.self)))
        try reader.skip(Int(try reader.read(UInt8.self)))
        address = UnsafeRawBufferPointer(rebasing: buffer[1..<reader.offset])
        let length = Int(try reader.read(UInt32.self))
        properties = try reader.readBytes(length)
        body = try reader.readBytes(reader.remaining)
    }

    package var exchange: UnsafeRawBufferPointer {
        let length = Int(address[0])
        return UnsafeRawBufferPointer(rebasing: address[1..<1 + length])
    }

    package var routingKey: UnsafeRawBufferPointer {
        let start = Int(address[0]) + 2
        return UnsafeRawBufferPointer(rebasing: address[start..<address.count])
    }
}

/// The head of an envelope under construction: filled by `basic.publish` and the content header that follows it, and
/// kept from message to message so that a publish allocates nothing.
package struct EnvelopeHead: ~Copyable {
    package private(set) var writer = ByteWriter()
    /// Bytes of version, exchange and key: what a route depends on.
    package private(set) var addressEnd = 0

    package init() {}

    package var count: Int { writer.count }

    /// Starts an envelope. Both names are at most 255 bytes: they come from short strings.
    package mutating func begin(exchange: UnsafeRawBufferPointer, routingKey: UnsafeRawBufferPointer) {
        precondition(exchange.count <= 255 && routingKey.count <= 255)
        writer.removeAll()
        writer.write(Envelope.version)
        writer.write(UInt8(exchange.count))
        writer.write(exchange)
        writer.write(UInt8(routingKey.count))
        writer.write(routingKey)
        addressEnd = writer.count
    }

    /// Adds the property flags and list, as received.
    package mutating func finish(properties: UnsafeRawBufferPointer) {
        writer.write(UInt32(properties.count))
        writer.write(properties)
    }

    package borrowing func withUnsafeBytes<R, E: Error>(
        _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        try writer.withUnsafeBytes(body)
    }

    /// Version, exchange and key.
    package borrowing func withAddress<R, E: Error>(
        _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        let end = addressEnd
        return try writer.withUnsafeBytes { whole throws(E) in
            try body(UnsafeRawBufferPointer(rebasing: whole[0..<end]))
        }
    }

    /// Exchange, key and properties; the head must be finished.
    package borrowing func withParts<R, E: Error>(
        _ body: (
            _ exchange: UnsafeRawBufferPointer, _ routingKey: UnsafeRawBufferPointer,
            _ properties: UnsafeRawBufferPointer
        ) throws(E) -> R
    ) throws(E) -> R {
        let end = addressEnd
        return try writer.withUnsafeBytes { whole throws(E) in
            let keyStart = Int(whole[1]) + 3
            return try body(
                UnsafeRawBufferPointer(rebasing: whole[2..<keyStart - 1]),
                UnsafeRawBufferPointer(rebasing: whole[keyStart..<end]),
                UnsafeRawBufferPointer(rebasing: whole[min(end + 4, whole.count)...]))
        }
    }

    /// The whole message in bytes of its own.
    package borrowing func message(body: UnsafeRawBufferPointer) -> Bytes {
        var whole = ByteWriter(capacity: writer.count + body.count)
        writer.withUnsafeBytes { whole.write($0) }
        whole.write(body)
        return whole.take()
    }
}
