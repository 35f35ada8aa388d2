public import Primitives

/// How a consumer wants its messages.
public struct ConsumerOptions: Hashable, Sendable {
    /// Most unsettled messages at a time; 0 leaves it to the queue's settings.
    public var prefetch: UInt32
    /// Whether the gateway settles by itself once the socket has taken a message. The queue assigns such messages like
    /// all others.
    public var autoAck: Bool
    /// Whether the consumer must be the only one.
    public var exclusive: Bool
    /// Consumers of a higher priority are served first, as long as they have credit.
    public var priority: Int32
    /// The client's name for the consumer, for people to read; at most 1,024 bytes of UTF-8.
    public var tag: String

    /// Options; one that is left out has its default.
    public init(
        prefetch: UInt32 = 0, autoAck: Bool = false, exclusive: Bool = false, priority: Int32 = 0, tag: String = ""
    ) {
        self.prefetch = prefetch
        self.autoAck = autoAck
        self.exclusive = exclusive
        self.priority = priority
        self.tag = tag
    }
}

extension ConsumerOptions {
    /// Writes flags (u8: 1 autoAck, 2 exclusive), prefetch (varint), priority (i32) and the tag (varint length, UTF-8).
    public func encode(into writer: inout ByteWriter) {
        writer.write((autoAck ? 1 : 0) | (exclusive ? 2 : 0) as UInt8)
        writer.writeVarint(UInt64(prefetch))
        writer.write(priority)
        writer.writeLengthPrefixed(tag)
    }

    /// - Throws: when the bytes end early, a flag is unknown or the tag is too long.
    public init(decoding reader: inout ByteReader) throws(DecodingFailure) {
        let flags = try reader.read(UInt8.self)
        guard flags < 4 else { throw .invalid("consumer flags") }
        let prefetch = try reader.readVarint32("prefetch")
        let priority = try reader.read(Int32.self)
        let tag = try reader.readString(limit: CommandLimits.tag)
        self.init(
            prefetch: prefetch, autoAck: flags & 1 != 0, exclusive: flags & 2 != 0, priority: priority, tag: tag)
    }
}
