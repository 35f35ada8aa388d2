import Primitives

/// What a message's body says of itself, so that whoever meets it knows what it is and whether it is whole.
struct MessageStamp: Hashable {
    /// Unique in the simulation, from 1.
    var message: UInt64
    /// Unique publisher session.
    var publisher: UInt64
    /// Counts the publisher's messages, from 1.
    var number: UInt64

    static let size = 24

    func write(to buffer: UnsafeMutableRawBufferPointer) {
        buffer.storeBytes(of: message, toByteOffset: 0, as: UInt64.self)
        buffer.storeBytes(of: publisher, toByteOffset: 8, as: UInt64.self)
        buffer.storeBytes(of: number, toByteOffset: 16, as: UInt64.self)
        for place in MessageStamp.size..<buffer.count {
            buffer.storeBytes(
                of: UInt8(truncatingIfNeeded: message &+ UInt64(place)), toByteOffset: place, as: UInt8.self)
        }
    }

    init(message: UInt64, publisher: UInt64, number: UInt64) {
        self.message = message
        self.publisher = publisher
        self.number = number
    }

    /// Nil when the body is not one that `write` made.
    init?(_ body: Bytes) {
        guard body.count >= MessageStamp.size else { return nil }
        let stamp = body.withUnsafeBytes { buffer -> MessageStamp? in
            let stamp = MessageStamp(
                message: buffer.loadUnaligned(fromByteOffset: 0, as: UInt64.self),
                publisher: buffer.loadUnaligned(fromByteOffset: 8, as: UInt64.self),
                number: buffer.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
            for place in MessageStamp.size..<buffer.count
            where buffer[place] != UInt8(truncatingIfNeeded: stamp.message &+ UInt64(place)) { return nil }
            return stamp
        }
        guard let stamp else { return nil }
        self = stamp
    }
}
