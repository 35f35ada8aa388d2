package import Primitives

/// The dialogue by which a follower that is behind the leader's log gets a snapshot. The leader offers; the follower
/// asks for one part after the other, each when the one before is on its disk, so that a transfer needs bounded memory
/// and goes on where it was after a broken link.
///
/// Layout, little-endian: u8 kind, u64 index and u64 term of the snapshot, then what the case says.
package enum SnapshotMessage: Sendable {
    /// Leader: there is a snapshot. u64 term of the leader, u64 byte count, then the live ranges: varint count, and for
    /// each varint distance from the end of the one before and varint length - 1; then, when an entry brought the
    /// members at the snapshot's index, u64 index of the entry and the descriptor, length-prefixed.
    case offer(SnapshotOffer)
    /// Follower: send the live entries above `after`, or, when there are none, the state's bytes from `offset` on.
    /// u64 after, u64 offset.
    case request(SnapshotName, after: LogIndex, offset: Int)
    /// Leader: the live entries above `after` up to `through`, as far as they are still needed. u64 after, u64
    /// through, then the encoded entries.
    case entries(SnapshotName, after: LogIndex, through: LogIndex, [Entry])
    /// Leader: bytes of the state from `offset` on. u64 offset, then the bytes.
    case chunk(SnapshotName, offset: Int, Bytes)
}

/// The last entry that a snapshot covers.
package struct SnapshotName: Hashable, Sendable {
    package var index: LogIndex
    package var term: Term

    package init(index: LogIndex, term: Term) {
        self.index = index
        self.term = term
    }
}

/// What a follower must know of a snapshot before it asks for it.
package struct SnapshotOffer: Hashable, Sendable {
    package var name: SnapshotName
    /// The term that the sender leads in.
    package var leaderTerm: Term
    /// Bytes of the state, compressed.
    package var byteCount: Int
    /// The entries at or below the snapshot's index that are still needed; ascending and disjoint.
    package var live: [ClosedRange<LogIndex>]
    /// The members at the snapshot's index; nil for those that the group was created with.
    package var configuration: Configuration?

    /// Members and the entry that brought them.
    package struct Configuration: Hashable, Sendable {
        package var index: LogIndex
        package var descriptor: GroupDescriptor

        package init(index: LogIndex, descriptor: GroupDescriptor) {
            self.index = index
            self.descriptor = descriptor
        }
    }

    package init(
        name: SnapshotName, leaderTerm: Term, byteCount: Int, live: [ClosedRange<LogIndex>],
        configuration: Configuration? = nil
    ) {
        self.name = name
        self.leaderTerm = leaderTerm
        self.byteCount = byteCount
        self.live = live
        self.configuration = configuration
    }
}

extension SnapshotMessage {
    private enum Kind: UInt8 {
        case offer = 1
        case request = 2
        case entries = 3
        case chunk = 4
    }

    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .offer(let offer):
            SnapshotMessage.head(.offer, offer.name, into: &writer)
            writer.write(offer.leaderTerm.rawValue)
            writer.write(UInt64(offer.byteCount))
            writer.writeVarint(UInt64(offer.live.count))
            var end = LogIndex.zero
            for range in offer.live {
                writer.writeVarint(range.lowerBound - end)
                writer.writeVarint(range.upperBound - range.lowerBound)
                end = range.upperBound
            }
            if let configuration = offer.configuration {
                writer.write(configuration.index.rawValue)
                writer.writeLengthPrefixed(configuration.descriptor.encoded())
            }
        case .request(let name, let after, let offset):
            SnapshotMessage.head(.request, name, into: &writer)
            writer.write(after.rawValue)
            writer.write(UInt64(offset))
        case .entries(let name, let after, let through, let entries):
            SnapshotMessage.head(.entries, name, into: &writer)
            writer.write(after.rawValue)
            writer.write(through.rawValue)
            for entry in entries { writer.write(entry.bytes) }
        case .chunk(let name, let offset, let bytes):
            SnapshotMessage.head(.chunk, name, into: &writer)
            writer.write(UInt64(offset))
            writer.write(bytes)
        }
    }

    private static func head(_ kind: Kind, _ name: SnapshotName, into writer: inout ByteWriter) {
        writer.write(kind.rawValue)
        writer.write(name.index.rawValue)
        writer.write(name.term.rawValue)
    }

    /// - Throws: `DecodingFailure` for anything that is not one message of `group`.
    package init(decoding content: Bytes, group: GroupID) throws(DecodingFailure) {
        let (message, offset) = try content.withUnsafeBytes { buffer throws(DecodingFailure) in
            var reader = ByteReader(buffer)
            guard let kind = Kind(rawValue: try reader.read()) else { throw .invalid("snapshot message kind") }
            let name = SnapshotName(index: LogIndex(try reader.read()), term: Term(try reader.read()))
            let message = try SnapshotMessage(kind, name, decoding: &reader)
            return (message, reader.offset)
        }
        switch message {
        case .entries(let name, let after, let through, _):
            let entries = try SnapshotMessage.entries(in: content[offset..<content.count], group: group)
            self = .entries(name, after: after, through: through, entries)
        case .chunk(let name, let start, _):
            self = .chunk(name, offset: start, content[offset..<content.count])
        case .offer, .request:
            guard offset == content.count else { throw .invalid("snapshot message length") }
            self = message
        }
    }

    private init(_ kind: Kind, _ name: SnapshotName, decoding reader: inout ByteReader) throws(DecodingFailure) {
        switch kind {
        case .offer:
            let term = Term(try reader.read())
            let byteCount = Int(clamping: try reader.read(UInt64.self))
            guard byteCount <= GroupState.compressedLimit else { throw .invalid("snapshot size") }
            let live = try SnapshotMessage.ranges(&reader, through: name.index)
            var offer = SnapshotOffer(name: name, leaderTerm: term, byteCount: byteCount, live: live)
            if !reader.isAtEnd { offer.configuration = try SnapshotMessage.configuration(&reader, upTo: name.index) }
            self = .offer(offer)
        case .request:
            let after = LogIndex(try reader.read())
            let offset = Int(clamping: try reader.read(UInt64.self))
            self = .request(name, after: after, offset: offset)
        case .entries:
            let after = LogIndex(try reader.read())
            self = .entries(name, after: after, through: LogIndex(try reader.read()), [])
        case .chunk:
            self = .chunk(name, offset: Int(clamping: try reader.read(UInt64.self)), Bytes())
        }
    }

    private static func configuration(
        _ reader: inout ByteReader, upTo last: LogIndex
    ) throws(DecodingFailure) -> SnapshotOffer.Configuration {
        let index = LogIndex(try reader.read())
        guard index > .zero, index <= last else { throw .invalid("configuration index") }
        return SnapshotOffer.Configuration(index: index, descriptor: try GroupDescriptor(lengthPrefixed: &reader))
    }

    private static func ranges(
        _ reader: inout ByteReader, through last: LogIndex
    ) throws(DecodingFailure) -> [ClosedRange<LogIndex>] {
        let count = Int(clamping: try reader.readVarint())
        // Each takes two octets at least.
        guard count <= reader.remaining / 2 else { throw .truncated }
        var ranges: [ClosedRange<LogIndex>] = []
        ranges.reserveCapacity(count)
        var end: UInt64 = 0
        for _ in 0..<count {
            let (first, isAbove) = end.addingReportingOverflow(try reader.readVarint())
            let (final, isTooLong) = first.addingReportingOverflow(try reader.readVarint())
            guard !isAbove, !isTooLong, first > end, final <= last.rawValue else { throw .invalid("live range") }
            ranges.append(LogIndex(first)...LogIndex(final))
            end = final
        }
        return ranges
    }

    package static func entries(in content: Bytes, group: GroupID) throws(DecodingFailure) -> [Entry] {
        var entries: [Entry] = []
        var start = 0
        while start < content.count {
            let rest = content[start..<content.count]
            let header = try rest.withUnsafeBytes { buffer throws(DecodingFailure) in
                try EntryHeader(decoding: buffer)
            }
            let entry = try Entry(rest[0..<header.encodedLength])
            guard entry.group == group, entry.isIntact else { throw .invalid("snapshot entry") }
            entries.append(entry)
            start += header.encodedLength
        }
        return entries
    }
}
