import Primitives

/// Checksums keep a fuzzer out of everything behind them, so they are made right before an input is read.
enum Sealing {
    /// The same bytes with right checksums in the entries that stand from `start` on.
    static func entries(_ bytes: Bytes, from start: Int) -> Bytes {
        var copy = bytes.toArray()
        copy.withUnsafeMutableBytes { buffer in
            var offset = start
            while offset < buffer.count, let length = entry(buffer, at: offset) { offset += length }
        }
        return Bytes(copy)
    }

    /// Makes the checksum of the entry that begins at `offset`; its length, or nil when there is none.
    @discardableResult
    static func entry(_ buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Int? {
        let rest = UnsafeRawBufferPointer(rebasing: buffer[offset...])
        guard let header = try? EntryHeader(decoding: rest) else { return nil }
        let covered = UnsafeRawBufferPointer(rebasing: rest[4..<EntryHeader.size + header.headersLength])
        buffer.put(CRC32C.checksum(covered), at: offset)
        return header.encodedLength
    }
}

extension UnsafeMutableRawBufferPointer {
    /// Little-endian.
    func put(_ value: UInt32, at offset: Int) {
        storeBytes(of: value.littleEndian, toByteOffset: offset, as: UInt32.self)
    }

    /// Little-endian; nil beyond the end.
    func word(at offset: Int) -> UInt32? {
        guard offset >= 0, offset + 4 <= count else { return nil }
        return UInt32(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    /// The CRC32C of a range; nil beyond the end.
    func checksum(_ range: Range<Int>, seed: UInt32 = 0) -> UInt32? {
        guard range.lowerBound >= 0, range.upperBound <= count else { return nil }
        return CRC32C.checksum(UnsafeRawBufferPointer(rebasing: self[range]), seed: seed)
    }
}
