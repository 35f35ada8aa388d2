public import Primitives

/// Reads the command headers of a batch or an entry, one by one and in place. The bytes are not trusted.
public struct CommandReader {
    private var reader: ByteReader

    /// The memory must outlive the reader.
    public init(_ headers: UnsafeRawBufferPointer) { reader = ByteReader(headers) }

    /// Bytes read so far.
    public var offset: Int { reader.offset }

    /// The next command; nil at the end.
    /// - Throws: at the first header that is not well-formed. The reader must not be used afterwards.
    public mutating func next() throws(DecodingFailure) -> Command? {
        if reader.isAtEnd { return nil }
        guard let tag = CommandTag(rawValue: try reader.read()) else { throw .invalid("command") }
        switch tag {
        case .session: return try readSession()
        case .open: return .open
        case .close: return .close
        case .enqueue: return .enqueue(try readEnqueue())
        case .attach:
            let consumer = try readConsumer()
            return .attach(consumer: consumer, try ConsumerOptions(decoding: &reader))
        case .detach: return .detach(consumer: try readConsumer())
        case .prefetch:
            let consumer = try readConsumer()
            return .setPrefetch(consumer: consumer, try reader.readVarint32("prefetch"))
        case .settle:
            let consumer = try reader.readVarint32("consumer number")
            return .settle(consumer: consumer, try readNumbers())
        case .return:
            let counted = try readFlag()
            let consumer = try reader.readVarint32("consumer number")
            return .return(consumer: consumer, try readNumbers(), counted: counted)
        case .discard:
            let consumer = try reader.readVarint32("consumer number")
            return .discard(consumer: consumer, try readNumbers())
        case .get: return .get(autoAck: try readFlag())
        case .purge: return .purge
        case .gatewayDown: return .gatewayDown(NodeID(try reader.read()))
        case .gatewayUp:
            let node = NodeID(try reader.read())
            return .gatewayUp(node, Incarnation(try reader.read()))
        case .gatewayExpired: return .gatewayExpired(NodeID(try reader.read()))
        case .detachUnknown: return .detachUnknown(try ConsumerID(decoding: &reader))
        case .tick: return .tick
        }
    }

    private mutating func readSession() throws(DecodingFailure) -> Command {
        let id = try SessionID(decoding: &reader)
        let first = try reader.readVarint()
        let lowWater = try reader.readVarint()
        guard first >= 1 && max(first, lowWater) <= CommandLimits.number else { throw .invalid("sequence") }
        return .session(id, firstSequence: first, lowWater: lowWater)
    }

    private mutating func readEnqueue() throws(DecodingFailure) -> EnqueueRun {
        let flags = try reader.read(UInt8.self)
        guard flags < 4 else { throw .invalid("enqueue flags") }
        let count = Int(try reader.read(UInt16.self))
        guard (1...EntryHeader.commandLimit).contains(count) else { throw .invalid("enqueue count") }
        let length = Int(try reader.read(UInt32.self))
        let priority = flags & 1 != 0 ? try reader.read(UInt8.self) : nil
        let expiration = flags & 2 != 0 ? try reader.readVarint() : nil
        let offset = reader.offset
        try reader.skip(count * 4)
        return EnqueueRun(
            count: count, length: length, priority: priority, expiration: expiration, checksumsOffset: offset)
    }

    private mutating func readConsumer() throws(DecodingFailure) -> UInt32 {
        let number = try reader.readVarint32("consumer number")
        guard number != 0 else { throw .invalid("consumer number") }
        return number
    }

    private mutating func readNumbers() throws(DecodingFailure) -> ClosedRange<UInt64> {
        let first = try reader.readVarint()
        let more = try reader.readVarint()
        guard first >= 1 && first <= CommandLimits.number && more <= CommandLimits.number - first else {
            throw .invalid("delivery numbers")
        }
        return first...first + more
    }

    private mutating func readFlag() throws(DecodingFailure) -> Bool {
        let flags = try reader.read(UInt8.self)
        guard flags < 2 else { throw .invalid("flags") }
        return flags == 1
    }
}
