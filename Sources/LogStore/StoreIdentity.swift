import Primitives

/// Contents of the file `store`: who this data directory is, and how often a node was started on it.
///
/// Two equal copies, at 0 and at 4,096, each little-endian:
///
///      0  u32 magic "WSTO"
///      4  u32 checksum     CRC32C of bytes 8 ..< 48
///      8  u16 version      1
///     10  u16 zero
///     12  u32 incarnation
///     16  u64 store id, high half
///     24  u64 store id, low half
///     32  u32 segment      highest segment number at the last start; 0 until the first segment is durable
///     36  u32 flags        bit 0: records were lost whose identity nobody knows; it stays
///     40  u64 zero
struct StoreIdentity: Hashable, Sendable {
    var storeID: StoreID
    var incarnation: Incarnation
    var lastSegment: UInt32
    /// Sticky: the next start may not find the traces any more.
    var hasLostRecords = false

    static let fileName = "store"
    static let temporaryName = "store.new"
    static let version: UInt16 = 1
    static let encodedSize = 48
    static let copyStride = 4_096
    private static let magic: UInt32 = 0x4F54_5357

    func encode() -> Bytes {
        var writer = ByteWriter(capacity: StoreIdentity.copyStride + StoreIdentity.encodedSize)
        encodeCopy(into: &writer)
        writer.writeZeros(StoreIdentity.copyStride - writer.count)
        encodeCopy(into: &writer)
        return writer.take()
    }

    private func encodeCopy(into writer: inout ByteWriter) {
        let start = writer.count
        writer.write(StoreIdentity.magic)
        writer.write(UInt32(0))
        writer.write(StoreIdentity.version)
        writer.write(UInt16(0))
        writer.write(incarnation.rawValue)
        writer.write(storeID.high)
        writer.write(storeID.low)
        writer.write(lastSegment)
        writer.write(UInt32(hasLostRecords ? 1 : 0))
        writer.write(UInt64(0))
        let checksum = writer.withUnsafeBytes { CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[(start + 8)...])) }
        writer.overwrite(at: start + 4, with: checksum)
    }

    /// The first intact copy.
    init(decoding buffer: UnsafeRawBufferPointer) throws(LogStoreFailure) {
        for start in [0, StoreIdentity.copyStride] where buffer.count >= start + StoreIdentity.encodedSize {
            let copy = UnsafeRawBufferPointer(rebasing: buffer[start..<start + StoreIdentity.encodedSize])
            if let identity = try StoreIdentity(decodingCopy: copy) {
                self = identity
                return
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
        guard version == StoreIdentity.version else {
            throw .unsupportedVersion(file: StoreIdentity.fileName, version: Int(version))
        }
        incarnation = Incarnation(buffer.littleEndian(UInt32.self, at: 12))
        storeID = StoreID(
            high: buffer.littleEndian(UInt64.self, at: 16), low: buffer.littleEndian(UInt64.self, at: 24))
        lastSegment = buffer.littleEndian(UInt32.self, at: 32)
        hasLostRecords = buffer.littleEndian(UInt32.self, at: 36) & 1 != 0
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
            return try disk.readAll(file, limit: copyStride + encodedSize)
        }
        return try bytes.withUnsafeBytes { buffer throws(LogStoreFailure) in try StoreIdentity(decoding: buffer) }
    }

    /// Replaces the file and makes that durable, all or nothing.
    func write<D: Disk>(to disk: D) throws(LogStoreFailure) {
        try disking { () throws(DiskFailure) in
            let file = try disk.create(StoreIdentity.temporaryName)
            defer { disk.close(file) }
            try disk.write(file, at: 0, [encode()])
            try disk.sync(file)
            try disk.rename(StoreIdentity.temporaryName, to: StoreIdentity.fileName)
            try disk.syncDirectory()
        }
    }
}
