public import Primitives

/// Which properties a content header carries, highest bit first (AMQP 0-9-1, section 4.2.6.1).
public struct PropertyFlags: OptionSet, Hashable, Sendable {
    /// The word on the wire.
    public let rawValue: UInt16
    /// From the wire's word.
    @inlinable public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// MIME type of the body.
    public static let contentType = PropertyFlags(rawValue: 1 << 15)
    /// MIME encoding of the body.
    public static let contentEncoding = PropertyFlags(rawValue: 1 << 14)
    /// The header table.
    public static let headers = PropertyFlags(rawValue: 1 << 13)
    /// 1 transient, 2 persistent.
    public static let deliveryMode = PropertyFlags(rawValue: 1 << 12)
    /// 0 to 9 by the specification; queues decide.
    public static let priority = PropertyFlags(rawValue: 1 << 11)
    /// For matching an answer with its request.
    public static let correlationID = PropertyFlags(rawValue: 1 << 10)
    /// The queue that answers go to.
    public static let replyTo = PropertyFlags(rawValue: 1 << 9)
    /// Milliseconds, as decimal text.
    public static let expiration = PropertyFlags(rawValue: 1 << 8)
    /// The publisher's name for the message.
    public static let messageID = PropertyFlags(rawValue: 1 << 7)
    /// Seconds since 1970.
    public static let timestamp = PropertyFlags(rawValue: 1 << 6)
    /// The publisher's name for the kind of message.
    public static let type = PropertyFlags(rawValue: 1 << 5)
    /// The user who published; the broker checks it.
    public static let userID = PropertyFlags(rawValue: 1 << 4)
    /// The application that published.
    public static let appID = PropertyFlags(rawValue: 1 << 3)
    /// `cluster-id`, reserved since 0-9-1.
    public static let clusterID = PropertyFlags(rawValue: 1 << 2)
    /// Two bits no property has: bit 1 is unused, bit 0 announces a second word of flags, which 0-9-1 never needs.
    static let undefined = PropertyFlags(rawValue: 0b11)
}

/// The 14 properties of class basic. For messages that only pass through, keep the raw bytes and use `PropertyScan`.
public struct BasicProperties: Hashable, Sendable {
    /// MIME type of the body.
    public var contentType: String?
    /// MIME encoding of the body.
    public var contentEncoding: String?
    /// The header table.
    public var headers: FieldTable?
    /// 1 transient, 2 persistent.
    public var deliveryMode: UInt8?
    /// 0 to 9 by the specification; queues decide.
    public var priority: UInt8?
    /// For matching an answer with its request.
    public var correlationID: String?
    /// The queue that answers go to.
    public var replyTo: String?
    /// Milliseconds, as decimal text.
    public var expiration: String?
    /// The publisher's name for the message.
    public var messageID: String?
    /// Seconds since 1970.
    public var timestamp: UInt64?
    /// The publisher's name for the kind of message.
    public var type: String?
    /// The user who published; the broker checks it.
    public var userID: String?
    /// The application that published.
    public var appID: String?
    /// `cluster-id`, reserved since 0-9-1.
    public var clusterID: String?

    /// No properties.
    public init() {}

    /// Decodes flags and list, which must fill `bytes`.
    ///
    /// - Throws: 502.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(AMQPError) {
        do throws(DecodingFailure) {
            var reader = ByteReader(bytes)
            try self.init(from: &reader)
            guard reader.isAtEnd else { throw .invalid("octets after the last property") }
        } catch {
            throw .syntax(error, in: MethodID(classID: 60, methodID: 0), name: "basic properties")
        }
    }

    private init(from reader: inout ByteReader) throws(DecodingFailure) {
        let flags = PropertyFlags(rawValue: try reader.readBigEndian(UInt16.self))
        guard flags.isDisjoint(with: .undefined) else { throw .invalid("property flags") }
        func short(_ flag: PropertyFlags) throws(DecodingFailure) -> String? {
            flags.contains(flag) ? try reader.readShortString() : nil
        }
        contentType = try short(.contentType)
        contentEncoding = try short(.contentEncoding)
        headers = flags.contains(.headers) ? try reader.readFieldTable() : nil
        deliveryMode = flags.contains(.deliveryMode) ? try reader.read(UInt8.self) : nil
        priority = flags.contains(.priority) ? try reader.read(UInt8.self) : nil
        correlationID = try short(.correlationID)
        replyTo = try short(.replyTo)
        expiration = try short(.expiration)
        messageID = try short(.messageID)
        timestamp = flags.contains(.timestamp) ? try reader.readBigEndian(UInt64.self) : nil
        type = try short(.type)
        userID = try short(.userID)
        appID = try short(.appID)
        clusterID = try short(.clusterID)
    }

    /// Those that are set.
    public var flags: PropertyFlags {
        var flags: PropertyFlags = []
        if contentType != nil { flags.insert(.contentType) }
        if contentEncoding != nil { flags.insert(.contentEncoding) }
        if headers != nil { flags.insert(.headers) }
        if deliveryMode != nil { flags.insert(.deliveryMode) }
        if priority != nil { flags.insert(.priority) }
        if correlationID != nil { flags.insert(.correlationID) }
        if replyTo != nil { flags.insert(.replyTo) }
        if expiration != nil { flags.insert(.expiration) }
        if messageID != nil { flags.insert(.messageID) }
        if timestamp != nil { flags.insert(.timestamp) }
        if type != nil { flags.insert(.type) }
        if userID != nil { flags.insert(.userID) }
        if appID != nil { flags.insert(.appID) }
        if clusterID != nil { flags.insert(.clusterID) }
        return flags
    }

    /// Appends flags and list.
    public func encode(into writer: inout ByteWriter) {
        writer.writeBigEndian(flags.rawValue)
        if let contentType { writer.writeShortString(contentType) }
        if let contentEncoding { writer.writeShortString(contentEncoding) }
        if let headers { writer.writeFieldTable(headers) }
        if let deliveryMode { writer.write(deliveryMode) }
        if let priority { writer.write(priority) }
        if let correlationID { writer.writeShortString(correlationID) }
        if let replyTo { writer.writeShortString(replyTo) }
        if let expiration { writer.writeShortString(expiration) }
        if let messageID { writer.writeShortString(messageID) }
        if let timestamp { writer.writeBigEndian(timestamp) }
        if let type { writer.writeShortString(type) }
        if let userID { writer.writeShortString(userID) }
        if let appID { writer.writeShortString(appID) }
        if let clusterID { writer.writeShortString(clusterID) }
    }

    /// Flags and list as bytes of their own.
    public func encoded() -> Bytes {
        var writer = ByteWriter(capacity: 64)
        encode(into: &writer)
        return writer.take()
    }
}
