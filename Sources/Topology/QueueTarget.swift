public import Primitives

/// The identity of a transient queue: drawn from the same counter as the groups of quorum queues, never reused.
public struct TransientID: RawRepresentable, Hashable, Comparable, Sendable {
    /// The number.
    public var rawValue: UInt64
    /// Wraps a number.
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    /// Wraps a number.
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }
    /// By number.
    public static func < (a: TransientID, b: TransientID) -> Bool { a.rawValue < b.rawValue }
}

/// Where a routed message goes: what the message path needs to know of a queue, in 16 bytes without references.
public enum QueueTarget: Hashable, Sendable {
    /// A replicated queue, led by some member of its group.
    case quorum(GroupID)
    /// A queue in the memory of one node.
    case transient(TransientID, node: NodeID)

    /// The number of the queue, unique among queues of both kinds and never reused.
    @inlinable public var id: UInt64 {
        switch self {
        case .quorum(let group): group.rawValue
        case .transient(let id, _): id.rawValue
        }
    }
}

extension QueueTarget: Comparable {
    /// By number: older queues first.
    @inlinable public static func < (a: QueueTarget, b: QueueTarget) -> Bool { a.id < b.id }
}
