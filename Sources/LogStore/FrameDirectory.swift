import Primitives

/// One item of a frame's directory: a record, or a run of entries of one group and term with consecutive indices and
/// sequence numbers. Little-endian:
///
///      0  u8  kind
///      1  u8  flags       bit 0: a relocated copy; bit 1, snapshot current: it took the place of a log
///      2  u16 zero
///      4  u32 count       records of the run; 1 unless the kind is entries
///      8  u64 sequence    log sequence number of the first; a relocated copy keeps its number
///     16  u64 group
///     24  u64 index       entries: of the first; truncate: the first index dropped;
///                        hard state: the vote's node, 0 for none; snapshot chunk and current: the snapshot's
///     32  u64 term        entries, hard state, snapshot chunk and current; else 0
///     40  count × { u32 length, u32 CRC32C of the record's bytes }
///
/// Hard state, truncate and removal are wholly in the directory: their records have no bytes, and the next frame
/// repeats them.
struct DirectoryItem: Sendable {
    var kind: RecordKind
    var isRelocated: Bool
    /// See `SnapshotMark.replacesLog`.
    var replacesLog: Bool
    var sequence: UInt64
    var group: GroupID
    var index: UInt64
    var term: Term
    var records: [Record]

    struct Record: Hashable, Sendable {
        var length: UInt32
        var checksum: UInt32
    }

    static let size = 40
    static let recordSize = 8
    /// Bytes of the longest directory item of one record.
    static let singleSize = size + recordSize
}

/// Builds a directory record by record, joining consecutive entries to runs.
struct DirectoryEncoder: ~Copyable {
    private var writer = ByteWriter()
    private var runStart = 0
    private var runCount: UInt32 = 0
    private var runGroup = GroupID.topology
    private var runTerm = Term.zero
    private var runNext = LogIndex.zero
    private var runNextSequence: UInt64 = 0
    private var isRunRelocated = false

    var isEmpty: Bool { writer.isEmpty }

    /// Adds an entry; `sequence` follows that of the record before.
    mutating func entry(_ entry: Entry, sequence: UInt64, checksum: UInt32) {
        self.entry(
            entry.group, entry.index, entry.term, sequence: sequence, length: UInt32(entry.bytes.count),
            checksum: checksum, isRelocated: false)
    }

    /// Adds a copy of a record.
    mutating func relocated(_ record: PlacedRecord) {
        if record.kind == .entries {
            entry(
                record.group, LogIndex(record.index), record.term, sequence: record.sequence, length: record.length,
                checksum: record.checksum, isRelocated: true)
        } else {
            single(
                record.kind, sequence: record.sequence, group: record.group, index: record.index, term: record.term,
                length: Int(record.length), checksum: record.checksum, isRelocated: true,
                replacesLog: record.replacesLog)
        }
    }

    private mutating func entry(
        _ group: GroupID, _ index: LogIndex, _ term: Term, sequence: UInt64, length: UInt32, checksum: UInt32,
        isRelocated: Bool
    ) {
        if runCount > 0, group == runGroup, term == runTerm, index == runNext, sequence == runNextSequence,
            isRelocated == isRunRelocated
        {
            runCount += 1
            writer.overwrite(at: runStart + 4, with: runCount)
        } else {
            runStart = writer.count
            runCount = 1
            runGroup = group
            runTerm = term
            isRunRelocated = isRelocated
            head(
                .entries, sequence: sequence, group: group, index: index.rawValue, term: term, isRelocated: isRelocated)
        }
        runNext = index.next
        runNextSequence = sequence + 1
        writer.write(length)
        writer.write(checksum)
    }

    /// Adds any other record.
    mutating func single(
        _ kind: RecordKind, sequence: UInt64, group: GroupID, index: UInt64 = 0, term: Term = .zero,
        length: Int = 0, checksum: UInt32 = 0, isRelocated: Bool = false, replacesLog: Bool = false
    ) {
        runCount = 0
        head(
            kind, sequence: sequence, group: group, index: index, term: term, isRelocated: isRelocated,
            replacesLog: replacesLog)
        writer.write(UInt32(length))
        writer.write(checksum)
    }

    private mutating func head(
        _ kind: RecordKind, sequence: UInt64, group: GroupID, index: UInt64, term: Term, isRelocated: Bool,
        replacesLog: Bool = false
    ) {
        writer.write(kind.rawValue)
        writer.write(UInt8((isRelocated ? 1 : 0) | (replacesLog ? 2 : 0)))
        writer.write(UInt16(0))
        writer.write(UInt32(1))
        writer.write(sequence)
        writer.write(group.rawValue)
        writer.write(index)
        writer.write(term.rawValue)
    }

    consuming func finish() -> Bytes { writer.take() }
}

extension DirectoryItem {
    /// Reads a directory whose checksum holds.
    static func decode(_ directory: Bytes, file: String) throws(LogStoreFailure) -> [DirectoryItem] {
        try directory.withUnsafeBytes { buffer throws(LogStoreFailure) in
            var reader = ByteReader(buffer)
            var items: [DirectoryItem] = []
            while !reader.isAtEnd {
                do throws(DecodingFailure) {
                    items.append(try DirectoryItem(decoding: &reader))
                } catch {
                    // The checksum holds, so a newer version wrote it.
                    throw LogStoreFailure.unsupportedVersion(file: file, version: 1)
                }
            }
            return items
        }
    }

    private init(decoding reader: inout ByteReader) throws(DecodingFailure) {
        guard let kind = RecordKind(rawValue: try reader.read()) else { throw .invalid("record kind") }
        self.kind = kind
        let flags: UInt8 = try reader.read()
        isRelocated = flags & 1 != 0
        replacesLog = flags & 2 != 0
        try reader.skip(2)
        let count = Int(try reader.read(UInt32.self))
        sequence = try reader.read()
        group = GroupID(try reader.read())
        index = try reader.read()
        term = Term(try reader.read())
        guard count >= 1, kind == .entries || count == 1, count <= reader.remaining / DirectoryItem.recordSize else {
            throw .invalid("record count")
        }
        guard max(index, sequence, term.rawValue) <= CounterBound.stored else { throw .invalid("record number") }
        // A vote is a node's, in a term.
        guard kind != .hardState || index == 0 || (index <= UInt16.max && term > .zero) else { throw .invalid("vote") }
        records = []
        records.reserveCapacity(count)
        for _ in 0..<count {
            records.append(Record(length: try reader.read(), checksum: try reader.read()))
        }
    }

    /// Bytes of the run's records.
    var payloadLength: Int { records.reduce(0) { $0 + Int($1.length) } }
    /// The sequence number of the last record.
    var lastSequence: UInt64 { sequence + UInt64(records.count) - 1 }
}
