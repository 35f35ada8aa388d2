public import Primitives

/// A data directory that a node has, or had.
public struct StoreTenure: Hashable, Sendable {
    /// The directory.
    public let store: StoreID
    /// A number of the counter that queue ids come from: the directory is the node's for all queues with higher ids,
    /// until the next one takes its place. 0 for a node's first.
    public let since: UInt64

    /// A directory from a moment on.
    public init(store: StoreID, since: UInt64) {
        self.store = store
        self.since = since
    }
}

extension Topology {
    /// The data directories of a node, oldest first. The last one is the node's; the others were lost or replaced and
    /// never count again.
    public func stores(of node: NodeID) -> [StoreTenure] { box.state.stores[node] ?? [] }

    /// The data directory of a node; nil for one that was never registered nor replaced.
    public func store(of node: NodeID) -> StoreID? { box.state.stores[node]?.last?.store }

    /// The data directory that a node had when a queue was created: every replica makes the queue's first configuration
    /// of these, whenever it hears of the queue.
    public func store(of node: NodeID, at group: GroupID) -> StoreID? {
        let tenures = stores(of: node)
        return (tenures.last { $0.since < group.rawValue } ?? tenures.first)?.store
    }

    /// Whether another data directory has taken this one's place.
    public func isRetired(_ store: StoreID, of node: NodeID) -> Bool {
        stores(of: node).dropLast().contains { $0.store == store }
    }
}
