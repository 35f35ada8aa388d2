public import Primitives

/// Where a queue lives.
public enum QueuePlacement: Hashable, Sendable {
    /// Replicated on `members` (1...31 nodes, sorted, no duplicates); `preferredLeader`, one of them, campaigns first.
    case quorum(members: [NodeID], preferredLeader: NodeID)
    /// In the memory of `owner` during this `incarnation`. An exclusive queue names the `connection` (unique on its
    /// node and incarnation) that alone may use it; nil for one that is only auto-delete.
    case transient(owner: NodeID, incarnation: Incarnation, connection: UInt64?)
}

/// The connection that owns an exclusive queue.
public struct ConnectionOwner: Hashable, Sendable {
    /// Where the connection is.
    public let node: NodeID
    /// Of the node, when the connection was made.
    public let incarnation: Incarnation
    /// Unique on the node in this incarnation.
    public let connection: UInt64

    /// Names a connection.
    public init(node: NodeID, incarnation: Incarnation, connection: UInt64) {
        self.node = node
        self.incarnation = incarnation
        self.connection = connection
    }
}

/// What a client asks of `queue.declare`.
public struct QueueDeclaration: Hashable, Sendable {
    /// The virtual host it is in.
    public var vhost: String
    /// 1...255 bytes.
    public var name: String
    /// Compared when it is declared again; every quorum queue survives restarts.
    public var durable: Bool
    /// Deleted when its last consumer goes, by the node that owns it.
    public var autoDelete: Bool
    /// As the client sent them.
    public var arguments: TopologyArguments
    /// Chosen by the proposer; not compared when it is declared again, except for the exclusive owner.
    public var placement: QueuePlacement
    /// The user that declares it, for management.
    public var user: String

    /// Collects the parts of a declaration.
    public init(
        vhost: String, name: String, durable: Bool, autoDelete: Bool, arguments: TopologyArguments = [:],
        placement: QueuePlacement, user: String = ""
    ) {
        self.vhost = vhost
        self.name = name
        self.durable = durable
        self.autoDelete = autoDelete
        self.arguments = arguments
        self.placement = placement
        self.user = user
    }
}

/// A queue as the topology knows it.
public struct QueueRecord: Hashable, Sendable {
    /// Never reused: the topology index that created the queue, or the next free number above when one entry or its
    /// predecessors created several.
    public let id: UInt64
    /// What created it.
    public let declaration: QueueDeclaration
    /// The time of the entry that created it.
    public let createdAt: WallTime

    /// The virtual host it is in.
    public var vhost: String { declaration.vhost }
    /// Its name in the virtual host.
    public var name: String { declaration.name }
    /// Whether it was declared durable.
    public var durable: Bool { declaration.durable }
    /// Whether it goes with its last consumer.
    public var autoDelete: Bool { declaration.autoDelete }
    /// As the client sent them.
    public var arguments: TopologyArguments { declaration.arguments }
    /// Where it lives.
    public var placement: QueuePlacement { declaration.placement }
    /// The user that declared it.
    public var user: String { declaration.user }

    /// What the message path addresses.
    public var target: QueueTarget {
        switch declaration.placement {
        case .quorum: .quorum(GroupID(id))
        case .transient(let owner, _, _): .transient(TransientID(id), node: owner)
        }
    }

    /// The Raft group of a quorum queue.
    public var group: GroupID? {
        if case .quorum = declaration.placement { GroupID(id) } else { nil }
    }

    /// The members of a quorum queue's group, sorted; empty for a transient queue.
    public var members: [NodeID] {
        if case .quorum(let members, _) = declaration.placement { members } else { [] }
    }

    /// The connection that alone may use the queue, if it is exclusive.
    public var exclusiveOwner: ConnectionOwner? {
        guard case .transient(let node, let incarnation, let connection?) = declaration.placement else { return nil }
        return ConnectionOwner(node: node, incarnation: incarnation, connection: connection)
    }

    /// Whether one connection alone may use it.
    public var isExclusive: Bool { exclusiveOwner != nil }
}
