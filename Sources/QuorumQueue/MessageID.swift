public import Primitives

/// A message's place in its queue's log, which is also its place in the queue.
public struct MessageID: Hashable, Comparable, Sendable {
    /// The entry that enqueued it.
    public var index: LogIndex
    /// Its number among the enqueues of that entry, from 0; at most 4,095.
    public var ordinal: UInt16

    /// The message with this ordinal in the entry at `index`.
    @inlinable public init(index: LogIndex, ordinal: UInt16) {
        self.index = index
        self.ordinal = ordinal
    }

    /// In log order.
    @inlinable public static func < (a: MessageID, b: MessageID) -> Bool {
        (a.index.rawValue, a.ordinal) < (b.index.rawValue, b.ordinal)
    }
}

/// A `MessageID` in one word: the index in the upper 52 bits, the ordinal in the lower 12, so that order is integer
/// order and the messages of one entry are consecutive.
package struct Position: Hashable, Comparable, Sendable {
    package var rawValue: UInt64

    package init(rawValue: UInt64) { self.rawValue = rawValue }
    /// `index` must be below 2⁵² and `ordinal` below 4,096.
    package init(index: LogIndex, ordinal: Int) { rawValue = index.rawValue << 12 | UInt64(ordinal) }

    package static func < (a: Position, b: Position) -> Bool { a.rawValue < b.rawValue }
    package var index: LogIndex { LogIndex(rawValue >> 12) }
    package var ordinal: UInt16 { UInt16(truncatingIfNeeded: rawValue & 0xfff) }
    package var messageID: MessageID { MessageID(index: index, ordinal: ordinal) }
    /// The position `count` messages behind this one; for a step within the entry, or to one past its end.
    package func advanced(by count: Int) -> Position { Position(rawValue: rawValue &+ UInt64(count)) }
    /// The position of the same ordinal `count` entries later.
    package func advanced(entries count: UInt32) -> Position { Position(rawValue: rawValue &+ UInt64(count) << 12) }

    /// Positions below this are representable.
    package static let indexLimit: UInt64 = 1 << 52
}

extension MessageID: CustomStringConvertible {
    /// Such as `i7#0`.
    public var description: String { "\(index)#\(ordinal)" }
}
