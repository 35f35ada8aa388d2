import Primitives

/// The state behind `Topology`.
struct TopologyState: Sendable {
    struct User: Sendable {
        var record: UserRecord
        /// By virtual host.
        var permissions: [Bytes: Permissions] = [:]
    }

    /// The starts of a node, as far as transient queues care.
    struct Incarnations: Sendable {
        var newest: Incarnation
        /// The newest was given up: transient queues of it are refused.
        var isLost = false
    }

    /// Where a queue of a given id is.
    struct Place: Sendable {
        var vhost: Bytes
        var name: Bytes
    }

    static let version: UInt8 = 2

    var lastApplied = LogIndex.zero
    /// The newest id given to a queue; never goes back.
    var lastID: UInt64 = 0
    var generation: UInt64 = 0
    var accessGeneration: UInt64 = 0
    var isBootstrapped = false

    var hosts: [Bytes: VirtualHost] = [:]
    var users: [Bytes: User] = [:]
    var nodes: [NodeID: NodeRecord] = [:]
    var incarnations: [NodeID: Incarnations] = [:]
    /// The data directories of each node, oldest first; never empty.
    var stores: [NodeID: [StoreTenure]] = [:]
    var places: [UInt64: Place] = [:]
    /// Transient queues of each node, by id, to find them when their owner goes.
    var transients: [NodeID: Set<UInt64>] = [:]
}

// MARK: - Queries

extension TopologyState {
    func queue(id: UInt64) -> QueueRecord? {
        guard let place = places[id] else { return nil }
        return hosts[place.vhost]?.queues[place.name]?.record
    }

    var queueIDs: [UInt64] { places.keys.sorted() }
    var sortedHosts: [VirtualHost] { sorted(hosts) }
    var sortedUsers: [UserRecord] { sorted(users).map(\.record) }
    var sortedPermissions: [Permissions] { sorted(users).flatMap { sorted($0.permissions) } }
    var sortedNodes: [NodeRecord] { nodes.values.sorted { $0.id < $1.id } }
}
