import Primitives

/// The copy of an entry that reclamation made.
public struct Relocation: Hashable, Sendable {
    /// The place that is given up.
    public var from: EntryLocation
    /// The durable copy.
    public var to: EntryLocation

    /// Names a copy.
    public init(from: EntryLocation, to: EntryLocation) {
        self.from = from
        self.to = to
    }
}

/// One record and its place, as a segment's directories have it.
struct PlacedRecord: Sendable {
    var kind: RecordKind
    /// See `SnapshotMark.replacesLog`.
    var replacesLog: Bool
    var sequence: UInt64
    var group: GroupID
    var index: UInt64
    var term: Term
    var segment: UInt32
    /// In the file; 0 when the place is not known.
    var offset: Int
    var length: UInt32
    var checksum: UInt32

    /// The place of an entry.
    var location: EntryLocation {
        EntryLocation(
            group: group, index: LogIndex(index), term: term, segment: segment, offset: UInt32(clamping: offset),
            length: length, checksum: checksum)
    }
}

/// A record that is written again at the head of the log, with its sequence number.
struct RelocatedRecord: Sendable {
    var record: PlacedRecord
    var payload: Bytes
}

/// Records for one frame, at most.
struct RelocationBatch: Sendable {
    var records: [RelocatedRecord]
    /// The active segment when it was asked which of them are live.
    var asked: UInt32
}

extension RecoveredItem {
    /// The record at `position` of a run, which begins `start` bytes behind the run's first record.
    func placed(_ position: Int, start: Int) -> PlacedRecord {
        let record = item.records[position]
        let step = UInt64(position)
        return PlacedRecord(
            kind: item.kind, replacesLog: item.replacesLog, sequence: item.sequence + step, group: item.group,
            index: item.index + step, term: item.term, segment: segment,
            offset: offset == 0 ? 0 : offset + start, length: record.length, checksum: record.checksum)
    }

    /// Those records whose bytes are damaged.
    var damagedRecords: [PlacedRecord] {
        guard let last = damaged.last else { return [] }
        var starts: [Int] = []
        var start = 0
        for record in item.records[...last] {
            starts.append(start)
            start += Int(record.length)
        }
        return damaged.map { placed($0, start: starts[$0]) }
    }
}
