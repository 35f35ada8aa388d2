public import Primitives

/// A node of the cluster.
public struct NodeRecord: Hashable, Sendable {
    /// The configured number.
    public var id: NodeID
    /// Like `warren@host`; at most 255 bytes.
    public var name: String
    /// The data directory that this membership means.
    public var store: StoreID
    /// `host:port` of the peer listener.
    public var peerAddress: String
    /// `host:port` of the AMQP listener.
    public var clientAddress: String
    /// `host:port` of the HTTP listener.
    public var managementAddress: String

    /// Collects the parts.
    public init(
        id: NodeID, name: String, store: StoreID, peerAddress: String, clientAddress: String,
        managementAddress: String
    ) {
        self.id = id
        self.name = name
        self.store = store
        self.peerAddress = peerAddress
        self.clientAddress = clientAddress
        self.managementAddress = managementAddress
    }
}
