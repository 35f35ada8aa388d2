import Primitives

/// The fixed head of a frame, little-endian:
///
///      0  u32 magic "WFRM"
///      4  u32 checksum                   CRC32C of bytes 8 ..< 64, seeded with the segment header's checksum
///      8  u8  version                    1
///      9  u8  flags                      bit 0: the previous frame was synced before this one was written;
///                                    bit 1: orderly stop
///     10  u16 zero
///     12  u32 segment
///     16  u32 generation
///     20  u32 offset                     of this header in the file
///     24  u64 number                     of the frame, from 1, without gaps over the whole store
///     32  u32 previousChecksum           the previous frame's `checksum`; 0 in the store's first frame
///     36  u32 directoryLength
///     40  u32 directoryChecksum          CRC32C of the directory
///     44  u32 previousDirectoryLength
///     48  u32 previousDirectoryChecksum  CRC32C of the repeated directory
///     52  u32 recordsLength
///     56  u32 incarnation                of the start that wrote it
///     60  u32 zero
///     64  the previous frame's directory, then the directory, then the records, then zeros up to a multiple of 512
///
/// The checksum of each record is in the directory, so the header vouches for the whole frame.
struct FrameHeader: Hashable, Sendable {
    var flags: Flags
    var segment: UInt32
    var generation: UInt32
    var offset: Int
    var number: UInt64
    var previousChecksum: UInt32
    var directoryLength: Int
    var directoryChecksum: UInt32
    var previousDirectoryLength: Int
    var previousDirectoryChecksum: UInt32
    var recordsLength: Int
    var incarnation: Incarnation

    struct Flags: OptionSet, Hashable, Sendable {
        var rawValue: UInt8
        static let attestsPrevious = Flags(rawValue: 1)
        static let cleanStop = Flags(rawValue: 2)
    }

    static let size = 64
    static let version: UInt8 = 1
    static let magic: UInt32 = 0x4D52_4657

    /// Bytes of header and directories.
    var headLength: Int { FrameHeader.size + previousDirectoryLength + directoryLength }
    /// Bytes without the padding.
    var length: Int { headLength + recordsLength }
    /// Where the next frame begins, if it is in the same segment.
    var end: Int { align(offset + length, to: SegmentHeader.alignment) }

    /// Appends the header and returns its checksum.
    func encode(into writer: inout ByteWriter, seed: UInt32) -> UInt32 {
        let start = writer.count
        writer.write(FrameHeader.magic)
        writer.write(UInt32(0))
        writer.write(FrameHeader.version)
        writer.write(flags.rawValue)
        writer.write(UInt16(0))
        writer.write(segment)
        writer.write(generation)
        writer.write(UInt32(offset))
        writer.write(number)
        writer.write(previousChecksum)
        writer.write(UInt32(directoryLength))
        writer.write(directoryChecksum)
        writer.write(UInt32(previousDirectoryLength))
        writer.write(previousDirectoryChecksum)
        writer.write(UInt32(recordsLength))
        writer.write(incarnation.rawValue)
        writer.write(UInt32(0))
        let checksum = writer.withUnsafeBytes {
            CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[(start + 8)..<(start + FrameHeader.size)]), seed: seed)
        }
        writer.overwrite(at: start + 4, with: checksum)
        return checksum
    }
}

extension FrameHeader {
    /// Reads a header that must stand at `offset` of the segment; nil when the bytes are anything else.
    static func decode(
        _ buffer: UnsafeRawBufferPointer, at offset: Int, of segment: SegmentHeader
    ) throws(LogStoreFailure) -> (header: FrameHeader, checksum: UInt32)? {
        guard buffer.count >= size, buffer.littleEndian(UInt32.self, at: 0) == magic else { return nil }
        let checksum = buffer.littleEndian(UInt32.self, at: 4)
        let covered = UnsafeRawBufferPointer(rebasing: buffer[8..<size])
        guard checksum == CRC32C.checksum(covered, seed: segment.seed) else { return nil }
        guard buffer[8] == version else {
            throw .unsupportedVersion(file: SegmentName.name(of: segment.segment), version: Int(buffer[8]))
        }
        let header = FrameHeader(
            flags: Flags(rawValue: buffer[9]), segment: buffer.littleEndian(UInt32.self, at: 12),
            generation: buffer.littleEndian(UInt32.self, at: 16), offset: Int(buffer.littleEndian(UInt32.self, at: 20)),
            number: buffer.littleEndian(UInt64.self, at: 24),
            previousChecksum: buffer.littleEndian(UInt32.self, at: 32),
            directoryLength: Int(buffer.littleEndian(UInt32.self, at: 36)),
            directoryChecksum: buffer.littleEndian(UInt32.self, at: 40),
            previousDirectoryLength: Int(buffer.littleEndian(UInt32.self, at: 44)),
            previousDirectoryChecksum: buffer.littleEndian(UInt32.self, at: 48),
            recordsLength: Int(buffer.littleEndian(UInt32.self, at: 52)),
            incarnation: Incarnation(buffer.littleEndian(UInt32.self, at: 56)))
        guard header.segment == segment.segment, header.generation == segment.generation, header.offset == offset,
            1...CounterBound.stored ~= header.number
        else { return nil }
        return (header, checksum)
    }
}
