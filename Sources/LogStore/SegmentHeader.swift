import Primitives

/// The head of a segment's file: 8,192 bytes with two equal copies, at 0 and at 4,096, so that no sector or page holds
/// both; little-endian:
///
///      0  u32 magic "WSEG"
///      4  u32 checksum     CRC32C of bytes 8 ..< 64
///      8  u16 version      2
///     10  u16 zero
///     12  u32 alignment    frames begin at multiples of it: 512
///     16  u32 segment      number, from 1, never reused
///     20  u32 generation   how often the file was recycled
///     24  u64 store id, high half
///     32  u64 store id, low half
///     40  u64 salt         random
///     48  u32 incarnation  of the start that prepared it
///     52  zero, up to 64
///
/// The header's checksum seeds the checksum of every frame header and of the trailer in the file. So no frame of
/// another store, another segment or the file's earlier life can pass, nor a message body that imitates one, because
/// the salt is secret.
struct SegmentHeader: Hashable, Sendable {
    var segment: UInt32
    var generation: UInt32
    var storeID: StoreID
    var salt: UInt64
    var incarnation: Incarnation
    /// The checksum of this header.
    var seed: UInt32

    /// Bytes in front of the first frame.
    static let size = 8_192
    static let alignment = 512
    /// What the kernel keeps in memory as one.
    static let pageSize = 4_096
    static let version: UInt16 = 2
    static let encodedSize = 64
    static let copyStride = 4_096
    private static let magic: UInt32 = 0x4745_5357

    init(segment: UInt32, generation: UInt32, storeID: StoreID, salt: UInt64, incarnation: Incarnation) {
        self.segment = segment
        self.generation = generation
        self.storeID = storeID
        self.salt = salt
        self.incarnation = incarnation
        seed = 0
        seed = encodeCopy().withUnsafeBytes { $0.littleEndian(UInt32.self, at: 4) }
    }

    /// All `size` bytes.
    func encode() -> Bytes {
        var writer = ByteWriter(capacity: SegmentHeader.size)
        let copy = encodeCopy()
        writer.write(copy)
        writer.writeZeros(SegmentHeader.copyStride - writer.count)
        writer.write(copy)
        writer.writeZeros(SegmentHeader.size - writer.count)
        return writer.take()
    }

    private func encodeCopy() -> Bytes {
        var writer = ByteWriter(capacity: SegmentHeader.encodedSize)
        writer.write(SegmentHeader.magic)
        writer.write(UInt32(0))
        writer.write(SegmentHeader.version)
        writer.write(UInt16(0))
        writer.write(UInt32(SegmentHeader.alignment))
        writer.write(segment)
        writer.write(generation)
        writer.write(storeID.high)
        writer.write(storeID.low)
        writer.write(salt)
        writer.write(incarnation.rawValue)
        writer.writeZeros(SegmentHeader.encodedSize - writer.count)
        let checksum = writer.withUnsafeBytes { CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[8...])) }
        writer.overwrite(at: 4, with: checksum)
        return writer.take()
    }

    /// The first intact copy; nil when there is none.
    init?(decoding buffer: UnsafeRawBufferPointer, file: String) throws(LogStoreFailure) {
        for start in [0, SegmentHeader.copyStride] where buffer.count >= start + SegmentHeader.encodedSize {
            let copy = UnsafeRawBufferPointer(rebasing: buffer[start..<start + SegmentHeader.encodedSize])
            if let header = try SegmentHeader(decodingCopy: copy, file: file) {
                self = header
                return
            }
        }
        return nil
    }

    private init?(decodingCopy buffer: UnsafeRawBufferPointer, file: String) throws(LogStoreFailure) {
        seed = buffer.littleEndian(UInt32.self, at: 4)
        guard buffer.littleEndian(UInt32.self, at: 0) == SegmentHeader.magic,
            seed == CRC32C.checksum(UnsafeRawBufferPointer(rebasing: buffer[8...]))
        else { return nil }
        let version = buffer.littleEndian(UInt16.self, at: 8)
        guard version == SegmentHeader.version, buffer.littleEndian(UInt32.self, at: 12) == SegmentHeader.alignment
        else {
            throw .unsupportedVersion(file: file, version: Int(version))
        }
        segment = buffer.littleEndian(UInt32.self, at: 16)
        generation = buffer.littleEndian(UInt32.self, at: 20)
        storeID = StoreID(
            high: buffer.littleEndian(UInt64.self, at: 24), low: buffer.littleEndian(UInt64.self, at: 32))
        salt = buffer.littleEndian(UInt64.self, at: 40)
        incarnation = Incarnation(buffer.littleEndian(UInt32.self, at: 48))
    }
}

/// Names of segment files: `segment-` and the number in ten digits, so that they sort.
enum SegmentName {
    private static let prefix = "segment-"
    /// Ends the name of a segment that is still being prepared.
    static let temporarySuffix = ".new"

    static func name(of segment: UInt32) -> String {
        let digits = String(segment)
        return prefix + String(repeating: "0", count: 10 - digits.count) + digits
    }

    /// The number in a finished segment's name.
    static func number(in name: String) -> UInt32? {
        guard name.hasPrefix(prefix), let number = UInt32(name.dropFirst(prefix.count)),
            1...CounterBound.segment ~= number,
            SegmentName.name(of: number) == name
        else { return nil }
        return number
    }

    static func isTemporary(_ name: String) -> Bool {
        name.hasPrefix(prefix) && name.hasSuffix(temporarySuffix)
    }
}
