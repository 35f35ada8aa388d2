public import LogStore
public import PeerLink
public import Primitives

/// What a node needs to know to replicate.
public struct NodeConfiguration: Sendable {
    /// The configured number of this node.
    public var node: NodeID
    /// The directory of the node log; created when missing.
    public var directory: String
    /// Where this node listens for its peers.
    public var listen: PeerAddress
    /// The other nodes.
    public var peers: [PeerEndpoint]
    /// What peers prove to each other: the first is used, all are accepted.
    public var secrets: [PeerSecret]
    /// Timing and bounds of the replicas.
    public var shard = ShardConfiguration()
    /// Segments and pacing of the node log.
    public var log = LogConfiguration()
    /// How cold segments of the node log are read in the background.
    public var scrub = ScrubConfiguration()
    /// Heartbeats and suspicion.
    public var liveness = LivenessConfiguration()

    /// The rest has defaults.
    public init(
        node: NodeID, directory: String, listen: PeerAddress, peers: [PeerEndpoint], secrets: [PeerSecret]
    ) {
        self.node = node
        self.directory = directory
        self.listen = listen
        self.peers = peers
        self.secrets = secrets
    }
}
