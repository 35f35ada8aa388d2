import Primitives
import QuorumQueue

extension LeaderEvent {
    private enum Tag: UInt8 {
        case applied = 1
        case outcome = 2
        case refused = 3
        case outOfSequence = 4
        case sessionClosed = 5
        case deliver = 6
        case redeliver = 7
    }

    func encode(into writer: inout ByteWriter) {
        switch self {
        case .applied(let session, let through):
            LeaderEvent.begin(.applied, session, into: &writer)
            writer.writeVarint(through)
        case .outcome(let session, let sequence, let outcome):
            LeaderEvent.begin(.outcome, session, into: &writer)
            writer.writeVarint(sequence)
            outcome.encode(into: &writer)
        case .refused(let session, let reason):
            LeaderEvent.begin(.refused, session, into: &writer)
            writer.write(reason.rawValue)
        case .outOfSequence(let session, let expected):
            LeaderEvent.begin(.outOfSequence, session, into: &writer)
            writer.writeVarint(expected)
        case .sessionClosed(let session):
            LeaderEvent.begin(.sessionClosed, session, into: &writer)
        case .deliver(let session, let consumer, let firstNumber, let deliveryCount, let redelivered, let bodies):
            writer.reserve(64 + bodies.bytes.count + bodies.count * 5)
            LeaderEvent.begin(redelivered ? .redeliver : .deliver, session, into: &writer)
            writer.writeVarint(UInt64(consumer))
            writer.writeVarint(firstNumber)
            writer.writeVarint(UInt64(deliveryCount))
            writer.writeVarint(UInt64(bodies.count))
            for place in bodies.indices { writer.writeVarint(UInt64(bodies.length(of: place))) }
            writer.write(bodies.bytes)
        }
    }

    private static func begin(_ tag: Tag, _ session: UInt64, into writer: inout ByteWriter) {
        writer.write(tag.rawValue)
        writer.writeVarint(session)
    }

    init(decoding reader: inout ByteReader, of bytes: Bytes) throws(DecodingFailure) {
        guard let tag = Tag(rawValue: try reader.read()) else { throw .invalid("leader event") }
        let session = try reader.readVarint()
        switch tag {
        case .applied: self = .applied(session: session, through: try reader.readVarint())
        case .outcome:
            let sequence = try reader.readVarint()
            self = .outcome(session: session, sequence: sequence, try Outcome(decoding: &reader))
        case .refused:
            guard let reason = SessionRefusal(rawValue: try reader.read()) else { throw .invalid("refusal") }
            self = .refused(session: session, reason)
        case .outOfSequence: self = .outOfSequence(session: session, expected: try reader.readVarint())
        case .sessionClosed: self = .sessionClosed(session: session)
        case .deliver, .redeliver:
            self = try LeaderEvent(
                session: session, redelivered: tag == .redeliver, decoding: &reader, of: bytes)
        }
    }

    private init(
        session: UInt64, redelivered: Bool, decoding reader: inout ByteReader, of bytes: Bytes
    ) throws(DecodingFailure) {
        guard let consumer = UInt32(exactly: try reader.readVarint()) else { throw .invalid("consumer number") }
        let first = try reader.readVarint()
        guard first >= 1, first <= CommandLimits.number, let count = UInt32(exactly: try reader.readVarint()) else {
            throw .invalid("delivery")
        }
        self = .deliver(
            session: session, consumer: consumer, firstNumber: first, deliveryCount: count, redelivered: redelivered,
            bodies: try MessageBodies(decoding: &reader, of: bytes))
    }
}

extension MessageBodies {
    fileprivate init(decoding reader: inout ByteReader, of bytes: Bytes) throws(DecodingFailure) {
        let count = try reader.readVarint()
        guard count >= 1, count <= UInt64(EntryHeader.commandLimit) else { throw .invalid("number of bodies") }
        if count == 1 {
            self.init(try reader.readSlice(of: bytes))
            return
        }
        var lengths: [Int] = []
        lengths.reserveCapacity(Int(count))
        var total = 0
        for _ in 0..<count {
            let length = try reader.readVarint()
            guard length <= UInt64(reader.remaining) else { throw .truncated }
            lengths.append(Int(length))
            total += Int(length)
        }
        guard total <= Int(UInt32.max) else { throw .invalid("length of bodies") }
        _ = try reader.readBytes(total)
        self.init(bytes[reader.offset - total..<reader.offset], lengths: lengths)
    }
}
