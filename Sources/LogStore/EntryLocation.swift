public import Primitives

/// Where one entry stands in the node log: 40 bytes that suffice to read and verify it.
public struct EntryLocation: Hashable, Sendable {
    /// Whose entry it is.
    public var group: GroupID
    /// Its place in the group's log.
    public var index: LogIndex
    /// The term in which a leader made it.
    public var term: Term
    /// The segment's number.
    public var segment: UInt32
    /// Bytes from the beginning of the segment's file; 0 when the place is not known (the entry is damaged).
    public var offset: UInt32
    /// Bytes of the encoded entry.
    public var length: UInt32
    /// CRC32C of the whole encoded entry, bodies included.
    public var checksum: UInt32

    /// Names a place.
    @inlinable public init(
        group: GroupID, index: LogIndex, term: Term, segment: UInt32, offset: UInt32, length: UInt32, checksum: UInt32
    ) {
        self.group = group
        self.index = index
        self.term = term
        self.segment = segment
        self.offset = offset
        self.length = length
        self.checksum = checksum
    }
}

/// A submission is durable: `fdatasync` returned after all of its records were written.
public struct LogCompletion: Sendable {
    /// The number that the caller gave with the submission.
    public var ticket: UInt64
    /// Where the submission's entries stand, in the order in which they were submitted.
    public var locations: [EntryLocation]

    /// Names what became durable.
    public init(ticket: UInt64, locations: [EntryLocation]) {
        self.ticket = ticket
        self.locations = locations
    }
}
