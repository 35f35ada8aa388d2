package import Primitives

/// What a replica notes about its own log beside the log: the payload of the group's configuration record.
///
/// While a leader's snapshot is on its way, its live entries stand in the node log among those of the replica's own
/// log. After a crash in between nobody can tell whether entries of the two join: the replica neither votes nor leads
/// until it knows the whole stretch to be committed. Likewise when a part of the log is lost: what it had acknowledged
/// there must be committed here first.
///
/// Layout, little-endian: u8 version 1, u64 `transferredThrough`.
package struct ReplicaNote: Hashable, Sendable {
    /// The log may hold entries that came with a snapshot, or lack some that it had, up to here; zero when it is whole.
    package var transferredThrough: LogIndex

    private static let version: UInt8 = 1

    package init(transferredThrough: LogIndex) { self.transferredThrough = transferredThrough }

    package func encoded() -> Bytes {
        var writer = ByteWriter(capacity: 9)
        writer.write(ReplicaNote.version)
        writer.write(transferredThrough.rawValue)
        return writer.take()
    }

    /// - Throws: `DecodingFailure` for another version or length.
    package init(decoding bytes: Bytes) throws(DecodingFailure) {
        self = try bytes.withUnsafeBytes { buffer throws(DecodingFailure) in
            var reader = ByteReader(buffer)
            guard try reader.read(UInt8.self) == ReplicaNote.version else { throw .invalid("replica note version") }
            let note = ReplicaNote(transferredThrough: LogIndex(try reader.read()))
            guard reader.isAtEnd else { throw .invalid("replica note length") }
            return note
        }
    }
}
