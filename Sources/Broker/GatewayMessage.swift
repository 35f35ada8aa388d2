package import Primitives
package import Topology

/// What brokers say to each other: about transient queues, which live in the memory of one of them, and about their
/// nodes' memory and disk.
///
/// Layout, little-endian, version 1: a payload is a version octet and messages one after another, each a kind octet and
/// its fields: numbers as varints, bytes with a varint length.
package enum GatewayMessage: Sendable {
    /// Stores a message. `sequence` counts the channel's publishes to the queue from 1; 0 wants no answer.
    case publish(queue: TransientID, channel: UInt64, sequence: UInt64, message: Bytes)
    /// Everything up to `through` is in the queue, or the queue is gone.
    case published(queue: TransientID, channel: UInt64, through: UInt64)
    case attach(request: UInt64, queue: TransientID, channel: UInt64, consumer: UInt32, window: UInt32, exclusive: Bool)
    case detach(queue: TransientID, channel: UInt64, consumer: UInt32)
    case window(queue: TransientID, channel: UInt64, consumer: UInt32, window: UInt32)
    case settle(queue: TransientID, channel: UInt64, consumer: UInt32, numbers: ClosedRange<UInt64>)
    case giveBack(
        queue: TransientID, channel: UInt64, consumer: UInt32, numbers: ClosedRange<UInt64>, counted: Bool)
    case get(request: UInt64, queue: TransientID, channel: UInt64)
    case purge(request: UInt64, queue: TransientID)
    case counts(request: UInt64, queue: TransientID)
    case channelGone(queue: TransientID, channel: UInt64)
    case deliver(
        channel: UInt64, consumer: UInt32, number: UInt64, deliveryCount: UInt32, redelivered: Bool, message: Bytes)
    case reply(request: UInt64, GatewayReply)
    /// Memory and disk of the sender.
    case resources(NodeResources)
}

/// The answer to a request between brokers.
package enum GatewayReply: Sendable {
    case ok
    /// Exclusive use stands in the way.
    case refused
    /// The queue, or the way to it, is gone.
    case gone
    case empty
    case got(number: UInt64, deliveryCount: UInt32, redelivered: Bool, remaining: UInt64, message: Bytes)
    case purged(UInt64)
    case counts(QueueCounts)
}

extension GatewayMessage {
    package static let version: UInt8 = 1
    /// Most bytes of one stored message.
    static let messageLimit = 1 << 30

    /// Appends kind and fields.
    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .publish(let queue, let channel, let sequence, let message):
            writer.put(1, queue.rawValue, channel, sequence)
            writer.writeLengthPrefixed(message)
        case .published(let queue, let channel, let through): writer.put(2, queue.rawValue, channel, through)
        case .attach(let request, let queue, let channel, let consumer, let window, let exclusive):
            writer.put(
                3, request, queue.rawValue, channel, UInt64(consumer), UInt64(window), exclusive ? 1 : 0)
        case .detach(let queue, let channel, let consumer): writer.put(4, queue.rawValue, channel, UInt64(consumer))
        case .window(let queue, let channel, let consumer, let window):
            writer.put(5, queue.rawValue, channel, UInt64(consumer), UInt64(window))
        case .settle(let queue, let channel, let consumer, let numbers):
            writer.put(6, queue.rawValue, channel, UInt64(consumer), numbers.lowerBound, numbers.upperBound)
        case .giveBack(let queue, let channel, let consumer, let numbers, let counted):
            writer.put(
                7, queue.rawValue, channel, UInt64(consumer), numbers.lowerBound, numbers.upperBound,
                counted ? 1 : 0)
        case .get(let request, let queue, let channel): writer.put(8, request, queue.rawValue, channel)
        case .purge(let request, let queue): writer.put(9, request, queue.rawValue)
        case .counts(let request, let queue): writer.put(10, request, queue.rawValue)
        case .channelGone(let queue, let channel): writer.put(11, queue.rawValue, channel)
        case .deliver(let channel, let consumer, let number, let deliveryCount, let redelivered, let message):
            writer.put(12, channel, UInt64(consumer), number, UInt64(deliveryCount), redelivered ? 1 : 0)
            writer.writeLengthPrefixed(message)
        case .reply(let request, let reply):
            writer.put(13, request)
            reply.encode(into: &writer)
        case .resources(let resources):
            // The highest number stands for what could not be measured.
            writer.put(
                14, UInt64(resources.alarms.rawValue), resources.reading.memoryUsed ?? .max, resources.limits.memory,
                resources.reading.diskFree ?? .max, resources.limits.diskFree)
        }
    }

    /// Reads one message.
    package init(decoding reader: inout ByteReader) throws(DecodingFailure) {
        let kind = try reader.read(UInt8.self)
        switch kind {
        case 1:
            self = .publish(
                queue: try reader.queue(), channel: try reader.readVarint(), sequence: try reader.readVarint(),
                message: Bytes(copying: try reader.readLengthPrefixed(limit: GatewayMessage.messageLimit)))
        case 2:
            self = .published(
                queue: try reader.queue(), channel: try reader.readVarint(), through: try reader.readVarint())
        case 3:
            self = .attach(
                request: try reader.readVarint(), queue: try reader.queue(), channel: try reader.readVarint(),
                consumer: try reader.number32(), window: try reader.number32(), exclusive: try reader.flag())
        case 4:
            self = .detach(
                queue: try reader.queue(), channel: try reader.readVarint(), consumer: try reader.number32())
        case 5:
            self = .window(
                queue: try reader.queue(), channel: try reader.readVarint(), consumer: try reader.number32(),
                window: try reader.number32())
        case 6:
            self = .settle(
                queue: try reader.queue(), channel: try reader.readVarint(), consumer: try reader.number32(),
                numbers: try reader.numbers())
        case 7:
            self = .giveBack(
                queue: try reader.queue(), channel: try reader.readVarint(), consumer: try reader.number32(),
                numbers: try reader.numbers(), counted: try reader.flag())
        case 8:
            self = .get(
                request: try reader.readVarint(), queue: try reader.queue(), channel: try reader.readVarint())
        case 9: self = .purge(request: try reader.readVarint(), queue: try reader.queue())
        case 10: self = .counts(request: try reader.readVarint(), queue: try reader.queue())
        case 11: self = .channelGone(queue: try reader.queue(), channel: try reader.readVarint())
        case 12:
            self = .deliver(
                channel: try reader.readVarint(), consumer: try reader.number32(), number: try reader.readVarint(),
                deliveryCount: try reader.number32(), redelivered: try reader.flag(),
                message: Bytes(copying: try reader.readLengthPrefixed(limit: GatewayMessage.messageLimit)))
        case 13:
            let request = try reader.readVarint()
            self = .reply(request: request, try GatewayReply(decoding: &reader))
        case 14: self = .resources(try reader.resources())
        default: throw .invalid("gateway message kind")
        }
    }
}

extension GatewayReply {
    func encode(into writer: inout ByteWriter) {
        switch self {
        case .ok: writer.put(1)
        case .refused: writer.put(2)
        case .gone: writer.put(3)
        case .empty: writer.put(4)
        case .got(let number, let deliveryCount, let redelivered, let remaining, let message):
            writer.put(5, number, UInt64(deliveryCount), redelivered ? 1 : 0, remaining)
            writer.writeLengthPrefixed(message)
        case .purged(let count): writer.put(6, count)
        case .counts(let counts): writer.put(7, counts.ready, counts.unacknowledged, counts.consumers)
        }
    }

    init(decoding reader: inout ByteReader) throws(DecodingFailure) {
        switch try reader.read(UInt8.self) {
        case 1: self = .ok
        case 2: self = .refused
        case 3: self = .gone
        case 4: self = .empty
        case 5:
            self = .got(
                number: try reader.readVarint(), deliveryCount: try reader.number32(),
                redelivered: try reader.flag(), remaining: try reader.readVarint(),
                message: Bytes(copying: try reader.readLengthPrefixed(limit: GatewayMessage.messageLimit)))
        case 6: self = .purged(try reader.readVarint())
        case 7:
            self = .counts(
                QueueCounts(
                    ready: try reader.readVarint(), unacknowledged: try reader.readVarint(),
                    consumers: try reader.readVarint()))
        default: throw .invalid("gateway reply kind")
        }
    }
}

extension ByteWriter {
    /// A kind and numbers.
    fileprivate mutating func put(_ kind: UInt8, _ numbers: UInt64...) {
        write(kind)
        for number in numbers { writeVarint(number) }
    }
}

extension ByteReader {
    fileprivate mutating func queue() throws(DecodingFailure) -> TransientID { TransientID(try readVarint()) }

    fileprivate mutating func number32() throws(DecodingFailure) -> UInt32 {
        guard let value = UInt32(exactly: try readVarint()) else { throw .invalid("number") }
        return value
    }

    fileprivate mutating func flag() throws(DecodingFailure) -> Bool {
        switch try readVarint() {
        case 0: false
        case 1: true
        default: throw .invalid("flag")
        }
    }

    fileprivate mutating func resources() throws(DecodingFailure) -> NodeResources {
        guard let alarms = UInt8(exactly: try readVarint()) else { throw .invalid("alarms") }
        let memoryUsed = try readVarint()
        let memoryLimit = try readVarint()
        let diskFree = try readVarint()
        return NodeResources(
            reading: ResourceReading(
                memoryUsed: memoryUsed == .max ? nil : memoryUsed, diskFree: diskFree == .max ? nil : diskFree),
            limits: ResourceLimits(memory: memoryLimit, diskFree: try readVarint()),
            alarms: ResourceAlarms(rawValue: alarms))
    }

    fileprivate mutating func numbers() throws(DecodingFailure) -> ClosedRange<UInt64> {
        let lower = try readVarint()
        let upper = try readVarint()
        guard lower <= upper else { throw .invalid("range") }
        return lower...upper
    }
}
