/// The kind of a log entry.
public enum EntryKind: UInt8, Sendable {
    /// Appended by a new leader so that it can commit (Raft dissertation, section 6.4).
    case noop = 1
    /// A batch of commands for the group's state machine.
    case commands = 2
    /// A change of the group's members.
    case configuration = 3
}

/// The fixed head of an encoded entry. The encoding is one and the same in memory, on the link and on disk.
///
/// Layout, little-endian, version 1:
///
///     0  u32 checksum      CRC32C of bytes 4 ..< 48 + headersLength
///     4  u8  version       1
///     5  u8  kind          EntryKind
///     6  u16 flags         0
///     8  u32 headersLength command headers, at most 1 MiB
///    12  u32 bodiesLength  message bodies
///    16  u64 group
///    24  u64 index
///    32  u64 term
///    40  u64 timestamp     wall-clock milliseconds, max(previous, now)
///    48  command headers, then bodies
///
/// The checksum leaves the bodies out: each has a CRC32C of its own in the headers, so a body can be dropped when an
/// entry is relocated and the rest stays verifiable.
public struct EntryHeader: Hashable, Sendable {
    /// Bytes of the head.
    public static let size = 48
    /// The version that is written and read.
    public static let version: UInt8 = 1
    /// Most commands in one entry.
    public static let commandLimit = 4_096
    /// Bytes of headers and bodies at which a batch is closed; a single larger message is the exception.
    public static let sizeLimit = 1 << 20

    /// CRC32C of what follows it up to the bodies.
    public var checksum: UInt32
    /// What the entry is.
    public var kind: EntryKind
    /// Bytes of the command headers.
    public var headersLength: Int
    /// Bytes of the bodies.
    public var bodiesLength: Int
    /// The group whose log it is in.
    public var group: GroupID
    /// Its place in that log.
    public var index: LogIndex
    /// The term of the leader that made it.
    public var term: Term
    /// When it was made; never before an earlier entry of the log.
    public var timestamp: WallTime

    /// Bytes of the whole encoded entry.
    @inlinable public var encodedLength: Int { EntryHeader.size + headersLength + bodiesLength }

    /// Reads the head and checks its form and the lengths against `buffer`; the checksum is left to `Entry.verify`.
    public init(decoding buffer: UnsafeRawBufferPointer) throws(DecodingFailure) {
        var reader = ByteReader(buffer)
        checksum = try reader.read()
        guard try reader.read(UInt8.self) == EntryHeader.version else { throw .invalid("entry version") }
        guard let kind = EntryKind(rawValue: try reader.read()) else { throw .invalid("entry kind") }
        self.kind = kind
        guard try reader.read(UInt16.self) == 0 else { throw .invalid("entry flags") }
        headersLength = Int(try reader.read(UInt32.self))
        bodiesLength = Int(try reader.read(UInt32.self))
        group = GroupID(try reader.read())
        index = LogIndex(try reader.read())
        term = Term(try reader.read())
        timestamp = WallTime(milliseconds: try reader.read())
        guard encodedLength <= buffer.count else { throw .truncated }
    }
}

/// One encoded entry of a group's log: the header and its bytes.
public struct Entry: Sendable {
    /// The decoded head.
    public let header: EntryHeader
    /// The whole encoding, header included.
    public let bytes: Bytes

    /// Its place in the log.
    @inlinable public var index: LogIndex { header.index }
    /// The term of the leader that made it.
    @inlinable public var term: Term { header.term }
    /// The group whose log it is in.
    @inlinable public var group: GroupID { header.group }
    /// The command headers, in place.
    @inlinable public var headers: Bytes { bytes[EntryHeader.size..<EntryHeader.size + header.headersLength] }
    /// The message bodies, in place, one behind the other.
    @inlinable public var bodies: Bytes {
        bytes[EntryHeader.size + header.headersLength..<header.encodedLength]
    }

    /// Takes bytes that hold exactly one entry.
    public init(_ bytes: Bytes) throws(DecodingFailure) {
        let header = try bytes.withUnsafeBytes { buffer throws(DecodingFailure) in try EntryHeader(decoding: buffer) }
        guard header.encodedLength == bytes.count else { throw .invalid("entry length") }
        self.header = header
        self.bytes = bytes
    }

    /// Encodes an entry.
    public init(
        kind: EntryKind, group: GroupID, index: LogIndex, term: Term, timestamp: WallTime,
        headers: UnsafeRawBufferPointer, bodies: UnsafeRawBufferPointer
    ) {
        var writer = ByteWriter(capacity: EntryHeader.size + headers.count + bodies.count)
        writer.write(UInt32(0))
        writer.write(EntryHeader.version)
        writer.write(kind.rawValue)
        writer.write(UInt16(0))
        writer.write(UInt32(headers.count))
        writer.write(UInt32(bodies.count))
        writer.write(group.rawValue)
        writer.write(index.rawValue)
        writer.write(term.rawValue)
        writer.write(timestamp.milliseconds)
        writer.write(headers)
        let checksum = writer.withUnsafeBytes { CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[4...])) }
        writer.overwrite(at: 0, with: checksum)
        writer.write(bodies)
        var header = Entry.blank
        header.checksum = checksum
        header.kind = kind
        header.headersLength = headers.count
        header.bodiesLength = bodies.count
        header.group = group
        header.index = index
        header.term = term
        header.timestamp = timestamp
        self.header = header
        self.bytes = writer.take()
    }

    private static let blank = EntryHeader(
        checksum: 0, kind: .noop, headersLength: 0, bodiesLength: 0, group: .topology, index: .zero, term: .zero,
        timestamp: .zero)

    /// Whether the header's checksum holds. The bodies are vouched for by the checksums inside the headers.
    public var isIntact: Bool {
        bytes.withUnsafeBytes { buffer in
            let end = EntryHeader.size + header.headersLength
            return CRC32C.checksum(UnsafeRawBufferPointer(rebasing: buffer[4..<end])) == header.checksum
        }
    }
}

extension EntryHeader {
    init(
        checksum: UInt32, kind: EntryKind, headersLength: Int, bodiesLength: Int, group: GroupID, index: LogIndex,
        term: Term, timestamp: WallTime
    ) {
        self.checksum = checksum
        self.kind = kind
        self.headersLength = headersLength
        self.bodiesLength = bodiesLength
        self.group = group
        self.index = index
        self.term = term
        self.timestamp = timestamp
    }
}

extension Entry {
    /// The same entry in memory of its own: what a slice of a larger buffer needs before it is kept.
    public func compacted() -> Entry { Entry(header: header, bytes: bytes.compacted()) }

    private init(header: EntryHeader, bytes: Bytes) {
        self.header = header
        self.bytes = bytes
    }
}
