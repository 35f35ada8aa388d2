import Primitives

/// A directory item met by recovery, and where its records stand.
struct RecoveredItem: Sendable {
    var item: DirectoryItem
    var segment: UInt32
    /// Of the first record in the file; 0 when the place is not known.
    var offset: Int
    /// Positions in `item.records` of records whose bytes do not match their checksums, ascending.
    var damaged: [Int]
}

/// A frame met by the scan. Its header is intact; whether the rest is, shows when the next frame is found or the log
/// ends.
struct FoundFrame: Sendable {
    var header: FrameHeader
    var checksum: UInt32
    /// Nil when it is damaged; the next frame repeats it.
    var directory: Bytes?
    /// The previous frame's directory as repeated here; nil when it is damaged.
    var previousDirectory: Bytes?
    /// The directory's items with their records verified; nil when the directory is damaged.
    var items: [RecoveredItem]?
    /// The device does not give all of it.
    var isUnreadable = false

    /// Whether nothing of it is damaged.
    var isWhole: Bool { items?.allSatisfy { $0.damaged.isEmpty } ?? false }

    var recordsOffset: Int { header.offset + header.headLength }
}

/// A segment found on the disk.
struct FoundSegment<File: Sendable>: Sendable {
    var header: SegmentHeader
    var file: File
    var length: Int
    /// Sealed: only the footer was read.
    var isSealed = false
    /// Frames that the footer names.
    var sealedFrames = 0
    /// The first and last of these.
    var footerFrames: (first: UInt64, last: UInt64)?
    /// The segment that the footer names as the next.
    var next: UInt32 = 0
    /// Where the next frame would go.
    var end = SegmentHeader.size
    /// Behind the last byte that is not zero, as far as the scan looked.
    var garbageEnd = 0
    var frames: [FrameSummary] = []
    /// The last of these frames' header's checksum.
    var lastChecksum: UInt32 = 0
}

extension FoundSegment {
    /// The first and last frame, zero without any.
    var frameNumbers: (first: UInt64, last: UInt64) {
        footerFrames ?? (frames.first?.number ?? 0, frames.last?.number ?? 0)
    }
}

extension RecoveredItem {
    /// The items of a directory with their places; the records are left to the reads, each of which verifies.
    /// - Parameter base: where the records begin; 0 when that is not known, and all that have bytes are damaged then.
    static func items(of directory: Bytes, segment: UInt32, base: Int) throws(LogStoreFailure) -> [RecoveredItem] {
        var result: [RecoveredItem] = []
        var offset = base
        for item in try DirectoryItem.decode(directory, file: SegmentName.name(of: segment)) {
            var recovered = RecoveredItem(item: item, segment: segment, offset: offset, damaged: [])
            if base == 0 {
                recovered.damaged = item.records.indices.filter { item.records[$0].length > 0 }
            } else {
                offset += item.payloadLength
            }
            result.append(recovered)
        }
        return result
    }

    /// Compares the records' bytes with their checksums.
    mutating func verify<D: Disk>(in window: inout ScanWindow<D>) {
        guard offset != 0 else { return }
        var place = offset
        for (position, record) in item.records.enumerated() where record.length > 0 {
            let bytes = window.bytes(at: place, count: Int(record.length))
            if bytes.map({ CRC32C.checksum($0) }) != record.checksum { damaged.append(position) }
            place += Int(record.length)
        }
    }
}
