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
/// Octets: run 4, publisher 4, sequence 8, time 8, CRC32C of these 4, zero 4, filler; numbers little-endian. A body of
/// less than 32 octets has the short stamp: sequence 36 bits, publisher 12, run 16, microseconds modulo 2^32 4 octets,
/// CRC32C of these 4.
package struct MessageBody: Sendable {
    /// Octets of the short stamp, and so of the smallest body.
    package static let minimumSize = 16
    /// Octets of the stamp with every field in full.
    package static let fullSize = 32
    private static let checked = 24
    private static let shortChecked = 12

    /// Octets.
    package let size: Int
    private let template: [UInt8]

    /// The highest number of a run that the stamp has room for.
    package var highestRun: UInt32 { isShort ? UInt32(UInt16.max) : .max }
    private var isShort: Bool { size < Self.fullSize }
    private var stampSize: Int { isShort ? Self.minimumSize : Self.fullSize }

    /// Bodies of `size` octets, at least `minimumSize`.
    package init(size: Int) {
        precondition(size >= Self.minimumSize)
        self.size = size
        var random = SeededRandom(seed: 0x5741_5252_454E)
        let head = size < Self.fullSize ? Self.minimumSize : Self.fullSize
        template = (0..<size).map { $0 < head ? 0 : UInt8(truncatingIfNeeded: random.next()) }
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
        if isShort { return stampShort(stamp, into: buffer) }
        buffer.storeBytes(of: stamp.run.littleEndian, toByteOffset: 0, as: UInt32.self)
        buffer.storeBytes(of: stamp.publisher.littleEndian, toByteOffset: 4, as: UInt32.self)
        buffer.storeBytes(of: stamp.sequence.littleEndian, toByteOffset: 8, as: UInt64.self)
        buffer.storeBytes(of: stamp.time.nanoseconds.littleEndian, toByteOffset: 16, as: UInt64.self)
        let checksum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: buffer[..<Self.checked]))
        buffer.storeBytes(of: checksum.littleEndian, toByteOffset: Self.checked, as: UInt32.self)
    }

    private func stampShort(_ stamp: MessageStamp, into buffer: UnsafeMutableRawBufferPointer) {
        let head = stamp.sequence << 28 | UInt64(stamp.publisher & 0xFFF) << 16 | UInt64(stamp.run & 0xFFFF)
        let time = UInt32(truncatingIfNeeded: stamp.time.nanoseconds / 1_000)
        buffer.storeBytes(of: head.littleEndian, toByteOffset: 0, as: UInt64.self)
        buffer.storeBytes(of: time.littleEndian, toByteOffset: 8, as: UInt32.self)
        let checksum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: buffer[..<Self.shortChecked]))
        buffer.storeBytes(of: checksum.littleEndian, toByteOffset: Self.shortChecked, as: UInt32.self)
    }

    /// The stamp of a body, or nil when one octet of it is not what was sent.
    /// - Parameter now: the present, within an hour of the stamp's time.
    package func read(_ body: UnsafeRawBufferPointer, now: @autoclosure () -> Instant = .now()) -> MessageStamp? {
        guard body.count == size else { return nil }
        if isShort { return readShort(body, now: now()) }
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

    private func readShort(_ body: UnsafeRawBufferPointer, now: Instant) -> MessageStamp? {
        let checksum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: body[..<Self.shortChecked]))
        guard
            UInt32(littleEndian: body.loadUnaligned(fromByteOffset: Self.shortChecked, as: UInt32.self)) == checksum,
            hasFiller(body)
        else { return nil }
        let head = UInt64(littleEndian: body.loadUnaligned(fromByteOffset: 0, as: UInt64.self))
        let time = UInt32(littleEndian: body.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        let micros = now.nanoseconds / 1_000
        let age = UInt64(UInt32(truncatingIfNeeded: micros) &- time)
        return MessageStamp(
            run: UInt32(head & 0xFFFF), publisher: UInt32(head >> 16 & 0xFFF), sequence: head >> 28,
            time: Instant(nanoseconds: (micros - min(micros, age)) * 1_000))
    }

    private func hasFiller(_ body: UnsafeRawBufferPointer) -> Bool {
        template.withUnsafeBytes { template in
            guard let expected = template.baseAddress, let found = body.baseAddress else { return false }
            return memcmp(expected + stampSize, found + stampSize, size - stampSize) == 0
        }
    }
}
