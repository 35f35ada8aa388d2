public import Primitives

/// The random identity of a cluster, chosen when it is bootstrapped. Two clusters never talk to each other.
public struct ClusterID: Hashable, Comparable, Sendable {
    /// The upper 64 bits.
    public var high: UInt64
    /// The lower 64 bits.
    public var low: UInt64

    /// Wraps 128 bits.
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// As one number.
    public static func < (a: ClusterID, b: ClusterID) -> Bool { (a.high, a.low) < (b.high, b.low) }
}

extension ClusterID: CustomStringConvertible {
    /// 32 hexadecimal digits.
    public var description: String { StoreID(high: high, low: low).description }
}

/// Who a node is: its configured number, its data directory, and which start of the process on that directory this is.
///
/// A new incarnation proves that the process of every older one is dead. A new store means that the disk was lost.
public struct PeerIdentity: Hashable, Sendable {
    /// The configured number.
    public var node: NodeID
    /// The data directory.
    public var store: StoreID
    /// Which start of the process this is.
    public var incarnation: Incarnation

    /// Names a process of a node.
    public init(node: NodeID, store: StoreID, incarnation: Incarnation) {
        self.node = node
        self.store = store
        self.incarnation = incarnation
    }
}

extension PeerIdentity: CustomStringConvertible {
    /// For logs.
    public var description: String { "\(node) \(incarnation) store \(store)" }
}
