/// The eight octets that open a connection (AMQP 0-9-1, section 4.2.2).
public enum ProtocolHeader {
    /// `AMQP`, 0, 0-9-1. A server also answers a wrong header with these and closes.
    public static let octets: [UInt8] = [0x41, 0x4D, 0x51, 0x50, 0, 0, 9, 1]

    /// What the first octets of a connection say.
    public enum Match: Hashable, Sendable {
        /// So far so good, fewer than eight octets.
        case incomplete
        /// AMQP 0-9-1: frames follow.
        case accepted
        /// Something else.
        case refused
    }

    /// Judges the first octets; a wrong one is refused at once, without waiting for all eight. As RabbitMQ does, the
    /// older spellings of 0-9-1 (`1 1 0 9`, `1 1 9 1`) are accepted too.
    public static func match(_ buffer: UnsafeRawBufferPointer) -> Match {
        let count = min(buffer.count, octets.count)
        let seen = buffer[0..<count]
        let fits = spellings.contains { $0.prefix(count).elementsEqual(seen) }
        guard fits else { return .refused }
        return count == octets.count ? .accepted : .incomplete
    }

    private static let spellings: [[UInt8]] = [
        octets, [0x41, 0x4D, 0x51, 0x50, 1, 1, 0, 9], [0x41, 0x4D, 0x51, 0x50, 1, 1, 9, 1],
    ]
}
