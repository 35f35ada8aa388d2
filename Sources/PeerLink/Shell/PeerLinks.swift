public import Logging
public import NIOCore
public import Primitives

/// The state of one peer, for display.
public struct PeerStatus: Hashable, Sendable {
    /// Where the peer is configured to be.
    public var endpoint: PeerEndpoint
    /// What the detector believes of it.
    public var liveness: LivenessStatus
    /// The peer at the other end of the open link; nil without one.
    public var linked: PeerIdentity?
    /// Bytes waiting for the peer's socket.
    public var bufferedBytes: Int
    /// Bytes sent and received on the open link.
    public var bytesSent: UInt64
    /// Bytes received on the open link.
    public var bytesReceived: UInt64
    /// Why the last attempt to connect failed, while there is no link.
    public var trouble: String?
}

/// The node's links to its peers: one data connection each, on one event loop, beside the heartbeats.
///
/// Everything is called on the loop. Of two nodes the lower dials; a node that has just started is noticed by its
/// heartbeats, so that the other need not wait to dial it. Messages arrive in order and once, or not at all when the
/// link goes down: whoever sends keeps what must not be lost.
public final class PeerLinks {
    /// What is known of one peer.
    struct Peer {
        var endpoint: PeerEndpoint
        /// The open connection.
        var link: PeerChannelHandler?
        /// The dial under way.
        var attempt: PeerChannelHandler?
        var backoff: Backoff
        var redial: Scheduled<Void>?
        /// Looks from time to time, while the node is suspected, whether it has become silent.
        var watch: Scheduled<Void>?
        var trouble: String?
    }

    /// What the links were made with.
    public let configuration: PeerLinkConfiguration
    /// The loop that everything is called on.
    public let eventLoop: any EventLoop
    /// Told of everything; must outlive the links or be nil.
    public weak var delegate: (any PeerLinksDelegate)?
    /// What each peer is told at the end of the handshake, at most 64 KiB: this node's view of the cluster.
    public var bootstrap = Bytes()
    /// The cluster this node belongs to; set it once it was bootstrapped.
    public var cluster: ClusterID? {
        didSet { heartbeats.setCluster(cluster) }
    }

    let logger: Logger
    let heartbeats: HeartbeatService
    /// Sorted by node.
    var peers: [Peer] = []
    /// Accepted connections that have not proved who they are.
    var strangers: [PeerChannelHandler] = []
    var randomness = SystemRandomNumberGenerator()
    var attempts: UInt64 = 0
    var isStopped = false
    private var needsFlush = false

    /// - Parameter eventLoop: of a `MultiThreadedEventLoopGroup`; all methods are called on it.
    public init(
        configuration: PeerLinkConfiguration, eventLoop: any EventLoop, sources: HeartbeatSources, logger: Logger
    ) {
        precondition(!configuration.secrets.isEmpty)
        self.configuration = configuration
        self.eventLoop = eventLoop
        self.logger = logger
        cluster = configuration.cluster
        heartbeats = HeartbeatService(
            configuration: configuration, sources: sources, eventLoops: [eventLoop], logger: logger)
        for endpoint in configuration.peers { insert(endpoint) }
    }

    private func insert(_ endpoint: PeerEndpoint) {
        guard endpoint.node != configuration.identity.node, index(of: endpoint.node) == nil else { return }
        let limits = configuration.limits
        let backoff = Backoff(minimum: limits.minimumBackoff, maximum: limits.maximumBackoff)
        let place = peers.firstIndex { $0.endpoint.node > endpoint.node } ?? peers.count
        peers.insert(Peer(endpoint: endpoint, backoff: backoff), at: place)
    }

    /// Listens, and begins to dial.
    ///
    /// - Returns: the port listened on.
    /// - Throws: `SocketFailure` when the address cannot be resolved or bound.
    @discardableResult
    public func start() throws(SocketFailure) -> UInt16 {
        eventLoop.preconditionInEventLoop()
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let eventLoop = eventLoop
        let port = try heartbeats.start(
            HeartbeatService.Handlers(
                notify: { eventLoop.execute { bound.value.deliverVerdicts() } },
                dataConnection: { descriptor in eventLoop.execute { bound.value.adopt(descriptor) } }))
        for index in peers.indices { dial(index) }
        return port
    }

    /// Says farewell to all peers, closes everything and ends the heartbeat thread; the future is done when it has
    /// ended.
    public func shutdown() -> EventLoopFuture<Void> {
        eventLoop.preconditionInEventLoop()
        let promise = eventLoop.makePromise(of: Void.self)
        guard !isStopped else {
            promise.succeed()
            return promise.futureResult
        }
        isStopped = true
        for handler in strangers { handler.close(nil) }
        strangers.removeAll()
        for node in peers.map(\.endpoint.node) {
            guard let index = index(of: node) else { continue }
            peers[index].redial?.cancel()
            peers[index].watch?.cancel()
            peers[index].attempt?.close(nil)
            close(index, .shutdown, farewell: .stopping)
        }
        heartbeats.stop { promise.succeed() }
        return promise.futureResult
    }

    // MARK: - Sending

    /// Gathers one message for `node`: `payload` and then `parts`, without a boundary; it leaves with the next `flush`.
    ///
    /// - Returns: false when there is no link, or the message is longer than `PeerLinkLimits.messageBytes`.
    @discardableResult
    public func send(_ payload: Bytes, followedBy parts: [Bytes] = [], to node: NodeID) -> Bool {
        guard let index = index(of: node), let link = peers[index].link else { return false }
        var count = payload.count
        for part in parts { count += part.count }
        guard count <= configuration.limits.messageBytes else {
            logger.error("A message of \(count) bytes to \(node) is longer than a link allows; not sent.")
            return false
        }
        if link.isBackedUp && link.bufferedBytes + count > configuration.limits.outboundBytes {
            overflow(node, link)
            return false
        }
        link.send(payload, parts, count: count)
        needsFlush = true
        return true
    }

    /// Hands everything gathered to the sockets, with one system call per peer.
    public func flush() {
        guard needsFlush else { return }
        needsFlush = false
        for index in peers.indices { peers[index].link?.flush() }
    }

    /// Whether more than `PeerLinkLimits.backedUpBytes` wait for the node's socket: time to send only what is small and
    /// urgent. `linkDrained` tells when it is over.
    public func isBackedUp(_ node: NodeID) -> Bool {
        guard let index = index(of: node), let link = peers[index].link else { return false }
        return link.isBackedUp
    }

    /// Resets a link of which nothing can be dropped and that cannot hold more; reported outside of the caller's call.
    private func overflow(_ node: NodeID, _ link: PeerChannelHandler) {
        let bound = NIOLoopBound((self, link), eventLoop: eventLoop)
        eventLoop.execute {
            let (links, link) = bound.value
            guard let index = links.index(of: node), links.peers[index].link === link else { return }
            links.close(index, .overflow, farewell: nil)
            links.dial(index)
        }
    }

    // MARK: - Queries

    /// Whether messages can be sent to `node`.
    public func isLinked(_ node: NodeID) -> Bool { index(of: node).map { peers[$0].link != nil } ?? false }

    /// Who is at the other end of the open link to `node`.
    public func linkedPeer(_ node: NodeID) -> PeerIdentity? {
        index(of: node).flatMap { peers[$0].link?.peer?.identity }
    }

    /// What the detector believes of `node`.
    public func liveness(of node: NodeID) -> LivenessStatus { heartbeats.status(of: node) }

    /// The newest incarnation of `node` that proved itself.
    public func incarnation(of node: NodeID) -> Incarnation? { heartbeats.incarnation(of: node) }

    /// The last heartbeat of the node's newest process, with its digest.
    public func lastHeartbeat(of node: NodeID) -> Heartbeat? { heartbeats.lastHeartbeat(of: node) }

    /// The state of all peers, ascending by node.
    public func snapshot() -> [PeerStatus] {
        peers.map { peer in
            PeerStatus(
                endpoint: peer.endpoint, liveness: heartbeats.status(of: peer.endpoint.node),
                linked: peer.link?.peer?.identity, bufferedBytes: peer.link?.bufferedBytes ?? 0,
                bytesSent: peer.link?.bytesSent ?? 0, bytesReceived: peer.link?.bytesReceived ?? 0,
                trouble: peer.trouble)
        }
    }

    // MARK: - Membership

    /// Adds a peer, or changes its address, which takes effect with the next dial.
    public func add(_ endpoint: PeerEndpoint) {
        guard endpoint.node != configuration.identity.node else { return }
        if let index = index(of: endpoint.node) { peers[index].endpoint = endpoint } else { insert(endpoint) }
        heartbeats.add(endpoint)
        if let index = index(of: endpoint.node) { dial(index) }
    }

    /// Forgets a peer and closes its link.
    public func remove(_ node: NodeID) {
        guard let index = index(of: node) else { return }
        peers[index].redial?.cancel()
        peers[index].watch?.cancel()
        peers[index].attempt?.close(nil)
        heartbeats.remove(node)
        close(index, .closed, farewell: .closing)
        if let index = self.index(of: node) { peers.remove(at: index) }
    }

    func index(of node: NodeID) -> Int? { peers.firstIndex { $0.endpoint.node == node } }
}
