public import Primitives

/// The first byte of a command header.
enum CommandTag: UInt8 {
    case session = 1
    case open = 2
    case close = 3
    case enqueue = 4
    case attach = 5
    case detach = 6
    case prefetch = 7
    case settle = 8
    case `return` = 9
    case discard = 10
    case get = 11
    case purge = 12
    case gatewayDown = 32
    case gatewayUp = 33
    case gatewayExpired = 34
    case detachUnknown = 35
    case tick = 36
}

/// A command header, read. The commands of a session stand behind its `session` header; those from `gatewayDown` on
/// are the leader's own, and end the session's turn.
public enum Command: Hashable, Sendable {
    /// The following session commands are this session's and numbered from `firstSequence`; the client has received all
    /// outcomes up to `lowWater`.
    case session(SessionID, firstSequence: UInt64, lowWater: UInt64)
    case open
    case close
    case enqueue(EnqueueRun)
    case attach(consumer: UInt32, ConsumerOptions)
    case detach(consumer: UInt32)
    case setPrefetch(consumer: UInt32, UInt32)
    case settle(consumer: UInt32, ClosedRange<UInt64>)
    case `return`(consumer: UInt32, ClosedRange<UInt64>, counted: Bool)
    case discard(consumer: UInt32, ClosedRange<UInt64>)
    case get(autoAck: Bool)
    case purge
    case gatewayDown(NodeID)
    case gatewayUp(NodeID, Incarnation)
    case gatewayExpired(NodeID)
    case detachUnknown(ConsumerID)
    case tick

    /// How many sequence numbers the command takes, which is also how many commands it counts as; 0 for a session
    /// header.
    public var count: Int {
        switch self {
        case .session: 0
        case .enqueue(let run): run.count
        default: 1
        }
    }

    /// Whether only the leader of the queue may say this.
    public var isLeaders: Bool {
        switch self {
        case .gatewayDown, .gatewayUp, .gatewayExpired, .detachUnknown, .tick: true
        default: false
        }
    }
}

/// Messages of equal length, priority and expiration that were enqueued in a row.
public struct EnqueueRun: Hashable, Sendable {
    /// 1 to 4,096.
    public var count: Int
    /// Length of each body in bytes.
    public var length: Int
    /// As the publisher set it; nil when it did not.
    public var priority: UInt8?
    /// Milliseconds to live from the entry's timestamp, as the publisher set it.
    public var expiration: UInt64?
    /// Where in the headers the checksums start: a little-endian u32 (CRC32C) per body.
    public var checksumsOffset: Int

    /// Length of all bodies in bytes; cannot overflow, as `count` and `length` are bounded.
    @inlinable public var bodiesLength: Int { count * length }

    /// A run with all its fields.
    public init(
        count: Int, length: Int, priority: UInt8? = nil, expiration: UInt64? = nil, checksumsOffset: Int
    ) {
        self.count = count
        self.length = length
        self.priority = priority
        self.expiration = expiration
        self.checksumsOffset = checksumsOffset
    }
}
