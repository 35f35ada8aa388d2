/// What is wrong with bytes that were meant to be a value. They came from a socket or a disk, so this is never a trap.
public enum DecodingFailure: Error, Hashable, Sendable {
    /// Fewer bytes than the value needs.
    case truncated
    /// A length, count or tag outside of what the format allows; the text names the field.
    case invalid(String)
}

/// Reads untrusted bytes in place, little-endian unless a method says otherwise; every read checks the bounds.
///
/// The memory must outlive the reader: use it inside `withUnsafeBytes` only.
public struct ByteReader {
    @usableFromInline let buffer: UnsafeRawBufferPointer
    @usableFromInline var position: Int

    /// Starts at the first byte of `buffer`.
    @inlinable public init(_ buffer: UnsafeRawBufferPointer) {
        self.buffer = buffer
        self.position = 0
    }

    /// Bytes consumed so far.
    @inlinable public var offset: Int { position }
    /// Bytes left.
    @inlinable public var remaining: Int { buffer.count - position }
    /// Everything is consumed.
    @inlinable public var isAtEnd: Bool { position == buffer.count }

    /// - Throws: `DecodingFailure.truncated`.
    @inlinable public mutating func read<T: FixedWidthInteger & BitwiseCopyable>(
        _ type: T.Type = T.self
    ) throws(DecodingFailure) -> T {
        guard remaining >= MemoryLayout<T>.size else { throw .truncated }
        let value = buffer.loadUnaligned(fromByteOffset: position, as: T.self)
        position += MemoryLayout<T>.size
        return T(littleEndian: value)
    }

    /// Big-endian, as AMQP 0-9-1 has it.
    @inlinable public mutating func readBigEndian<T: FixedWidthInteger & BitwiseCopyable>(
        _ type: T.Type = T.self
    ) throws(DecodingFailure) -> T {
        guard remaining >= MemoryLayout<T>.size else { throw .truncated }
        let value = buffer.loadUnaligned(fromByteOffset: position, as: T.self)
        position += MemoryLayout<T>.size
        return T(bigEndian: value)
    }

    /// LEB128 of at most 64 bits.
    @inlinable public mutating func readVarint() throws(DecodingFailure) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let byte = try read(UInt8.self)
            if shift == 63 && byte > 1 { throw .invalid("varint") }
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
            shift += 7
            if shift > 63 { throw .invalid("varint") }
        }
    }

    /// The next `count` bytes in place.
    @inlinable public mutating func readBytes(_ count: Int) throws(DecodingFailure) -> UnsafeRawBufferPointer {
        guard count >= 0 && remaining >= count else { throw .truncated }
        let slice = UnsafeRawBufferPointer(rebasing: buffer[position..<position + count])
        position += count
        return slice
    }

    /// A varint length of at most `limit` and that many bytes, in place.
    @inlinable public mutating func readLengthPrefixed(
        limit: Int = 1 << 24
    ) throws(DecodingFailure) -> UnsafeRawBufferPointer {
        let count = try readVarint()
        guard count <= UInt64(limit) else { throw .invalid("length") }
        return try readBytes(Int(count))
    }

    /// A varint length of at most `limit` and UTF-8.
    @inlinable public mutating func readString(limit: Int = 1 << 16) throws(DecodingFailure) -> String {
        String(decoding: try readLengthPrefixed(limit: limit), as: UTF8.self)
    }

    /// Passes over `count` bytes.
    @inlinable public mutating func skip(_ count: Int) throws(DecodingFailure) {
        guard count >= 0 && remaining >= count else { throw .truncated }
        position += count
    }
}
