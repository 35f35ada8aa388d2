package import Primitives

/// What one message in a peer payload is about. A payload holds any number of messages, one behind the other:
///
///     u8 kind, u64 group, u32 length, content
///
/// The link has checked the payload's CRC32C; lengths are still never trusted.
public enum PeerMessageKind: UInt8, Sendable {
    /// A `RaftMessage`; behind an append, its encoded entries.
    case raft = 1
    /// A `ClientMessage` from a gateway to the leader of the group.
    case client = 2
    /// A `LeaderMessage` from the leader of the group to a gateway.
    case leader = 3
    /// Topology commands for the leader of the topology group, as an entry's command headers.
    case topologyCommands = 4
    /// The groups, with their terms, that the sender believes the receiver leads: (u64 group, u64 term) each.
    case leadershipInquiry = 5
    /// The groups of an inquiry that the sender does not lead, in the same form.
    case leadershipDenial = 6
    /// From broker to broker: messages of transient queues.
    case gateway = 7
    /// A `SnapshotMessage`.
    case snapshot = 8
    /// Entries that the sender's disk lost: (u64 index, u64 term) each; term 0 for one known to be committed.
    case repairRequest = 9
    /// Encoded entries, as far as the sender has them.
    case repair = 10
}

/// Collects the messages of one loop tick for one peer.
package struct PeerOutbox: ~Copyable {
    private var writer = ByteWriter()
    private var closed: [Bytes] = []
    /// Bytes of `closed`.
    private var closedBytes = 0

    /// Size at which a payload is closed, so that one link frame stays small.
    private static let payloadLimit = 1 << 20

    package init() {}

    package var isEmpty: Bool { writer.isEmpty && closed.isEmpty }

    package var byteCount: Int { closedBytes + writer.count }

    /// Appends one message; `content` writes it, `sizeHint` is what it is likely to take.
    package mutating func append(
        _ kind: PeerMessageKind, group: GroupID, sizeHint: Int = 64, _ content: (inout ByteWriter) -> Void
    ) {
        if writer.isEmpty { writer = ByteWriter(capacity: max(4_096, sizeHint + 64)) }
        writer.write(kind.rawValue)
        writer.write(group.rawValue)
        writer.write(UInt32(0))
        let start = writer.count
        content(&writer)
        writer.overwrite(at: start - 4, with: UInt32(writer.count - start))
        guard writer.count >= PeerOutbox.payloadLimit else { return }
        closedBytes += writer.count
        closed.append(writer.take())
    }

    /// The payloads of the tick; the outbox is empty afterwards.
    package mutating func take() -> [Bytes] {
        if !writer.isEmpty { closed.append(writer.take()) }
        defer {
            closed = []
            closedBytes = 0
        }
        return closed
    }
}

/// Iterates the messages of a payload.
package struct PeerPayloadReader {
    private let payload: Bytes
    private var offset = 0

    package init(_ payload: Bytes) { self.payload = payload }

    /// The next message, nil at the end.
    ///
    /// - Throws: `DecodingFailure` when the payload is malformed; nothing behind that point can be read.
    package mutating func next() throws(DecodingFailure) -> (kind: PeerMessageKind, group: GroupID, content: Bytes)? {
        guard offset < payload.count else { return nil }
        let rest = payload[offset..<payload.count]
        let head = try rest.withUnsafeBytes { buffer throws(DecodingFailure) -> (PeerMessageKind, GroupID, Int) in
            var reader = ByteReader(buffer)
            guard let kind = PeerMessageKind(rawValue: try reader.read()) else { throw .invalid("peer message kind") }
            let group = GroupID(try reader.read(UInt64.self))
            let length = Int(try reader.read(UInt32.self))
            guard length <= reader.remaining else { throw .truncated }
            return (kind, group, length)
        }
        let start = offset + PeerPayloadReader.headLength
        offset = start + head.2
        return (head.0, head.1, payload[start..<offset])
    }

    private static let headLength = 13
}
