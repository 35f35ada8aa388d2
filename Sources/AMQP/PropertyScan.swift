public import Primitives

/// What a broker needs of a publish's properties, found in one pass over the raw bytes, with nothing allocated.
///
/// The pass checks everything that decoding would: bytes that scan can be sent to any consumer. Ranges are offsets in
/// the scanned buffer and exclude length octets; an absent property has an empty range and no flag.
public struct PropertyScan: Hashable, Sendable {
    /// The properties present.
    public private(set) var flags: PropertyFlags
    /// 1 transient, 2 persistent; 0 when absent.
    public private(set) var deliveryMode: UInt8 = 0
    /// 0 when absent.
    public private(set) var priority: UInt8 = 0
    /// The fields of the header table, without its length word.
    public private(set) var headers = 0..<0
    /// Where a header table stands or, absent, would stand.
    private(set) var headersPosition = 0
    /// Decimal milliseconds.
    public private(set) var expiration = 0..<0
    /// The queue that answers go to.
    public private(set) var replyTo = 0..<0
    /// The user the publisher claims to be.
    public private(set) var userID = 0..<0
    /// The publisher's name for the message.
    public private(set) var messageID = 0..<0

    /// Scans flags and list, which must fill `raw`.
    ///
    /// - Throws: 502.
    public init(_ raw: UnsafeRawBufferPointer) throws(AMQPError) {
        do throws(DecodingFailure) {
            try self.init(scanning: raw)
        } catch {
            throw .syntax(error, in: MethodID(classID: 60, methodID: 0), name: "basic properties")
        }
    }

    private init(scanning raw: UnsafeRawBufferPointer) throws(DecodingFailure) {
        var reader = ByteReader(raw)
        flags = PropertyFlags(rawValue: try reader.readBigEndian(UInt16.self))
        guard flags.isDisjoint(with: .undefined) else { throw .invalid("property flags") }
        if flags.contains(.contentType) { _ = try reader.text() }
        if flags.contains(.contentEncoding) { _ = try reader.text() }
        headersPosition = reader.offset
        if flags.contains(.headers) {
            let fields = try reader.readLongBytes()
            headers = reader.offset - fields.count..<reader.offset
            try FieldTable.validate(fields: fields)
        }
        if flags.contains(.deliveryMode) { deliveryMode = try reader.read(UInt8.self) }
        if flags.contains(.priority) { priority = try reader.read(UInt8.self) }
        if flags.contains(.correlationID) { _ = try reader.text() }
        if flags.contains(.replyTo) { replyTo = try reader.text() }
        if flags.contains(.expiration) { expiration = try reader.text() }
        if flags.contains(.messageID) { messageID = try reader.text() }
        if flags.contains(.timestamp) { try reader.skip(8) }
        if flags.contains(.type) { _ = try reader.text() }
        if flags.contains(.userID) { userID = try reader.text() }
        if flags.contains(.appID) { _ = try reader.text() }
        if flags.contains(.clusterID) { _ = try reader.text() }
        guard reader.isAtEnd else { throw .invalid("octets after the last property") }
    }

    /// Per-message time to live in milliseconds: nil when absent.
    ///
    /// - Throws: 406 when it is not a decimal number below 2^32 (RabbitMQ's bound is a Unix timer's).
    public func expirationMilliseconds(in raw: UnsafeRawBufferPointer) throws(AMQPError) -> UInt64? {
        guard flags.contains(.expiration) else { return nil }
        var value: UInt64 = 0
        guard expiration.count > 0 && expiration.count <= 10 else { throw PropertyScan.invalidExpiration }
        for index in expiration {
            let digit = raw[index] &- UInt8(ascii: "0")
            guard digit <= 9 else { throw PropertyScan.invalidExpiration }
            value = value * 10 + UInt64(digit)
        }
        guard value <= UInt64(UInt32.max) else { throw PropertyScan.invalidExpiration }
        return value
    }

    private static var invalidExpiration: AMQPError {
        AMQPError(.preconditionFailed, "invalid expiration", method: BasicPublish.id)
    }

    /// The header table decoded; nil when absent.
    ///
    /// - Throws: 502, never for the buffer that was scanned.
    public func headerTable(in raw: UnsafeRawBufferPointer) throws(AMQPError) -> FieldTable? {
        guard flags.contains(.headers) else { return nil }
        do throws(DecodingFailure) {
            var reader = ByteReader(UnsafeRawBufferPointer(rebasing: raw[(headers.lowerBound - 4)...]))
            return try reader.readFieldTable()
        } catch {
            throw .syntax(error, in: MethodID(classID: 60, methodID: 0), name: "headers")
        }
    }

    /// Appends the scanned properties with the header `name` set to `value`, all other octets as they are.
    public func write(
        _ raw: UnsafeRawBufferPointer, settingHeader name: StaticString, to value: Int64,
        into writer: inout ByteWriter
    ) {
        precondition(name.utf8CodeUnitCount <= 255)
        let nameBytes = UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        writer.reserve(raw.count + nameBytes.count + 14)
        writer.writeBigEndian(flags.union(.headers).rawValue)
        writer.write(UnsafeRawBufferPointer(rebasing: raw[2..<headersPosition]))
        let start = writer.count
        writer.writeBigEndian(UInt32(0))
        copyFields(of: raw, except: nameBytes, into: &writer)
        writer.write(UInt8(nameBytes.count))
        writer.write(nameBytes)
        writer.writeFieldValue(.int64(value))
        writer.overwriteBigEndian(at: start, with: UInt32(writer.count - start - 4))
        let rest = flags.contains(.headers) ? headers.upperBound : headersPosition
        writer.write(UnsafeRawBufferPointer(rebasing: raw[rest...]))
    }

    /// A publisher may have set the header itself, as when a consumer publishes again what it got: ours replaces it.
    private func copyFields(
        of raw: UnsafeRawBufferPointer, except name: UnsafeRawBufferPointer, into writer: inout ByteWriter
    ) {
        guard !headers.isEmpty else { return }
        let fields = UnsafeRawBufferPointer(rebasing: raw[headers])
        var reader = ByteReader(fields)
        while !reader.isAtEnd {
            let start = reader.offset
            // The fields were validated by the scan; bytes that fail here are not the ones that were scanned.
            guard let found = try? reader.readShortBytes(), (try? reader.skipFieldValue(depth: 1)) != nil else {
                return
            }
            if !found.elementsEqual(name) {
                writer.write(UnsafeRawBufferPointer(rebasing: fields[start..<reader.offset]))
            }
        }
    }
}

extension ByteReader {
    /// The place of a `shortstr`'s bytes, checked to be UTF-8 as decoding checks it.
    fileprivate mutating func text() throws(DecodingFailure) -> Range<Int> {
        let bytes = try readShortBytes()
        guard bytes.isWellFormedUTF8 else { throw .invalid("UTF-8 in a short string") }
        return offset - bytes.count..<offset
    }
}

extension UnsafeRawBufferPointer {
    /// Whether the bytes are UTF-8; one look at the high bits when they are ASCII.
    @inlinable var isWellFormedUTF8: Bool {
        var high: UInt8 = 0
        for byte in self { high |= byte }
        return high < 0x80 || isWellFormedBeyondASCII
    }

    @usableFromInline @inline(never) var isWellFormedBeyondASCII: Bool {
        String(validating: self, as: UTF8.self) != nil
    }
}
