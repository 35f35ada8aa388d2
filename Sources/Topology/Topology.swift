public import Primitives

/// The state machine of the cluster's metadata, and the router over it.
///
/// A value: a copy costs two retains, and the first change after a copy duplicates the whole state, so nobody keeps
/// copies across turns of the loop. Determinism: output and state depend on the applied entries only, dictionaries are
/// read in sorted order.
public struct Topology: Sendable {
    private(set) var box: Box
    private var routing: Routing

    /// Changed only by a value that alone holds it.
    final class Box: @unchecked Sendable {
        var state: TopologyState
        init(_ state: TopologyState) { self.state = state }
    }

    /// The state before the first entry.
    public init() { self.init(TopologyState()) }

    init(_ state: TopologyState) {
        box = Box(state)
        routing = Routing(state)
    }

    var state: TopologyState { box.state }

    /// Applies a committed entry: one result per request, in order. An entry at or below `lastApplied` does nothing;
    /// one that is not a batch of commands moves `lastApplied` only.
    public mutating func apply(_ entry: Entry) -> [TopologyApplied] {
        guard entry.index > box.state.lastApplied else { return [] }
        if !isKnownUniquelyReferenced(&box) { box = Box(box.state) }
        let applied = box.state.apply(entry)
        for request in applied {
            for change in request.changes { routing.apply(change) }
        }
        return applied
    }
}

// MARK: - Counters

extension Topology {
    /// The newest entry applied.
    public var lastApplied: LogIndex { box.state.lastApplied }

    /// Grows with every change of state: as long as it stands, cached routes and records hold.
    public var generation: UInt64 { box.state.generation }

    /// Grows with every change of users, permissions and virtual hosts: as long as it stands, cached checks hold.
    public var accessGeneration: UInt64 { box.state.accessGeneration }

    /// Whether the defaults of a new cluster were created.
    public var isBootstrapped: Bool { box.state.isBootstrapped }

    /// A checksum of the whole state; equal on all replicas at equal `lastApplied`.
    public func stateHash() -> UInt64 { box.state.hash() }
}

// MARK: - Routing

extension Topology {
    /// A handle on a virtual host, for `route`.
    public func virtualHostRef(_ name: String) -> VirtualHostRef? { routing.ref(name) }

    /// The exchange of this name, found without making a string. Nil when there is none, or the virtual host is gone.
    public func exchangeRef(_ name: UnsafeRawBufferPointer, in vhost: VirtualHostRef) -> ExchangeRef? {
        routing.exchange(name, in: vhost)
    }

    /// The queue of this name, found without making a string: where the default exchange leads.
    public func queueTarget(_ name: UnsafeRawBufferPointer, in vhost: VirtualHostRef) -> QueueTarget? {
        routing.queue(name, in: vhost)
    }

    /// The queues that a message reaches, each once, oldest first, into `buffer.targets`.
    ///
    /// - Parameter headers: looks a header of the message up; called only when a headers exchange is met.
    /// - Returns: false when the exchange or the virtual host is gone.
    @discardableResult
    public func route(
        _ exchange: ExchangeRef, in vhost: VirtualHostRef, key: UnsafeRawBufferPointer,
        into buffer: inout RouteBuffer, headers: (String) -> TopologyValue? = { _ in nil }
    ) -> Bool {
        routing.route(exchange, in: vhost, key: key, into: &buffer, headers: headers)
    }
}

// MARK: - Records

extension Topology {
    /// Sorted by name.
    public var virtualHosts: [VirtualHostRecord] { box.state.sortedHosts.map(\.record) }

    /// The virtual host of this name.
    public func virtualHost(_ name: String) -> VirtualHostRecord? { box.state.hosts[Bytes(name)]?.record }

    /// The exchange of this name.
    public func exchange(_ name: String, vhost: String) -> ExchangeRecord? {
        box.state.hosts[Bytes(vhost)]?.exchanges[Bytes(name)]?.record
    }

    /// Sorted by name; empty when there is no such virtual host.
    public func exchanges(vhost: String) -> [ExchangeRecord] {
        box.state.hosts[Bytes(vhost)]?.sortedExchanges.map(\.record) ?? []
    }

    /// The queue of this name.
    public func queue(_ name: String, vhost: String) -> QueueRecord? {
        box.state.hosts[Bytes(vhost)]?.queues[Bytes(name)]?.record
    }

    /// The quorum queue of this group.
    public func queue(group: GroupID) -> QueueRecord? { box.state.queue(id: group.rawValue) }

    /// The queue of this target.
    public func queue(_ target: QueueTarget) -> QueueRecord? { box.state.queue(id: target.id) }

    /// Sorted by name; empty when there is no such virtual host.
    public func queues(vhost: String) -> [QueueRecord] {
        box.state.hosts[Bytes(vhost)]?.sortedQueues.map(\.record) ?? []
    }

    /// Sorted by id, of all virtual hosts.
    public var queues: [QueueRecord] { box.state.queueIDs.compactMap { box.state.queue(id: $0) } }

    /// In canonical order; empty when there is no such virtual host. The implicit bindings of the default exchange are
    /// not among them.
    public func bindings(vhost: String) -> [Binding] { box.state.hosts[Bytes(vhost)]?.sortedBindings ?? [] }

    /// The bindings that come from an exchange, in canonical order.
    public func bindings(source: String, vhost: String) -> [Binding] {
        box.state.hosts[Bytes(vhost)]?.bindings(source: Bytes(source)) ?? []
    }

    /// The bindings that lead to a queue or exchange, in canonical order.
    public func bindings(destination: BindingDestination, vhost: String) -> [Binding] {
        box.state.hosts[Bytes(vhost)]?.bindings(destination: destination) ?? []
    }

    /// Sorted by id.
    public var nodes: [NodeRecord] { box.state.sortedNodes }

    /// The node of this id.
    public func node(_ id: NodeID) -> NodeRecord? { box.state.nodes[id] }

    /// The newest incarnation of a node that the topology has seen.
    public func incarnation(of node: NodeID) -> Incarnation? { box.state.incarnations[node]?.newest }
}

// MARK: - Users

extension Topology {
    /// Sorted by name.
    public var users: [UserRecord] { box.state.sortedUsers }

    /// The user of this name.
    public func user(_ name: String) -> UserRecord? { box.state.users[Bytes(name)]?.record }

    /// The user, when the password is right.
    public func authenticate(user name: String, password: [UInt8]) -> UserRecord? {
        guard let record = user(name), let hash = record.passwordHash, hash.verify(password) else { return nil }
        return record
    }

    /// What a user may do in a virtual host; nil when the user may not enter it.
    public func permissions(user: String, vhost: String) -> Permissions? {
        box.state.users[Bytes(user)]?.permissions[Bytes(vhost)]
    }

    /// All permissions, sorted by user, then virtual host.
    public var permissions: [Permissions] { box.state.sortedPermissions }

    /// Whether the user may do this to the exchange or queue named `resource`.
    public func allows(user: String, vhost: String, _ kind: PermissionKind, _ resource: String) -> Bool {
        permissions(user: user, vhost: vhost)?.allows(kind, resource) ?? false
    }
}

extension Topology {
    /// Whether a queue of this group existed and was deleted: its id was given out, and no queue has it any more.
    public func isDeleted(_ group: GroupID) -> Bool {
        group != .topology && group.rawValue <= box.state.lastID && queue(group: group) == nil
    }
}
