public import Primitives

/// What a node tells its peers about its data directory, inside the link's handshake.
public struct StoreReport: Hashable, Sendable {
    /// The members of the topology group as this store knows them; empty when the store never was part of a cluster.
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

/// Decides whether a node with an empty store may found a cluster.
///
/// A cluster is founded only when every configured node reports an empty store, or already names exactly the stores
/// that are there: a node whose disk was replaced can never found a second cluster or vote with an empty log.
public struct Formation: Sendable {
    /// What to do next.
    public enum Decision: Hashable, Sendable {
        /// Not every configured node has been heard.
        case wait
        /// Create the topology group with these members.
        case found([GroupDescriptor.Member])
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

    /// A peer said what its store knows; its newest report counts.
    public mutating func reported(by peer: NodeID, store: StoreID, report: StoreReport) -> Decision {
        reports[peer] = (store, report)
        return decision
    }

    /// What follows from the reports so far.
    public var decision: Decision {
        for peer in configured {
            guard let (_, report) = reports[peer], !report.isEmpty else { continue }
            if let named = report.members.first(where: { $0.node == node }) {
                guard named.store == store else {
                    return .refuse(
                        "node \(node.rawValue) has an empty store, but the cluster knows it with store \(named.store): "
                            + "its data directory was lost or replaced; restore the directory")
                }
            } else {
                return .refuse(
                    "node \(node.rawValue) is not a member of the cluster that node \(peer.rawValue) belongs to")
            }
        }
        guard missing.isEmpty else { return .wait }
        var members = [GroupDescriptor.Member(node: node, store: store)]
        for peer in configured where peer != node {
            guard let (peerStore, _) = reports[peer] else { return .wait }
            members.append(GroupDescriptor.Member(node: peer, store: peerStore))
        }
        members.sort { $0.node < $1.node }
        for peer in configured {
            guard let (_, report) = reports[peer], !report.isEmpty else { continue }
            guard report.members == members else {
                return .refuse(
                    "node \(peer.rawValue) belongs to a cluster with other members than the configuration names")
            }
        }
        return .found(members)
    }
}
