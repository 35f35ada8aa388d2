import Primitives

/// The index of a sealed segment, so that recovery needs to read nothing else of it. The footer stands directly before
/// the trailer, which is the file's last 512 bytes. Little-endian; the footer has for every frame
///
///      0  u64 number
///      8  u32 recordsOffset    in the file; 0 when the place is not known
///     12  u32 recordsLength
///     16  u32 directoryLength
///     20  u32 flags            bit 0: holds damage, the records must be verified
///     24  the directory
///
/// and the trailer is
///
///      0  u32 magic "WFTR"
///      4  u32 checksum         CRC32C of bytes 8 ..< 64, seeded with the segment header's checksum
///      8  u16 version          1
///     10  u16 zero
///     12  u32 segment
///     16  u32 generation
///     20  u32 footerOffset
///     24  u32 footerLength
///     28  u32 footerChecksum   CRC32C of the footer
///     32  u64 firstNumber      of the frames
///     40  u64 lastNumber
///     48  u32 lastChecksum     the last frame header's
///     52  u32 next             the segment in which the log goes on; it was durable before
///     56  u32 count            of frames
///     60  u32 zero, up to 512
struct SegmentFooter: Sendable {
    var segment: UInt32
    var generation: UInt32
    var lastChecksum: UInt32
    var next: UInt32
    var index: FrameIndex

    static let trailerSize = 512
    static let trailerEncodedSize = 64
    static let version: UInt16 = 1
    private static let magic: UInt32 = 0x5254_4657

    /// The footer, zeros up to a multiple of 512 in front of it, and the trailer: one piece that ends the file.
    /// - Parameter start: where the piece begins in the file.
    func encode(at start: Int, seed: UInt32) -> Bytes {
        let footerLength = index.encoded.count
        var writer = ByteWriter(capacity: SegmentFooter.pieceLength(footerLength: footerLength))
        writer.writeZeros(align(footerLength, to: SegmentHeader.alignment) - footerLength)
        let footerStart = writer.count
        writer.write(index.encoded)
        let footerChecksum = index.encoded.withUnsafeBytes { CRC32C.checksum($0) }
        let trailer = writer.count
        writer.write(SegmentFooter.magic)
        writer.write(UInt32(0))
        writer.write(SegmentFooter.version)
        writer.write(UInt16(0))
        writer.write(segment)
        writer.write(generation)
        writer.write(UInt32(start + footerStart))
        writer.write(UInt32(footerLength))
        writer.write(footerChecksum)
        writer.write(index.firstNumber)
        writer.write(index.lastNumber)
        writer.write(lastChecksum)
        writer.write(next)
        writer.write(UInt32(index.count))
        writer.write(UInt32(0))
        let checksum = writer.withUnsafeBytes {
            CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[(trailer + 8)..<(trailer + 64)]), seed: seed)
        }
        writer.overwrite(at: trailer + 4, with: checksum)
        writer.writeZeros(SegmentFooter.trailerSize - SegmentFooter.trailerEncodedSize)
        return writer.take()
    }

    /// Bytes that footer and trailer take.
    static func pieceLength(footerLength: Int) -> Int {
        align(footerLength, to: SegmentHeader.alignment) + trailerSize
    }

    /// Where the trailer of an intact footer says that it is, and its checksum.
    struct Place: Sendable {
        var offset: Int
        var length: Int
        var checksum: UInt32
        var lastChecksum: UInt32
        var next: UInt32
        var firstNumber: UInt64
        var count: Int
    }

    /// Reads a trailer of a file of `fileLength` bytes; nil when the bytes are anything else.
    static func decodeTrailer(
        _ buffer: UnsafeRawBufferPointer, fileLength: Int, of segment: SegmentHeader
    ) throws(LogStoreFailure) -> Place? {
        guard buffer.count >= trailerEncodedSize, buffer.littleEndian(UInt32.self, at: 0) == magic else { return nil }
        let covered = UnsafeRawBufferPointer(rebasing: buffer[8..<trailerEncodedSize])
        guard buffer.littleEndian(UInt32.self, at: 4) == CRC32C.checksum(covered, seed: segment.seed) else {
            return nil
        }
        let version = buffer.littleEndian(UInt16.self, at: 8)
        guard version == SegmentFooter.version else {
            throw .unsupportedVersion(file: SegmentName.name(of: segment.segment), version: Int(version))
        }
        let place = Place(
            offset: Int(buffer.littleEndian(UInt32.self, at: 20)),
            length: Int(buffer.littleEndian(UInt32.self, at: 24)),
            checksum: buffer.littleEndian(UInt32.self, at: 28), lastChecksum: buffer.littleEndian(UInt32.self, at: 48),
            next: buffer.littleEndian(UInt32.self, at: 52), firstNumber: buffer.littleEndian(UInt64.self, at: 32),
            count: Int(buffer.littleEndian(UInt32.self, at: 56)))
        guard buffer.littleEndian(UInt32.self, at: 12) == segment.segment,
            buffer.littleEndian(UInt32.self, at: 16) == segment.generation,
            place.offset + place.length == fileLength - trailerSize, place.next <= CounterBound.segment
        else { return nil }
        return place
    }

    /// Reads the frames of a footer whose checksum holds.
    static func decodeFrames(_ footer: Bytes) throws(DecodingFailure) -> [FrameSummary] {
        try footer.withUnsafeBytes { buffer throws(DecodingFailure) in
            var reader = ByteReader(buffer)
            var frames: [FrameSummary] = []
            while !reader.isAtEnd { frames.append(try FrameSummary(decoding: &reader)) }
            return frames
        }
    }
}

/// What the footer keeps of a frame.
struct FrameSummary: Sendable {
    var number: UInt64
    /// 0 when the place is not known.
    var recordsOffset: Int
    var recordsLength: Int
    var holdsDamage: Bool
    var directory: Bytes

    static let size = 24

    func encode(into writer: inout ByteWriter) {
        writer.write(number)
        writer.write(UInt32(recordsOffset))
        writer.write(UInt32(recordsLength))
        writer.write(UInt32(directory.count))
        writer.write(UInt32(holdsDamage ? 1 : 0))
        writer.write(directory)
    }

    init(number: UInt64, recordsOffset: Int, recordsLength: Int, holdsDamage: Bool, directory: Bytes) {
        self.number = number
        self.recordsOffset = recordsOffset
        self.recordsLength = recordsLength
        self.holdsDamage = holdsDamage
        self.directory = directory
    }

    init(decoding reader: inout ByteReader) throws(DecodingFailure) {
        number = try reader.read()
        recordsOffset = Int(try reader.read(UInt32.self))
        recordsLength = Int(try reader.read(UInt32.self))
        let directoryLength = Int(try reader.read(UInt32.self))
        holdsDamage = try reader.read(UInt32.self) & 1 != 0
        directory = Bytes(copying: try reader.readBytes(directoryLength))
    }
}

/// The frames of a segment as its footer will have them. Encoded from the start: a busy log syncs thousands of small
/// frames into one segment, and as many small allocations that live so long would keep the heap from shrinking.
struct FrameIndex: Sendable {
    private(set) var encoded: [UInt8] = []
    private(set) var count = 0
    /// 0 when there are none.
    private(set) var firstNumber: UInt64 = 0
    private(set) var lastNumber: UInt64 = 0

    var isEmpty: Bool { count == 0 }

    mutating func append(_ frame: FrameSummary) {
        if isEmpty { firstNumber = frame.number }
        lastNumber = frame.number
        count += 1
        var writer = ByteWriter(capacity: FrameSummary.size + frame.directory.count)
        frame.encode(into: &writer)
        writer.withUnsafeBytes { encoded.append(contentsOf: $0) }
    }
}
