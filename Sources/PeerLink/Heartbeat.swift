public import Primitives

/// What a node tells each peer every interval, on a connection of its own.
///
/// Later versions append fields; a decoder ignores what follows the ones it knows.
public struct Heartbeat: Hashable, Sendable {
    /// The sender.
    public var node: NodeID
    /// The sender's process.
    public var incarnation: Incarnation
    /// Counts the heartbeats of the sender's process to this peer, from 1.
    public var sequence: UInt64
    /// The sender's monotonic clock; comparable only with other heartbeats of the same incarnation.
    public var sentAt: Instant
    /// Age of the sender's oldest unfinished fdatasync; zero when none is under way.
    public var diskAge: Interval
    /// How long the sender's slowest event loop has been due for a turn; zero when it turns.
    public var loopAge: Interval
    /// Digest of the groups that the sender leads and this peer follows, with their terms.
    public var digest: UInt64

    /// Collects what a heartbeat says.
    public init(
        node: NodeID, incarnation: Incarnation, sequence: UInt64, sentAt: Instant, diskAge: Interval = .zero,
        loopAge: Interval = .zero, digest: UInt64 = 0
    ) {
        self.node = node
        self.incarnation = incarnation
        self.sequence = sequence
        self.sentAt = sentAt
        self.diskAge = diskAge
        self.loopAge = loopAge
        self.digest = digest
    }

    /// Appends the fields, little-endian.
    public func encode(into writer: inout ByteWriter) {
        writer.write(node.rawValue)
        writer.write(incarnation.rawValue)
        writer.write(sequence)
        writer.write(sentAt.nanoseconds)
        writer.write(diskAge.nanoseconds)
        writer.write(loopAge.nanoseconds)
        writer.write(digest)
    }

    /// Reads the fields; throws `DecodingFailure` when they are not all there.
    public init(decoding reader: inout ByteReader) throws(DecodingFailure) {
        node = NodeID(try reader.read())
        incarnation = Incarnation(try reader.read())
        sequence = try reader.read()
        sentAt = Instant(nanoseconds: try reader.read())
        diskAge = Interval(nanoseconds: try reader.read())
        loopAge = Interval(nanoseconds: try reader.read())
        digest = try reader.read()
    }
}
