public import Primitives

/// What a snapshot of a queue holds, for people and for checks. It is the head of the snapshot, so that reading it
/// builds nothing.
public struct QueueSnapshotSummary: Hashable, Sendable {
    /// The version of the machine's behaviour in force.
    public var version: UInt32
    /// The last entry applied.
    public var appliedIndex: LogIndex
    /// The latest timestamp of an entry.
    public var time: WallTime
    /// Messages that wait.
    public var messagesReady: Int
    /// Messages that consumers hold.
    public var messagesUnacknowledged: Int
    /// Open sessions, suspended ones included.
    public var sessionCount: Int
    /// Attached consumers.
    public var consumerCount: Int
}

extension QueueSnapshotSummary {
    /// The version of the format that is written and read.
    static let formatVersion: UInt8 = 1

    /// Reads the head of a snapshot; what follows it is not looked at.
    /// - Throws: when the bytes end early, or format or machine are of an unknown version.
    public init(snapshot: Bytes) throws(DecodingFailure) {
        self = try snapshot.withUnsafeBytes { buffer throws(DecodingFailure) in
            var reader = ByteReader(buffer)
            return try QueueSnapshotSummary(decoding: &reader)
        }
    }

    init(decoding reader: inout ByteReader) throws(DecodingFailure) {
        guard try reader.read(UInt8.self) == QueueSnapshotSummary.formatVersion else {
            throw .invalid("snapshot format")
        }
        version = try reader.readVarint32("machine version")
        guard QueueMachine.versions.contains(version) else { throw .invalid("machine version") }
        appliedIndex = LogIndex(try reader.readVarint())
        guard appliedIndex.rawValue < Position.indexLimit else { throw .invalid("applied index") }
        time = WallTime(milliseconds: try reader.readVarint())
        messagesReady = try reader.readTotal()
        messagesUnacknowledged = try reader.readTotal()
        sessionCount = try reader.readTotal()
        consumerCount = try reader.readTotal()
    }

    func encode(into writer: inout ByteWriter) {
        writer.write(QueueSnapshotSummary.formatVersion)
        writer.writeVarint(UInt64(version))
        writer.writeVarint(appliedIndex.rawValue)
        writer.writeVarint(time.milliseconds)
        writer.writeVarint(UInt64(messagesReady))
        writer.writeVarint(UInt64(messagesUnacknowledged))
        writer.writeVarint(UInt64(sessionCount))
        writer.writeVarint(UInt64(consumerCount))
    }
}

extension ByteReader {
    /// A varint that counts what is not in memory for it; below 2⁶⁰, so that sums cannot overflow.
    fileprivate mutating func readTotal() throws(DecodingFailure) -> Int {
        let total = try readVarint()
        guard total < 1 << 60 else { throw .invalid("total") }
        return Int(total)
    }

    /// A varint that counts items of at least `size` bytes each, which must all be there.
    mutating func readCount(ofSize size: Int) throws(DecodingFailure) -> Int {
        let count = try readVarint()
        guard count <= UInt64(remaining / size) else { throw .truncated }
        return Int(count)
    }
}

extension QueueMachine {
    /// What a snapshot taken now holds.
    public var summary: QueueSnapshotSummary {
        QueueSnapshotSummary(
            version: version, appliedIndex: appliedIndex, time: time, messagesReady: messagesReady,
            messagesUnacknowledged: messagesUnacknowledged, sessionCount: sessionCount, consumerCount: consumerCount)
    }
}
