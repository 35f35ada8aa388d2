package import Primitives

/// What a replica notes about its own log beside the log: the payload of the group's configuration record.
///
/// While a leader's snapshot is on its way, its live entries stand in the node log among those of the replica's own
/// log. After a crash in between nobody can tell whether entries of the two join: the replica does not lead until it
/// knows the whole stretch to be committed (`RestoredLog.isJoined`). When a part of the log is lost, what it had
/// acknowledged there must be committed here first: until then it does not vote, either.
///
/// A start reads no entries, so the members that entries brought stand here, too. The note precedes such an entry on
/// the disk, and one without it follows the truncation that drops it; so of what is at or below a snapshot's index
/// everything counts, and above it what the log has by index and term.
///
/// Layout, little-endian: u8 version, u64 `doubt.transferredThrough`. Version 2 goes on with a varint count of
/// configurations, for each u64 index, u64 term and the descriptor, length-prefixed; then a u8 flag and, if it is 1,
/// the installation: u64 index of the snapshot, u64 index of the configuration and its descriptor. Version 1 has
/// neither.
/// Version 3 begins as version 2 and ends with u64 `doubt.lostThrough`; what versions 1 and 2 call transferred may be
/// lost.
package struct ReplicaNote: Hashable, Sendable {
    /// Members that an entry brought.
    package struct Configuration: Hashable, Sendable {
        package var index: LogIndex
        /// Zero when a snapshot covers the entry.
        package var term: Term
        package var descriptor: GroupDescriptor

        package init(index: LogIndex, term: Term, descriptor: GroupDescriptor) {
            self.index = index
            self.term = term
            self.descriptor = descriptor
        }
    }

    /// The members at the index of a leader's snapshot that becomes current: of no account before its mark is there;
    /// from then on they take the place of all configurations up to it.
    package struct Installation: Hashable, Sendable {
        package var snapshot: LogIndex
        /// Zero for those that the group was created with.
        package var index: LogIndex
        package var descriptor: GroupDescriptor

        package init(snapshot: LogIndex, index: LogIndex, descriptor: GroupDescriptor) {
            self.snapshot = snapshot
            self.index = index
            self.descriptor = descriptor
        }
    }

    package var doubt: LogDoubt
    /// Ascending by index; all of the log, and the last one that the snapshot covers.
    package var configurations: [Configuration] = []
    package var installation: Installation?

    package init(_ doubt: LogDoubt) { self.doubt = doubt }

    /// The configurations that count for a log that begins behind `base`.
    /// - Parameter term: of the log's entries; nil where it has none.
    package func configurations(base: LogIndex, term: (LogIndex) -> Term?) -> [Configuration] {
        func counts(_ configuration: Configuration) -> Bool {
            guard configuration.index > base else { return true }
            guard let term = term(configuration.index) else { return false }
            // A snapshot covered the entry when it was noted, so it is committed, whatever snapshot is left.
            return configuration.term == term || configuration.term == .zero
        }
        guard let installation, installation.snapshot == base else { return configurations.filter(counts) }
        let installed = Configuration(index: installation.index, term: .zero, descriptor: installation.descriptor)
        return (installed.index > .zero ? [installed] : [])
            + configurations.filter { $0.index > base && counts($0) }
    }
}

extension ReplicaNote {
    package func encoded() -> Bytes {
        var writer = ByteWriter(capacity: 32)
        writer.write(UInt8(3))
        writer.write(doubt.transferredThrough.rawValue)
        writer.writeVarint(UInt64(configurations.count))
        for configuration in configurations {
            writer.write(configuration.index.rawValue)
            writer.write(configuration.term.rawValue)
            writer.writeLengthPrefixed(configuration.descriptor.encoded())
        }
        writer.write(UInt8(installation == nil ? 0 : 1))
        if let installation {
            writer.write(installation.snapshot.rawValue)
            writer.write(installation.index.rawValue)
            writer.writeLengthPrefixed(installation.descriptor.encoded())
        }
        writer.write(doubt.lostThrough.rawValue)
        return writer.take()
    }

    /// - Throws: `DecodingFailure` for another version or length.
    package init(decoding bytes: Bytes) throws(DecodingFailure) {
        self = try bytes.withUnsafeBytes { buffer throws(DecodingFailure) in
            var reader = ByteReader(buffer)
            let version = try reader.read(UInt8.self)
            guard (1...3).contains(version) else { throw .invalid("replica note version") }
            var note = ReplicaNote(LogDoubt(transferredThrough: LogIndex(try reader.read())))
            if version > 1 { try note.decodeMembers(&reader) }
            note.doubt.lostThrough = version > 2 ? LogIndex(try reader.read()) : note.doubt.transferredThrough
            guard reader.isAtEnd else { throw .invalid("replica note length") }
            return note
        }
    }

    private mutating func decodeMembers(_ reader: inout ByteReader) throws(DecodingFailure) {
        let count = try reader.readVarint()
        var last = LogIndex.zero
        for _ in 0..<min(count, UInt64(reader.remaining)) {
            let index = LogIndex(try reader.read())
            let term = Term(try reader.read())
            guard index > last else { throw .invalid("configuration order") }
            last = index
            configurations.append(
                Configuration(index: index, term: term, descriptor: try GroupDescriptor(lengthPrefixed: &reader)))
        }
        switch try reader.read(UInt8.self) {
        case 0: break
        case 1:
            installation = Installation(
                snapshot: LogIndex(try reader.read()), index: LogIndex(try reader.read()),
                descriptor: try GroupDescriptor(lengthPrefixed: &reader))
        default: throw .invalid("installation flag")
        }
    }
}

extension GroupDescriptor {
    /// The longest encoding.
    private static let sizeLimit = 512

    init(lengthPrefixed reader: inout ByteReader) throws(DecodingFailure) {
        try self.init(decoding: Bytes(copying: try reader.readLengthPrefixed(limit: GroupDescriptor.sizeLimit)))
    }
}
