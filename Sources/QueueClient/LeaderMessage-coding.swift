public import Primitives
import QuorumQueue

extension LeaderMessage {
    private enum Tag: UInt8 {
        case notLeader = 1
        case resumeNeeded = 2
        case resumed = 3
        case events = 4
        case status = 5
        case groupGone = 6
    }

    /// Writes a tag (u8) and the message's fields: counters as varints, byte strings behind a varint length.
    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .notLeader(let epoch, let term, let hint):
            writer.write(Tag.notLeader.rawValue)
            writer.writeVarint(epoch)
            writer.writeVarint(term.rawValue)
            writer.write(hint?.rawValue ?? 0)
        case .resumeNeeded(let epoch):
            writer.write(Tag.resumeNeeded.rawValue)
            writer.writeVarint(epoch)
        case .resumed(let reply):
            writer.write(Tag.resumed.rawValue)
            reply.encode(into: &writer)
        case .events(let stretch):
            writer.write(Tag.events.rawValue)
            stretch.encode(into: &writer)
        case .status(let requestID, let ready, let unacknowledged, let consumers):
            writer.write(Tag.status.rawValue)
            writer.writeVarint(requestID)
            writer.writeVarint(ready)
            writer.writeVarint(unacknowledged)
            writer.writeVarint(consumers)
        case .groupGone:
            writer.write(Tag.groupGone.rawValue)
        }
    }

    /// Reads a message that fills `bytes`, and shares its memory with the bodies of deliveries.
    /// - Throws: on anything malformed.
    public init(decoding bytes: Bytes) throws(DecodingFailure) {
        self = try bytes.withUnsafeBytes { buffer throws(DecodingFailure) in
            var reader = ByteReader(buffer)
            guard let tag = Tag(rawValue: try reader.read()) else { throw .invalid("leader message") }
            let message = try LeaderMessage(tag, decoding: &reader, of: bytes)
            guard reader.isAtEnd else { throw .invalid("leader message length") }
            return message
        }
    }

    private init(_ tag: Tag, decoding reader: inout ByteReader, of bytes: Bytes) throws(DecodingFailure) {
        switch tag {
        case .notLeader:
            let epoch = try reader.readVarint()
            let term = Term(try reader.readVarint())
            let hint = try reader.read(UInt16.self)
            self = .notLeader(epoch: epoch, term: term, hint: hint == 0 ? nil : NodeID(hint))
        case .resumeNeeded: self = .resumeNeeded(epoch: try reader.readVarint())
        case .resumed: self = .resumed(try ResumeReply(decoding: &reader))
        case .events: self = .events(try LeaderEvents(decoding: &reader, of: bytes))
        case .status:
            let requestID = try reader.readVarint()
            let ready = try reader.readVarint()
            let unacknowledged = try reader.readVarint()
            self = .status(
                requestID: requestID, ready: ready, unacknowledged: unacknowledged, consumers: try reader.readVarint())
        case .groupGone: self = .groupGone
        }
    }
}

extension ResumeReply {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.writeVarint(epoch)
        writer.writeVarint(term.rawValue)
        writer.writeVarint(acceptedThrough)
        for list in [sessions, unlisted] {
            writer.writeVarint(UInt64(list.count))
            for session in list {
                writer.writeVarint(session.number)
                // Applied numbers start at 1: the open is applied, or there is no session.
                writer.writeVarint(session.lastApplied ?? 0)
            }
        }
    }

    fileprivate init(decoding reader: inout ByteReader) throws(DecodingFailure) {
        epoch = try reader.readVarint()
        term = Term(try reader.readVarint())
        acceptedThrough = try reader.readVarint()
        sessions = try ResumeReply.list(decoding: &reader)
        unlisted = try ResumeReply.list(decoding: &reader)
    }

    private static func list(decoding reader: inout ByteReader) throws(DecodingFailure) -> [SessionProgress] {
        let count = try reader.readVarint()
        guard count <= ClientMessage.sessionLimit, count <= UInt64(reader.remaining) else {
            throw .invalid("number of sessions")
        }
        var list: [SessionProgress] = []
        list.reserveCapacity(Int(count))
        for _ in 0..<count {
            let number = try reader.readVarint()
            let applied = try reader.readVarint()
            guard max(number, applied) <= CommandLimits.number else { throw .invalid("session progress") }
            list.append(SessionProgress(number: number, lastApplied: applied == 0 ? nil : applied))
        }
        return list
    }
}

extension LeaderEvents {
    /// Most events in a message.
    static let limit = 1 << 16

    fileprivate func encode(into writer: inout ByteWriter) {
        writer.writeVarint(epoch)
        writer.writeVarint(number)
        writer.write(gateway.node.rawValue)
        writer.write(gateway.shard)
        writer.write(incarnation.rawValue)
        writer.writeVarint(UInt64(events.count))
        for event in events { event.encode(into: &writer) }
    }

    fileprivate init(decoding reader: inout ByteReader, of bytes: Bytes) throws(DecodingFailure) {
        epoch = try reader.readVarint()
        number = try reader.readVarint()
        gateway = GatewayID(node: NodeID(try reader.read()), shard: try reader.read())
        incarnation = Incarnation(try reader.read())
        let count = try reader.readVarint()
        guard count <= UInt64(LeaderEvents.limit), count <= UInt64(reader.remaining) else {
            throw .invalid("number of events")
        }
        events = []
        events.reserveCapacity(Int(count))
        for _ in 0..<count { events.append(try LeaderEvent(decoding: &reader, of: bytes)) }
    }
}
