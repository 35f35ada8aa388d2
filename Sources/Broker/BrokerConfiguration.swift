public import Primitives

/// The limits and names of a broker. The defaults are RabbitMQ's where it has the same limit.
public struct BrokerConfiguration: Sendable {
    /// `product` of the server properties.
    public var product = "Warren"
    /// `version` of the server properties: `x.y.z`, since clients parse it to tell what a RabbitMQ server can do.
    public var version = "4.3.0"
    /// `cluster_name` of the server properties.
    public var clusterName = "warren"
    /// Largest frame offered to clients, in bytes, all of it counted; at least 8,192.
    public var frameMax: UInt32 = 131_072
    /// Highest channel number offered to clients.
    public var channelMax: UInt16 = 2_047
    /// Heartbeat offered to clients, in seconds; 0 turns heartbeats off.
    public var heartbeatSeconds: UInt16 = 60
    /// Time from accepting a socket to `connection.open`.
    public var handshakeTimeout = Interval.seconds(10)
    /// Time a `connection.close` of ours waits for its answer before the socket is closed, and a socket that is to be
    /// closed for the client to read what is written.
    public var closeTimeout = Interval.seconds(5)
    /// Largest message body, in bytes; a larger one closes its channel with 406.
    public var maxMessageSize = 16 << 20
    /// Users that may only connect from the loopback interface.
    public var loopbackUsers: Set<String> = ["guest"]
    /// Members of a new quorum queue when `x-quorum-initial-group-size` does not say.
    public var groupSize = 3
    /// Time a `queue.declare` waits for the leader's counts before it answers with zeros.
    public var countsTimeout = Interval.seconds(2)
    /// Time a consume, get or purge waits for the queue's leader before its channel is closed with 541.
    public var operationTimeout = Interval.seconds(60)
    /// Bytes of frames kept back per channel while an operation of it is under way; beyond it reading stops.
    public var deferredLimit = 1 << 20
    /// Bytes waiting for a socket above which auto-acknowledged deliveries to it are not settled any further.
    public var outputHighWater = 1 << 20
    /// Bytes that the ready messages of one transient queue may take; publishes beyond it are dropped from its head.
    public var transientQueueLimit = 256 << 20
    /// Deliveries to a consumer without acknowledgements that are not yet written to its socket.
    public var autoAckWindow: UInt32 = 2_000
    /// Connections accepted at most.
    public var connectionLimit = 20_000
    /// Memory and disk space at which publishers have to wait.
    public var resourceLimits = ResourceLimits()

    /// Makes the broker lie once; for tests of the checkers.
    public var sabotage: SabotageKind?

    /// The defaults.
    public init() {}
}
