public import Primitives

/// What the node log keeps for a group.
public enum LogRecord: Sendable {
    /// An entry of the group's Raft log. Entries follow each other by index; the same index and term again is a
    /// repaired copy.
    case entry(Entry)
    /// The group's term and vote. Recovery takes the highest term and, within it, a vote over none. Nodes count from 1.
    case hardState(group: GroupID, term: Term, vote: NodeID?)
    /// The group's configuration, opaque; the newest counts.
    case configuration(group: GroupID, Bytes)
    /// Drops the group's entries from this index on.
    case truncate(group: GroupID, from: LogIndex)
    /// The group exists, with its parameters, opaque; the newest counts.
    case groupCreated(group: GroupID, Bytes)
    /// The group's records before this one mean nothing any more. `index` is that of the metadata's entry or snapshot
    /// which says so: a metadata snapshot at or behind it says it again.
    case groupRemoved(group: GroupID, at: LogIndex)
    /// A part of a snapshot; means nothing before its mark.
    case snapshotChunk(SnapshotChunk)
    /// The snapshot whose chunks were staged before is current; its predecessors mean nothing any more.
    case snapshotCurrent(SnapshotMark)
}

/// The kind of a record as it stands in a frame's directory. Part of the format: values never change their meaning.
enum RecordKind: UInt8, Sendable {
    case entries = 1
    case hardState = 2
    case configuration = 3
    case truncate = 4
    /// A part of a machine's snapshot; index and term are the snapshot's.
    case snapshotChunk = 5
    /// The snapshot of that index and term is complete and current.
    case snapshotCurrent = 6
    case groupCreated = 7
    case groupRemoved = 8
}

extension LogRecord {
    /// Bytes the record puts behind the directory.
    var payloadLength: Int {
        switch self {
        case .entry(let entry): entry.bytes.count
        case .configuration(_, let bytes), .groupCreated(_, let bytes): bytes.count
        case .hardState, .truncate, .groupRemoved: 0
        case .snapshotChunk(let chunk): SnapshotChunk.headSize + chunk.bytes.count
        case .snapshotCurrent(let mark): mark.payload.count
        }
    }
}
