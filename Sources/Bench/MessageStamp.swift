package import Primitives

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// What the head of a body says: whose message it is, its number, and since when its latency counts.
package struct MessageStamp: Hashable, Sendable {
    /// Chosen for each run, so that leftovers of another are recognized.
    package var run: UInt32
    /// Which publisher of the run.
    package var publisher: UInt32
    /// Its number with that publisher, from 0.
    package var sequence: UInt64
    /// When it was due, or sent.
    package var time: Instant

    package init(run: UInt32, publisher: UInt32, sequence: UInt64, time: Instant) {
        self.run = run
        self.publisher = publisher
        self.sequence = sequence
        self.time = time
    }
}

/// The bodies of a run: a stamp with its checksum, then filler that every body shares and that is compared on arrival.
///
/// Octets: run 4, publisher 4, sequence 8, time 8, CRC32C of these 4, zero 4, filler; numbers little-endian.
package struct MessageBody: Sendable {
    /// Octets of the stamp, and so of the smallest body.
    package static let minimumSize = 32
    private static let checked = 24

    /// Octets.
    package let size: Int
    private let template: [UInt8]

    /// Bodies of `size` octets, at least `minimumSize`.
    package init(size: Int) {
        precondition(size >= Self.minimumSize)
        self.size = size
        var random = SeededRandom(seed: 0x5741_5252_454E)
        template = (0..<size).map { $0 < Self.minimumSize ? 0 : UInt8(truncatingIfNeeded: random.next()) }
    }

    /// A buffer to stamp again and again; the caller deallocates it.
    package func makeBuffer() -> UnsafeMutableRawBufferPointer {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 8)
        buffer.copyBytes(from: template)
        return buffer
    }

    /// Writes the stamp at the head of a buffer of `makeBuffer`.
    package func stamp(_ stamp: MessageStamp, into buffer: UnsafeMutableRawBufferPointer) {
        precondition(buffer.count == size)
        buffer.storeBytes(of: stamp.run.littleEndian, toByteOffset: 0, as: UInt32.self)
        buffer.storeBytes(of: stamp.publisher.littleEndian, toByteOffset: 4, as: UInt32.self)
        buffer.storeBytes(of: stamp.sequence.littleEndian, toByteOffset: 8, as: UInt64.self)
        buffer.storeBytes(of: stamp.time.nanoseconds.littleEndian, toByteOffset: 16, as: UInt64.self)
        let checksum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: buffer[..<Self.checked]))
        buffer.storeBytes(of: checksum.littleEndian, toByteOffset: Self.checked, as: UInt32.self)
    }

    /// The stamp of a body, or nil when one octet of it is not what was sent.
    package func read(_ body: UnsafeRawBufferPointer) -> MessageStamp? {
        guard body.count == size else { return nil }
        let checksum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: body[..<Self.checked]))
        guard UInt32(littleEndian: body.loadUnaligned(fromByteOffset: Self.checked, as: UInt32.self)) == checksum,
            body.loadUnaligned(fromByteOffset: Self.checked + 4, as: UInt32.self) == 0, hasFiller(body)
        else { return nil }
        return MessageStamp(
            run: UInt32(littleEndian: body.loadUnaligned(fromByteOffset: 0, as: UInt32.self)),
            publisher: UInt32(littleEndian: body.loadUnaligned(fromByteOffset: 4, as: UInt32.self)),
            sequence: UInt64(littleEndian: body.loadUnaligned(fromByteOffset: 8, as: UInt64.self)),
            time: Instant(
                nanoseconds: UInt64(littleEndian: body.loadUnaligned(fromByteOffset: 16, as: UInt64.self))))
    }

    private func hasFiller(_ body: UnsafeRawBufferPointer) -> Bool {
        template.withUnsafeBytes { template in
            guard let expected = template.baseAddress, let found = body.baseAddress else { return false }
            return memcmp(expected + Self.minimumSize, found + Self.minimumSize, size - Self.minimumSize) == 0
        }
    }
}
