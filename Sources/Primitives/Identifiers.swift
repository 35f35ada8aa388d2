/// A Raft term: a period with at most one leader (Raft paper, section 5.1). Term 0 precedes every election.
public struct Term: RawRepresentable, Hashable, Comparable, Sendable {
    /// The number of the term.
    public var rawValue: UInt64
    /// The term with this number.
    @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }
    /// The term with this number.
    @inlinable public init(_ rawValue: UInt64) { self.rawValue = rawValue }
    /// Earlier.
    @inlinable public static func < (a: Term, b: Term) -> Bool { a.rawValue < b.rawValue }
    /// The term after this one.
    @inlinable public var next: Term { Term(rawValue + 1) }
    /// Before every election.
    public static let zero = Term(0)
}

/// The place of an entry in the log of one group, counted from 1. Index 0 precedes the first entry.
public struct LogIndex: RawRepresentable, Hashable, Comparable, Sendable {
    /// The number of the index.
    public var rawValue: UInt64
    /// The index with this number.
    @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }
    /// The index with this number.
    @inlinable public init(_ rawValue: UInt64) { self.rawValue = rawValue }
    /// Before it in the log.
    @inlinable public static func < (a: LogIndex, b: LogIndex) -> Bool { a.rawValue < b.rawValue }
    /// The index `n` places behind it.
    @inlinable public static func + (a: LogIndex, n: UInt64) -> LogIndex { LogIndex(a.rawValue + n) }
    /// The index `n` places before it; `n` must not be greater than it.
    @inlinable public static func - (a: LogIndex, n: UInt64) -> LogIndex { LogIndex(a.rawValue - n) }
    /// The number of indices from `b` up to this one; `b` must not be greater.
    @inlinable public static func - (a: LogIndex, b: LogIndex) -> UInt64 { a.rawValue - b.rawValue }
    /// The index after this one.
    @inlinable public var next: LogIndex { LogIndex(rawValue + 1) }
    /// Before the first entry.
    public static let zero = LogIndex(0)
}

/// The configured number of a node, from 1: the `N` of `cluster_formation.classic_config.nodes.N`.
public struct NodeID: RawRepresentable, Hashable, Comparable, Sendable {
    /// The number of the node.
    public var rawValue: UInt16
    /// The node with this number.
    @inlinable public init(rawValue: UInt16) { self.rawValue = rawValue }
    /// The node with this number.
    @inlinable public init(_ rawValue: UInt16) { self.rawValue = rawValue }
    /// By number.
    @inlinable public static func < (a: NodeID, b: NodeID) -> Bool { a.rawValue < b.rawValue }
}

/// A Raft group. The topology is group 0; a queue's group is the topology index that created the queue, never reused.
public struct GroupID: RawRepresentable, Hashable, Comparable, Sendable {
    /// The number of the group.
    public var rawValue: UInt64
    /// The group with this number.
    @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }
    /// The group with this number.
    @inlinable public init(_ rawValue: UInt64) { self.rawValue = rawValue }
    /// By number: the older queue first.
    @inlinable public static func < (a: GroupID, b: GroupID) -> Bool { a.rawValue < b.rawValue }
    /// The group of the cluster's metadata.
    public static let topology = GroupID(0)
}

/// The random identity of one data directory. A node that comes back with another store id has lost its disk.
public struct StoreID: Hashable, Comparable, Sendable {
    /// The upper 64 bits.
    public var high: UInt64
    /// The lower 64 bits.
    public var low: UInt64
    /// The identity of these 128 bits.
    @inlinable public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
    /// By number, so that sets of stores have one order.
    @inlinable public static func < (a: StoreID, b: StoreID) -> Bool { (a.high, a.low) < (b.high, b.low) }
}

/// Counts the starts of a node on one data directory, from 1; written durably before the node speaks to anyone.
public struct Incarnation: RawRepresentable, Hashable, Comparable, Sendable {
    /// The number of the start.
    public var rawValue: UInt32
    /// The start with this number.
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// The start with this number.
    @inlinable public init(_ rawValue: UInt32) { self.rawValue = rawValue }
    /// Earlier.
    @inlinable public static func < (a: Incarnation, b: Incarnation) -> Bool { a.rawValue < b.rawValue }
}

extension Term: CustomStringConvertible {
    /// Such as `t7`.
    public var description: String { "t\(rawValue)" }
}
extension LogIndex: CustomStringConvertible {
    /// Such as `i7`.
    public var description: String { "i\(rawValue)" }
}
extension NodeID: CustomStringConvertible {
    /// Such as `n7`.
    public var description: String { "n\(rawValue)" }
}
extension GroupID: CustomStringConvertible {
    /// Such as `g7`.
    public var description: String { "g\(rawValue)" }
}
extension Incarnation: CustomStringConvertible {
    /// Such as `inc7`.
    public var description: String { "inc\(rawValue)" }
}
extension StoreID: CustomStringConvertible {
    /// All 128 bits in hexadecimal.
    public var description: String {
        func hex(_ value: UInt64) -> String {
            let digits = String(value, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }
        return hex(high) + hex(low)
    }
}
