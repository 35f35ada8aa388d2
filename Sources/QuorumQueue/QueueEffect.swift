public import Primitives

/// What a queue asks its leader to do. Every replica computes the same effects from the same entry; only the leader
/// performs them, and a new leader makes up for what the old one did not from the machine's state.
public enum QueueEffect: Hashable, Sendable {
    /// Every command of the session up to `through` has been applied; those with an `Outcome` were reported before. At
    /// most one per session and entry, after the entry's outcomes and before the deliveries to its consumers. Repeated
    /// commands repeat it.
    case applied(SessionID, through: UInt64)
    /// A result that is more than "done".
    case outcome(SessionID, sequence: UInt64, Outcome)
    /// The commands behind one session header were refused, all of them.
    case refused(SessionID, SessionRefusal)
    /// A command was numbered too high and ignored, with all behind it; the session's next is `expected`.
    case outOfSequence(SessionID, expected: UInt64)
    /// Messages now belong to a consumer: at the end of the entry's effects, or, for a get, right behind its outcome.
    case deliver(Delivery)
    /// The session was ended by the leader's doing, not by a `close` of its own.
    case sessionClosed(SessionID)
}

/// Consecutive messages of one entry that now belong to one consumer, numbered consecutively.
public struct Delivery: Hashable, Sendable {
    /// Who gets it.
    public var consumer: ConsumerID
    /// The delivery number of the first, from 1 per consumer.
    public var firstNumber: UInt64
    /// The entry that holds the bodies.
    public var index: LogIndex
    /// The first one's number among the enqueues of that entry.
    public var firstOrdinal: UInt16
    /// At least 1, at most 4,096.
    public var count: UInt16
    /// How often these messages were given back as failed; the same for all of the run.
    public var deliveryCount: UInt32
    /// Whether they were delivered before.
    public var redelivered: Bool

    /// A delivery with all its fields.
    public init(
        consumer: ConsumerID, firstNumber: UInt64, index: LogIndex, firstOrdinal: UInt16, count: UInt16,
        deliveryCount: UInt32, redelivered: Bool
    ) {
        self.consumer = consumer
        self.firstNumber = firstNumber
        self.index = index
        self.firstOrdinal = firstOrdinal
        self.count = count
        self.deliveryCount = deliveryCount
        self.redelivered = redelivered
    }

    /// The delivery number of the last.
    @inlinable public var lastNumber: UInt64 { firstNumber &+ UInt64(count) &- 1 }
    /// The ordinals within the entry.
    @inlinable public var ordinals: Range<Int> { Int(firstOrdinal)..<Int(firstOrdinal) + Int(count) }
}
