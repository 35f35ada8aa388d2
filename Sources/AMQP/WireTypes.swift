public import Primitives

extension ByteReader {
    /// One length octet and that many bytes, in place; not checked to be UTF-8.
    @inlinable public mutating func readShortBytes() throws(DecodingFailure) -> UnsafeRawBufferPointer {
        let count = try read(UInt8.self)
        return try readBytes(Int(count))
    }

    /// A `shortstr`: at most 255 bytes of UTF-8. RabbitMQ too refuses ill-formed UTF-8 here.
    public mutating func readShortString() throws(DecodingFailure) -> String {
        let bytes = try readShortBytes()
        guard let text = String(validating: bytes, as: UTF8.self) else { throw .invalid("UTF-8 in a short string") }
        return text
    }

    /// A `longstr` in place: any bytes, up to what the frame holds.
    @inlinable public mutating func readLongBytes() throws(DecodingFailure) -> UnsafeRawBufferPointer {
        let count = try readBigEndian(UInt32.self)
        return try readBytes(Int(count))
    }

    /// A `longstr`, copied.
    public mutating func readLongString() throws(DecodingFailure) -> Bytes {
        Bytes(copying: try readLongBytes())
    }
}

extension ByteWriter {
    /// A `shortstr`. More than 255 bytes are cut at a character: only our own texts can be that long, names come from
    /// the wire.
    public mutating func writeShortString(_ text: String) {
        guard text.utf8.count > 255 else {
            write(UInt8(text.utf8.count))
            write(utf8: text)
            return
        }
        var end = text.startIndex
        var count = 0
        for index in text.indices {
            let next = text.index(after: index)
            let width = text.utf8.distance(from: index, to: next)
            if count + width > 255 { break }
            count += width
            end = next
        }
        write(UInt8(count))
        write(utf8: String(text[..<end]))
    }

    /// A `longstr`.
    public mutating func writeLongString(_ bytes: Bytes) {
        writeBigEndian(UInt32(bytes.count))
        write(bytes)
    }

    /// A `longstr` from text.
    public mutating func writeLongString(_ text: String) {
        writeBigEndian(UInt32(text.utf8.count))
        write(utf8: text)
    }

    /// Overwrites a big-endian word already written.
    mutating func overwriteBigEndian(at offset: Int, with value: UInt32) {
        overwrite(at: offset, with: value.byteSwapped)
    }
}
