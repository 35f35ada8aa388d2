public import Primitives

/// Bounds of the peer links. Every buffer of this module is limited by one of these.
public struct PeerLinkLimits: Sendable {
    /// Largest message accepted from or sent to a peer, in bytes; it travels in chunks above
    /// `PeerFrame.wholeMessage`.
    public var messageBytes = 128 << 20
    /// Bytes waiting for a peer's socket from which `PeerLinks.isBackedUp` is true.
    public var backedUpBytes = 8 << 20
    /// Bytes waiting for a peer's socket at which the link is reset, because messages are never dropped one by one.
    public var outboundBytes = 256 << 20
    /// Connections that have not proved who they are. More are closed at once.
    public var unauthenticatedConnections = 64
    /// Time for a whole handshake.
    public var handshakeTimeout = Interval.seconds(2)
    /// Time for a TCP connect. Short, because a lost SYN is repeated only after a second.
    public var connectTimeout = Interval.milliseconds(500)
    /// The first pause before a failed dial is repeated; it doubles up to `maximumBackoff`.
    public var minimumBackoff = Interval.milliseconds(10)
    /// The longest pause between two dials.
    public var maximumBackoff = Interval.milliseconds(500)
    /// How long a silent node's connections are kept before they are dialled anew. TCP alone would take seconds to
    /// notice that a partition has healed, since its retransmissions back off.
    public var silentLinkTimeout = Interval.seconds(1)

    /// The defaults.
    public init() {}
}

/// What a node must know to talk to its peers.
public struct PeerLinkConfiguration: Sendable {
    /// Who this node is.
    public var identity: PeerIdentity
    /// The cluster this node belongs to; nil until it was bootstrapped, then checked against every peer's.
    public var cluster: ClusterID?
    /// Where to listen. Dials also leave from this host's address, so that one firewall rule cuts a pair of nodes.
    public var listen: PeerAddress
    /// The other nodes; this node itself is ignored when listed.
    public var peers: [PeerEndpoint]
    /// The first is used to prove who we are; a peer may use any of them, so that a secret can be changed step by step.
    public var secrets: [PeerSecret]
    /// Optional abilities of this version, announced to peers as bits.
    public var features: UInt64 = 0
    /// The detector's times.
    public var liveness = LivenessConfiguration()
    /// The bounds of buffers and times.
    public var limits = PeerLinkLimits()

    /// Collects what must be said; the rest has defaults.
    public init(
        identity: PeerIdentity, cluster: ClusterID?, listen: PeerAddress, peers: [PeerEndpoint], secrets: [PeerSecret]
    ) {
        self.identity = identity
        self.cluster = cluster
        self.listen = listen
        self.peers = peers
        self.secrets = secrets
    }
}
