public import Primitives

/// A change of the cluster's metadata. Every command is idempotent: applied twice it leaves the same state, so a
/// proposer that lost the answer proposes again. Whether a user may do it, and reserved names, are the proposer's
/// checks.
public enum TopologyCommand: Hashable, Sendable {
    /// Creates the first virtual host, user and permissions of a new cluster. Has an effect once in its life, so that a
    /// deleted default user stays deleted.
    case bootstrap(TopologyBootstrap)

    /// Creates a virtual host, or replaces its metadata.
    case putVirtualHost(VirtualHostRecord)
    /// Deletes it with all exchanges, queues, bindings and permissions in it.
    case deleteVirtualHost(String)

    /// Creates or replaces a user.
    case putUser(UserRecord)
    /// Deletes a user and the user's permissions.
    case deleteUser(String)
    /// Sets what a user may do in a virtual host; both must exist.
    case setPermissions(user: String, vhost: String, configure: String, write: String, read: String)
    /// Takes the user's access to the virtual host away.
    case clearPermissions(user: String, vhost: String)

    /// Creates an exchange; the same again is answered with what exists.
    case declareExchange(ExchangeRecord)
    /// Deletes an exchange with its bindings; `ifUnused` refuses while bindings come from it.
    case deleteExchange(vhost: String, name: String, ifUnused: Bool)
    /// Creates a queue; the same again is answered with what exists.
    case declareQueue(QueueDeclaration)
    /// Deletes a queue and the bindings to it. With `expected` only the queue of that id, so that a delete proposed
    /// again does not hit a successor of the same name.
    case deleteQueue(vhost: String, name: String, expected: UInt64?)
    /// Adds a binding.
    case bind(Binding)
    /// Removes a binding; a missing one is no error.
    case unbind(Binding)

    /// A connection ended: its exclusive queues go.
    case connectionClosed(ConnectionOwner)
    /// Records a member. Another store id for a known node is refused.
    case registerNode(NodeRecord)
    /// A node lost its data directory, or another took its place: the old one never counts again, should it come back.
    /// `stale` when it is not the node's.
    case replaceStore(NodeID, StoreID, by: StoreID)
    /// A node started anew: transient queues of its older incarnations go.
    case nodeIncarnation(NodeID, Incarnation)
    /// A node is given up in this incarnation: its transient queues go, and it may not declare more of them in it.
    case nodeLost(NodeID, Incarnation)
}

/// The defaults of a new cluster.
public struct TopologyBootstrap: Hashable, Sendable {
    /// The virtual host to create.
    public var vhost: String
    /// The user to create.
    public var user: UserRecord
    /// What the user may configure in the virtual host.
    public var configure: String
    /// What the user may write to.
    public var write: String
    /// What the user may read from.
    public var read: String

    /// Names the defaults; the hash in `user` carries its salt.
    public init(
        vhost: String = "/", user: UserRecord, configure: String = ".*", write: String = ".*", read: String = ".*"
    ) {
        self.vhost = vhost
        self.user = user
        self.configure = configure
        self.write = write
        self.read = read
    }
}
