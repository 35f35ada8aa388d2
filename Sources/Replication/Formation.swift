public import Primitives

/// What a node tells its peers about its data directory, inside the link's handshake.
public struct StoreReport: Hashable, Sendable {
    /// The members that founded the cluster, as this store knows them; empty when it never was part of one.
    public var members: [GroupDescriptor.Member]

    /// A report of these members.
    public init(members: [GroupDescriptor.Member]) { self.members = members }

    /// The store never was part of a cluster.
    public var isEmpty: Bool { members.isEmpty }

    /// As a `GroupDescriptor`; no bytes for an empty report.
    public func encoded() -> Bytes {
        guard let first = members.first else { return Bytes() }
        return GroupDescriptor(members: members, preferredLeader: first.node).encoded()
    }

    /// - Throws: `DecodingFailure` when there are bytes and they are no `GroupDescriptor`.
    public init(decoding bytes: Bytes) throws(DecodingFailure) {
        members = bytes.isEmpty ? [] : try GroupDescriptor(decoding: bytes).members
    }
}

/// Decides what a node with an empty store does.
///
/// A cluster is founded only when every configured node reports an empty store, and only by the lowest of them. What a
/// peer reported may have changed since, and were each to found by what it was told once, two of them could name
/// different stores. The others learn the founders from whoever knows them, and a report counts no longer than the link
/// that it came with.
///
/// Where a peer knows a cluster already, the node is one of its founders and late, or it lost the founder's disk: then
/// it takes no part of its own accord and waits to be taken in. So it can never found a second cluster or vote with an
/// empty log.
public struct Formation: Sendable {
    /// What to do next.
    public enum Decision: Hashable, Sendable {
        /// Not every configured node has been heard, or the lowest of them is to found the cluster.
        case wait
        /// Create the topology group with these members, of which this store is one.
        case found([GroupDescriptor.Member])
        /// The cluster of these founders knows this node with another store, which is lost: create the topology group
        /// as theirs, and wait for its leader.
        case rejoin([GroupDescriptor.Member])
        /// This store cannot be part of the cluster; the text says why and what helps.
        case refuse(String)
    }

    private let node: NodeID
    private let store: StoreID
    private let configured: [NodeID]
    private var reports: [NodeID: (store: StoreID, report: StoreReport)] = [:]

    /// - Parameter configured: all nodes of the configuration, this one included.
    public init(node: NodeID, store: StoreID, configured: [NodeID]) {
        self.node = node
        self.store = store
        self.configured = configured.sorted()
    }

    /// The nodes that have not reported yet, in order.
    public var missing: [NodeID] { configured.filter { $0 != node && reports[$0] == nil } }

    /// The nodes whose stores were empty when they reported, in order: they wait to be told of a cluster, as this one.
    public var waiting: [NodeID] { configured.filter { reports[$0]?.report.isEmpty ?? false } }

    /// Whom the node waits for and why, for the operator.
    public var waitingFor: String {
        let absent = missing.map { "\($0.rawValue)" }.joined(separator: ", ")
        guard let first = configured.first, first != node else {
            return "this node founds the cluster once all configured nodes are there; not linked: \(absent)"
        }
        return "node \(first.rawValue), the lowest, founds the cluster once all configured nodes are there; "
            + "not linked to this one: \(absent.isEmpty ? "none" : absent)"
    }

    /// The link to a peer is gone: what it reported may not be so any more.
    public mutating func forget(_ peer: NodeID) { reports[peer] = nil }

    /// A peer said what its store knows; its newest report counts.
    public mutating func reported(by peer: NodeID, store: StoreID, report: StoreReport) -> Decision {
        reports[peer] = (store, report)
        return decision
    }

    /// What follows from the reports so far.
    public var decision: Decision {
        for peer in configured {
            guard let (_, report) = reports[peer], !report.isEmpty else { continue }
            return decision(of: peer, founders: report.members)
        }
        guard missing.isEmpty, node == configured.first else { return .wait }
        var members = [GroupDescriptor.Member(node: node, store: store)]
        for peer in configured where peer != node {
            guard let (peerStore, _) = reports[peer] else { return .wait }
            members.append(GroupDescriptor.Member(node: peer, store: peerStore))
        }
        return .found(members.sorted { $0.node < $1.node })
    }

    /// A peer belongs to a cluster already.
    private func decision(of peer: NodeID, founders: [GroupDescriptor.Member]) -> Decision {
        guard let own = founders.first(where: { $0.node == node }) else {
            return .refuse(
                "node \(node.rawValue) is not a member of the cluster that node \(peer.rawValue) belongs to")
        }
        guard founders.map(\.node).sorted() == configured else {
            return .refuse(
                "node \(peer.rawValue) belongs to a cluster with other members than the configuration names")
        }
        return own.store == store ? .found(founders) : .rejoin(founders)
    }
}
