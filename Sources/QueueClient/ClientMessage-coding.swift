public import Primitives
import QuorumQueue

extension ClientMessage {
    private enum Tag: UInt8 {
        case commands = 1
        case resume = 2
        case status = 3
    }

    /// Most sessions in a resume, and most consumers of a session in it; beyond what a queue takes.
    static let sessionLimit: UInt64 = 1 << 17

    /// Writes a tag (u8), the gateway (u16 node, u16 shard) and the message's fields: counters as varints, byte strings
    /// behind a varint length.
    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .commands(let message):
            writer.reserve(64 + message.batch.byteCount)
            begin(.commands, into: &writer)
            writer.writeVarint(message.epoch)
            writer.writeVarint(message.number)
            writer.writeVarint(message.batchID)
            writer.writeVarint(UInt64(message.batch.commandCount))
            writer.writeLengthPrefixed(message.batch.headers)
            writer.writeLengthPrefixed(message.batch.bodies)
        case .resume(let request):
            begin(.resume, into: &writer)
            writer.write(request.incarnation.rawValue)
            writer.writeVarint(request.epoch)
            writer.writeVarint(UInt64(request.sessions.count))
            for session in request.sessions { session.encode(into: &writer) }
        case .status(_, let requestID):
            begin(.status, into: &writer)
            writer.writeVarint(requestID)
        }
    }

    private func begin(_ tag: Tag, into writer: inout ByteWriter) {
        writer.write(tag.rawValue)
        writer.write(gateway.node.rawValue)
        writer.write(gateway.shard)
    }

    /// Reads a message that fills `bytes`, and shares its memory with the batch.
    /// - Parameter node: who sent it, by the authenticated link. It speaks only for its own gateways and their
    ///   sessions.
    /// - Throws: on anything malformed; a batch is checked as `CommandReader.validate` says, body checksums left out,
    ///   as the link has its own.
    public init(decoding bytes: Bytes, from node: NodeID) throws(DecodingFailure) {
        self = try bytes.withUnsafeBytes { buffer throws(DecodingFailure) in
            var reader = ByteReader(buffer)
            guard let tag = Tag(rawValue: try reader.read()) else { throw .invalid("client message") }
            let gateway = GatewayID(node: NodeID(try reader.read()), shard: try reader.read())
            guard gateway.node == node else { throw .invalid("gateway's node") }
            let message: ClientMessage
            switch tag {
            case .commands:
                message = .commands(try CommandMessage(gateway, decoding: &reader, of: bytes))
            case .resume:
                message = .resume(try ResumeRequest(gateway, decoding: &reader))
            case .status:
                message = .status(gateway: gateway, requestID: try reader.readVarint())
            }
            guard reader.isAtEnd else { throw .invalid("client message length") }
            return message
        }
    }
}

extension CommandMessage {
    fileprivate init(
        _ gateway: GatewayID, decoding reader: inout ByteReader, of bytes: Bytes
    ) throws(DecodingFailure) {
        self.gateway = gateway
        epoch = try reader.readVarint()
        number = try reader.readVarint()
        batchID = try reader.readVarint()
        let count = try reader.readVarint()
        guard count <= UInt64(EntryHeader.commandLimit) else { throw .invalid("number of commands") }
        batch = CommandBatch(
            headers: try reader.readSlice(of: bytes), bodies: try reader.readSlice(of: bytes), commandCount: Int(count))
        try CommandReader.validate(batch, origin: .gateway(gateway.node), checksums: false)
    }
}

extension ResumeRequest {
    fileprivate init(_ gateway: GatewayID, decoding reader: inout ByteReader) throws(DecodingFailure) {
        self.gateway = gateway
        incarnation = Incarnation(try reader.read())
        epoch = try reader.readVarint()
        let count = try reader.readVarint()
        guard count <= ClientMessage.sessionLimit, count <= UInt64(reader.remaining) else {
            throw .invalid("number of sessions")
        }
        sessions = []
        sessions.reserveCapacity(Int(count))
        for _ in 0..<count {
            let session = try ResumedSession(decoding: &reader)
            if let last = sessions.last, last.number >= session.number { throw .invalid("order of sessions") }
            sessions.append(session)
        }
    }
}

extension ResumedSession {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.writeVarint(number)
        writer.writeVarint(answered)
        writer.writeVarint(lastSequence)
        writer.writeVarint(UInt64(consumers.count))
        for consumer in consumers {
            writer.writeVarint(UInt64(consumer.number))
            writer.writeVarint(consumer.received)
        }
    }

    fileprivate init(decoding reader: inout ByteReader) throws(DecodingFailure) {
        number = try reader.readVarint()
        answered = try reader.readVarint()
        lastSequence = try reader.readVarint()
        guard max(number, lastSequence) <= CommandLimits.number, answered <= lastSequence else {
            throw .invalid("session progress")
        }
        let count = try reader.readVarint()
        guard count <= ClientMessage.sessionLimit, count <= UInt64(reader.remaining) else {
            throw .invalid("number of consumers")
        }
        consumers = []
        consumers.reserveCapacity(Int(count))
        for _ in 0..<count {
            guard let consumer = UInt32(exactly: try reader.readVarint()) else { throw .invalid("consumer number") }
            let received = try reader.readVarint()
            guard received <= CommandLimits.number else { throw .invalid("delivery number") }
            if let last = consumers.last, last.number >= consumer { throw .invalid("order of consumers") }
            consumers.append(ResumedConsumer(number: consumer, received: received))
        }
    }
}

extension ByteReader {
    /// A varint length and that many bytes, as a slice of `bytes`, which is what the reader reads.
    mutating func readSlice(of bytes: Bytes) throws(DecodingFailure) -> Bytes {
        let length = try readLengthPrefixed(limit: Int(UInt32.max)).count
        return bytes[offset - length..<offset]
    }
}
