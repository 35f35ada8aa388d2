public import Primitives

/// Something with a name, for refusals.
public enum TopologyResource: Hashable, Sendable {
    /// By name.
    case virtualHost(String)
    /// By name.
    case user(String)
    /// By name, in a virtual host.
    case exchange(String, vhost: String)
    /// By name, in a virtual host.
    case queue(String, vhost: String)
}

extension TopologyResource: CustomStringConvertible {
    /// As RabbitMQ's error texts name it: `queue 'q' in vhost '/'`.
    public var description: String {
        switch self {
        case .virtualHost(let name): "vhost '\(name)'"
        case .user(let name): "user '\(name)'"
        case .exchange(let name, let vhost): "exchange '\(name)' in vhost '\(vhost)'"
        case .queue(let name, let vhost): "queue '\(name)' in vhost '\(vhost)'"
        }
    }
}

/// A declaration that differs from what exists (406 PRECONDITION_FAILED).
public struct Inequivalence: Hashable, Sendable, CustomStringConvertible {
    /// What exists.
    public let resource: TopologyResource
    /// The property or argument that differs.
    public let argument: String
    /// What the client sent, as RabbitMQ writes it: `'true'`, `none`, `the value '1' of type 'signedint'`.
    public let received: String
    /// What exists, written likewise.
    public let current: String

    /// RabbitMQ's text, which clients match on.
    public var description: String {
        "inequivalent arg '\(argument)' for \(resource): received \(received) but current is \(current)"
    }
}

/// What became of a command. The same on every replica.
public enum TopologyOutcome: Hashable, Sendable {
    /// The state is as asked, whether or not it was so before.
    case done
    /// The queue as it is now; `created` when this command made it.
    case queue(QueueRecord, created: Bool)
    /// The exchange as it is now; `created` when this command made it.
    case exchange(ExchangeRecord, created: Bool)
    /// It exists with other properties (406).
    case inequivalent(Inequivalence)
    /// Something the command needs does not exist (404).
    case notFound(TopologyResource)
    /// Deletion asked for if-unused, and it is used (406).
    case inUse(TopologyResource)
    /// The queue is exclusive to another connection, or is not exclusive and was declared so (405).
    case locked(TopologyResource)
    /// The command contradicts itself or the state; the text says how (406).
    case invalid(String)
    /// It comes from an incarnation of a node that is over.
    case stale
    /// This version does not know the command; nothing was done.
    case unsupported
}

/// A change of state, in the order in which it happened. What it names is already in (or gone from) the topology.
public enum TopologyChange: Hashable, Sendable {
    /// With its predeclared exchanges.
    case virtualHostCreated(String)
    /// After the changes for all that was in it.
    case virtualHostDeleted(String)
    /// A client's or an operator's.
    case exchangeCreated(ExchangeRecord)
    /// After its bindings.
    case exchangeDeleted(ExchangeRecord)
    /// Members start the group of a quorum queue, the owner the transient queue.
    case queueCreated(QueueRecord)
    /// After its bindings.
    case queueDeleted(QueueRecord)
    /// Both ends exist.
    case bindingCreated(Binding)
    /// By itself or with one of its ends.
    case bindingDeleted(Binding)
    /// Created, or given another password or tags.
    case userChanged(String)
    /// With all permissions.
    case userDeleted(String)
    /// Set, replaced or taken away.
    case permissionsChanged(user: String, vhost: String)
    /// A new member, or new addresses of one.
    case nodeRegistered(NodeRecord)
    /// A node's data directory was lost, and this one has taken its place.
    case storeReplaced(NodeID, by: StoreID)
    /// The first sign of a new incarnation; what it drops follows.
    case nodeIncarnation(NodeID, Incarnation)
    /// A snapshot took the state's place: whatever was remembered of the old state may be wrong.
    case replaced
}

/// What applying one request did.
public struct TopologyApplied: Hashable, Sendable {
    /// Whose it was.
    public let request: TopologyRequestID
    /// What the proposer is told.
    public let outcome: TopologyOutcome
    /// What changed; empty when nothing did.
    public let changes: [TopologyChange]

    /// The result of a request.
    package init(request: TopologyRequestID, outcome: TopologyOutcome, changes: [TopologyChange]) {
        self.request = request
        self.outcome = outcome
        self.changes = changes
    }
}
