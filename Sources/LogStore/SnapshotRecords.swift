public import Primitives

/// A part of a machine's snapshot.
public struct SnapshotChunk: Sendable {
    /// Whose machine it is.
    public var group: GroupID
    /// The last entry that the snapshot includes.
    public var index: LogIndex
    /// The term of that entry.
    public var term: Term
    /// Where the bytes begin in the snapshot.
    public var offset: Int
    /// The part itself, at most 1 GiB less the record's head.
    public var bytes: Bytes

    /// A part of the snapshot at `index` of `term`.
    public init(group: GroupID, index: LogIndex, term: Term, offset: Int, bytes: Bytes) {
        self.group = group
        self.index = index
        self.term = term
        self.offset = offset
        self.bytes = bytes
    }

    /// Bytes in front of the part: its offset.
    static let headSize = 8
    /// Bytes of the longest snapshot; what claims to be longer is damaged.
    static let snapshotLimit = 1 << 40

    /// The record's bytes: u64 offset, then the part.
    var payload: [Bytes] {
        var writer = ByteWriter(capacity: SnapshotChunk.headSize)
        writer.write(UInt64(offset))
        return [writer.take(), bytes]
    }

    /// The offset and the part of a record's bytes.
    static func decode(_ payload: Bytes) throws(DecodingFailure) -> (offset: Int, bytes: Bytes) {
        guard payload.count >= headSize else { throw .truncated }
        let offset = payload.withUnsafeBytes { $0.littleEndian(UInt64.self, at: 0) }
        guard offset <= UInt64(snapshotLimit) else { throw .invalid("chunk offset") }
        return (Int(offset), payload[headSize..<payload.count])
    }
}

/// Makes a snapshot current whose chunks were staged before: entries up to its index are dropped, except for those that
/// the machine's state still refers to.
public struct SnapshotMark: Sendable {
    /// Whose snapshot it is.
    public var group: GroupID
    /// The last entry that the snapshot includes.
    public var index: LogIndex
    /// The term of that entry.
    public var term: Term
    /// Bytes of the whole snapshot.
    public var byteCount: Int
    /// The entries up to `index` that are still needed: ascending, disjoint, within 1 ... `index`.
    public var live: [ClosedRange<LogIndex>]
    /// The log that was there up to `index` contradicts it, or may: should the snapshot be lost, what is left of that
    /// log says nothing. Not in the record's bytes but in the frame's directory, which the next frame repeats.
    public var replacesLog: Bool

    /// The mark of a snapshot of `byteCount` bytes.
    public init(
        group: GroupID, index: LogIndex, term: Term, byteCount: Int, live: [ClosedRange<LogIndex>],
        replacesLog: Bool = false
    ) {
        self.group = group
        self.index = index
        self.term = term
        self.byteCount = byteCount
        self.live = live
        self.replacesLog = replacesLog
    }

    /// The record's bytes: u64 length of the snapshot, varint count of ranges, then for each range the distance of its
    /// first index from the end of the one before and its length less one, as varints.
    var payload: Bytes {
        var writer = ByteWriter(capacity: 16 + 4 * live.count)
        writer.write(UInt64(byteCount))
        writer.writeVarint(UInt64(live.count))
        var last: UInt64 = 0
        for range in live {
            precondition(range.lowerBound.rawValue > last && range.upperBound <= index, "live ranges out of order")
            writer.writeVarint(range.lowerBound.rawValue - last - 1)
            writer.writeVarint(range.upperBound - range.lowerBound)
            last = range.upperBound.rawValue
        }
        return writer.take()
    }

    /// Reads a record's bytes; the rest is in the directory.
    init(decoding payload: Bytes, group: GroupID, index: LogIndex, term: Term) throws(DecodingFailure) {
        let (byteCount, live) = try payload.withUnsafeBytes { buffer throws(DecodingFailure) in
            var reader = ByteReader(buffer)
            let byteCount = try reader.read(UInt64.self)
            guard byteCount <= UInt64(SnapshotChunk.snapshotLimit) else { throw .invalid("snapshot length") }
            let count = try reader.readVarint()
            // A range takes two bytes at least.
            guard count <= UInt64(reader.remaining / 2) else { throw .invalid("count of live ranges") }
            var live: [ClosedRange<LogIndex>] = []
            live.reserveCapacity(Int(count))
            var last: UInt64 = 0
            for _ in 0..<count {
                let gap = try reader.readVarint()
                let length = try reader.readVarint()
                guard gap < index.rawValue - last, length < index.rawValue - last - gap else {
                    throw .invalid("live range")
                }
                let first = last + gap + 1
                last = first + length
                live.append(LogIndex(first)...LogIndex(last))
            }
            guard reader.isAtEnd else { throw .invalid("live ranges") }
            return (Int(byteCount), live)
        }
        self.init(group: group, index: index, term: term, byteCount: byteCount, live: live)
    }

    /// Whether the entry at `index` is still needed: all above the snapshot are.
    func keeps(_ index: LogIndex) -> Bool { index > self.index || live.holds(index) }
}

extension [ClosedRange<LogIndex>] {
    /// Whether one of these ascending, disjoint ranges holds `index`.
    func holds(_ index: LogIndex) -> Bool {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self[middle].upperBound < index { low = middle + 1 } else { high = middle }
        }
        return low < count && self[low].lowerBound <= index
    }
}
