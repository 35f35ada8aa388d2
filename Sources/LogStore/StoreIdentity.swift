import Primitives

/// Contents of the file `store`: who this data directory is, and how often a node was started on it.
///
/// Two equal copies, at 0 and at 4,096, each little-endian:
///
///      0  u32 magic "WSTO"
///      4  u32 checksum     CRC32C of bytes 8 ..< 48
///      8  u16 version      1; 2 when segments were retired
///     10  u16 zero
///     12  u32 incarnation
///     16  u64 store id, high half
///     24  u64 store id, low half
///     32  u32 segment      highest segment number at the last start; 0 until the first segment is durable
///     36  u32 flags        bit 0: records were lost whose identity nobody knows; it stays
///     40  u32 retired      count of ranges of retired segments
///     44  u32 checksum     CRC32C of these ranges
///
/// The ranges of retired segments stand at 8,192 and, once more, at the next multiple of 4,096 behind them: 32 bytes
/// each, u32 first and last segment, u64 first and last frame, u32 checksum of the last frame's header, u32 next
/// segment.
struct StoreIdentity: Hashable, Sendable {
    var storeID: StoreID
    var incarnation: Incarnation
    var lastSegment: UInt32
    /// Sticky: the next start may not find the traces any more.
    var hasLostRecords = false
    /// Ascending, disjoint.
    var retired: [RetiredRange] = []

    static let fileName = "store"
    /// The next identity is written here. The file is kept, so that it takes no space to replace the identity.
    static let reserveName = "store.new"
    static let version: UInt16 = 2
    static let encodedSize = 48
    static let copyStride = 4_096
    /// The file's length is a multiple of this, so that it changes rarely.
    private static let lengthStep = 1 << 16
    /// Bytes of the file that are read at most: enough for a million ranges.
    private static let sizeLimit = 1 << 26
    private static let magic: UInt32 = 0x4F54_5357

    func encode() -> Bytes {
        var table = ByteWriter()
        for range in retired { range.encode(into: &table) }
        let ranges = table.take()
        let checksum = CRC32C.checksum(ranges)
        var writer = ByteWriter(capacity: StoreIdentity.copyStride + StoreIdentity.encodedSize)
        encodeCopy(into: &writer, checksum: checksum)
        writer.writeZeros(StoreIdentity.copyStride - writer.count)
        encodeCopy(into: &writer, checksum: checksum)
        guard !retired.isEmpty else { return writer.take() }
        for start in StoreIdentity.tableOffsets(count: retired.count) {
            writer.writeZeros(start - writer.count)
            writer.write(ranges)
        }
        return writer.take()
    }

    /// Where the two copies of the retired ranges stand.
    private static func tableOffsets(count: Int) -> [Int] {
        let first = 2 * copyStride
        return [first, first + align(count * RetiredRange.encodedSize, to: copyStride)]
    }

    private func encodeCopy(into writer: inout ByteWriter, checksum rangesChecksum: UInt32) {
        let start = writer.count
        writer.write(StoreIdentity.magic)
        writer.write(UInt32(0))
        writer.write(retired.isEmpty ? 1 : StoreIdentity.version)
        writer.write(UInt16(0))
        writer.write(incarnation.rawValue)
        writer.write(storeID.high)
        writer.write(storeID.low)
        writer.write(lastSegment)
        writer.write(UInt32(hasLostRecords ? 1 : 0))
        writer.write(UInt32(retired.count))
        writer.write(retired.isEmpty ? 0 : rangesChecksum)
        let checksum = writer.withUnsafeBytes { CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[(start + 8)...])) }
        writer.overwrite(at: start + 4, with: checksum)
    }

    /// The first intact copy.
    init(decoding buffer: UnsafeRawBufferPointer) throws(LogStoreFailure) {
        for start in [0, StoreIdentity.copyStride] where buffer.count >= start + StoreIdentity.encodedSize {
            let copy = UnsafeRawBufferPointer(rebasing: buffer[start..<start + StoreIdentity.encodedSize])
            if let identity = try StoreIdentity(decodingCopy: copy) {
                self = identity
                retired = try StoreIdentity.ranges(
                    in: buffer, count: Int(copy.littleEndian(UInt32.self, at: 40)),
                    checksum: copy.littleEndian(UInt32.self, at: 44))
                return
            }
        }
        throw .identityDamaged
    }

    private static func ranges(
        in buffer: UnsafeRawBufferPointer, count: Int, checksum: UInt32
    ) throws(LogStoreFailure) -> [RetiredRange] {
        guard count > 0 else { return [] }
        let length = count * RetiredRange.encodedSize
        for start in tableOffsets(count: count) where buffer.count >= start + length {
            let table = UnsafeRawBufferPointer(rebasing: buffer[start..<start + length])
            guard CRC32C.checksum(table) == checksum else { continue }
            do throws(DecodingFailure) {
                var reader = ByteReader(table)
                var ranges: [RetiredRange] = []
                while !reader.isAtEnd { ranges.append(try RetiredRange(decoding: &reader)) }
                guard zip(ranges, ranges.dropFirst()).allSatisfy({ $0.last < $1.first }) else { continue }
                return ranges
            } catch {
                continue
            }
        }
        throw .identityDamaged
    }

    private init?(decodingCopy buffer: UnsafeRawBufferPointer) throws(LogStoreFailure) {
        let body = UnsafeRawBufferPointer(rebasing: buffer[8...])
        guard buffer.littleEndian(UInt32.self, at: 0) == StoreIdentity.magic,
            buffer.littleEndian(UInt32.self, at: 4) == CRC32C.checksum(body)
        else { return nil }
        let version = buffer.littleEndian(UInt16.self, at: 8)
        guard 1...StoreIdentity.version ~= version else {
            throw .unsupportedVersion(file: StoreIdentity.fileName, version: Int(version))
        }
        incarnation = Incarnation(buffer.littleEndian(UInt32.self, at: 12))
        storeID = StoreID(
            high: buffer.littleEndian(UInt64.self, at: 16), low: buffer.littleEndian(UInt64.self, at: 24))
        lastSegment = buffer.littleEndian(UInt32.self, at: 32)
        hasLostRecords = buffer.littleEndian(UInt32.self, at: 36) & 1 != 0
        guard max(incarnation.rawValue, lastSegment) <= CounterBound.segment else { return nil }
    }

    init(storeID: StoreID, incarnation: Incarnation, lastSegment: UInt32) {
        self.storeID = storeID
        self.incarnation = incarnation
        self.lastSegment = lastSegment
    }
}

extension StoreIdentity {
    /// Reads the file, which must exist.
    static func read<D: Disk>(from disk: D) throws(LogStoreFailure) -> StoreIdentity {
        let bytes = try disking { () throws(DiskFailure) in
            let file = try disk.open(fileName)
            defer { disk.close(file) }
            return try disk.readReadable(file, limit: sizeLimit)
        }
        return try bytes.withUnsafeBytes { buffer throws(LogStoreFailure) in try StoreIdentity(decoding: buffer) }
    }

    /// Replaces the file and makes that durable, all or nothing: the reserve file is overwritten, then the two exchange
    /// their names. So it takes no space, unless there is no reserve yet or the list of retired segments has outgrown
    /// it.
    func write<D: Disk>(to disk: D) throws(LogStoreFailure) {
        do throws(DiskFailure) {
            try fillReserve(on: disk)
        } catch {
            // One that lacked space is written anew as a whole the next time.
            if !error.isOutOfSpace { StoreIdentity.removeReserve(from: disk) }
            throw .disk(error)
        }
        do throws(DiskFailure) {
            try StoreIdentity.promoteReserve(on: disk)
        } catch {
            // It is not known which of the two is `store` on the disk: neither may be overwritten.
            StoreIdentity.removeReserve(from: disk)
            throw .disk(error)
        }
    }

    private func fillReserve<D: Disk>(on disk: D) throws(DiskFailure) {
        let file = try StoreIdentity.openReserve(on: disk)
        defer { disk.close(file) }
        let content = encode()
        var padding = ByteWriter()
        padding.writeZeros(align(content.count, to: StoreIdentity.lengthStep) - content.count)
        try disk.write(file, at: 0, [content, padding.take()])
        try disk.sync(file)
    }

    private static func promoteReserve<D: Disk>(on disk: D) throws(DiskFailure) {
        do throws(DiskFailure) {
            try disk.exchange(reserveName, fileName)
        } catch {
            guard case .notFound = error else { throw error }
            // A new store.
            try disk.rename(reserveName, to: fileName)
        }
        try disk.syncDirectory()
    }

    private static func removeReserve<D: Disk>(from disk: D) {
        do throws(DiskFailure) {
            try disk.remove(reserveName)
        } catch {
            // It was not made.
        }
    }

    private static func openReserve<D: Disk>(on disk: D) throws(DiskFailure) -> D.File {
        do throws(DiskFailure) {
            return try disk.open(reserveName)
        } catch {
            guard case .notFound = error else { throw error }
            return try disk.create(reserveName)
        }
    }
}
