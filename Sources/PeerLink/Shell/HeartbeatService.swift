import Glibc
public import Logging
public import NIOCore
public import Primitives
import Synchronization

/// What heartbeats tell of this node, asked for by the heartbeat thread before each beat; must be quick and
/// thread-safe.
public struct HeartbeatSources: Sendable {
    /// Age of the oldest unfinished fdatasync at the given time; zero when none is under way.
    public var diskAge: @Sendable (Instant) -> Interval
    /// Digest of the groups that this node leads and the given peer follows, with their terms.
    public var digest: @Sendable (NodeID) -> UInt64

    /// Collects the parts.
    public init(
        diskAge: @escaping @Sendable (Instant) -> Interval = { _ in .zero },
        digest: @escaping @Sendable (NodeID) -> UInt64 = { _ in 0 }
    ) {
        self.diskAge = diskAge
        self.digest = digest
    }
}

/// The node's heartbeats and its listener, on a thread of their own: a busy event loop neither delays a heartbeat nor
/// blinds the detector.
///
/// Each node dials every peer and sends its heartbeats on that connection; it hears the peer's on the one it accepted.
/// The thread owns the listening socket, reads each accepted connection's preamble, keeps the heartbeat connections and
/// hands the data connections over. Verdicts collect until `takeVerdicts`; `notify` is called, from any thread, when
/// the first one is waiting.
public final class HeartbeatService: Sendable {
    /// What the thread and the callers share.
    struct Shared {
        var liveness: NodeLiveness
        var verdicts: [LivenessVerdict] = []
        /// Whether somebody was told of the verdicts that wait.
        var isNotified = false
        var cluster: ClusterID?
        var peers: [PeerEndpoint]
        /// Counts changes of `peers` and `hosts`.
        var generation = 0
        /// Hosts from which nodes with names were seen to connect.
        var hosts: [NodeID: String] = [:]
        /// Nodes to dial without waiting for the back-off.
        var kicked: [NodeID] = []
        var isStopping = false
    }

    /// Callbacks of the thread.
    public struct Handlers: Sendable {
        /// Verdicts are waiting.
        public var notify: @Sendable () -> Void
        /// A data connection, its preamble read; the receiver owns the descriptor.
        public var dataConnection: @Sendable (CInt) -> Void

        /// Collects the parts.
        public init(
            notify: @escaping @Sendable () -> Void, dataConnection: @escaping @Sendable (CInt) -> Void
        ) {
            self.notify = notify
            self.dataConnection = dataConnection
        }
    }

    let configuration: PeerLinkConfiguration
    let sources: HeartbeatSources
    let logger: Logger
    /// The loops whose turns are watched.
    let eventLoops: [any EventLoop]
    private let state: Mutex<Shared>
    private let wakeUp: WakePipe

    /// Collects the parts.
    public init(
        configuration: PeerLinkConfiguration, sources: HeartbeatSources, eventLoops: [any EventLoop], logger: Logger
    ) {
        self.configuration = configuration
        self.sources = sources
        self.eventLoops = eventLoops
        self.logger = logger
        var peers: [PeerEndpoint] = []
        for peer in configuration.peers where peer.node != configuration.identity.node {
            if !peers.contains(where: { $0.node == peer.node }) { peers.append(peer) }
        }
        let liveness = NodeLiveness(
            configuration: configuration.liveness, nodes: peers.map(\.node), now: MonotonicClock.now())
        state = Mutex(Shared(liveness: liveness, cluster: configuration.cluster, peers: peers))
        wakeUp = WakePipe()
    }

    /// Binds the listener and starts the thread; call once.
    ///
    /// - Returns: the port listened on.
    /// - Throws: `SocketFailure` when the address cannot be resolved or bound.
    public func start(_ handlers: Handlers) throws(SocketFailure) -> UInt16 {
        guard let address = SocketAddressBytes(resolving: configuration.listen) else {
            throw SocketFailure(operation: "resolve \(configuration.listen)", errno: EADDRNOTAVAIL)
        }
        let listener = try SystemSocket.listen(on: address)
        let port = SocketAddressBytes(boundTo: listener)?.port ?? configuration.listen.port
        let start = HeartbeatThread.Start(service: self, handlers: handlers, listener: listener, wakeUp: wakeUp)
        let failure = HeartbeatThread.spawn(start)
        guard failure == 0 else {
            SystemSocket.close(listener)
            throw SocketFailure(operation: "pthread_create", errno: failure)
        }
        return port
    }

    /// Says farewell to all peers and ends the thread, which calls `completion` last. The event loops must live until
    /// then.
    public func stop(_ completion: @escaping @Sendable () -> Void) {
        stopped.withLock { $0 = completion }
        withShared { $0.isStopping = true }
        wake()
    }

    private let stopped = Mutex<(@Sendable () -> Void)?>(nil)

    func finished() { stopped.withLock { $0 }?() }

    // MARK: - Evidence from the data links

    /// A data connection of an authenticated peer opened; `host` is the numeric address it was seen at.
    public func connected(_ peer: PeerIdentity, host: String?) {
        let now = MonotonicClock.now()
        withShared { shared in
            shared.liveness.connected(peer.node, peer.incarnation, now: now, into: &shared.verdicts)
            if let host, shared.hosts[peer.node] != host {
                shared.hosts[peer.node] = host
                shared.generation += 1
            }
            shared.kicked.append(peer.node)
        }
        wake()
    }

    /// A data connection ended without a farewell.
    public func linkReset(_ node: NodeID, _ incarnation: Incarnation) {
        let now = MonotonicClock.now()
        withShared { $0.liveness.linkReset(node, incarnation, now: now, into: &$0.verdicts) }
    }

    /// A peer said on a data connection that it stops.
    public func stopping(_ node: NodeID, _ incarnation: Incarnation) {
        let now = MonotonicClock.now()
        withShared { $0.liveness.stopping(node, incarnation, now: now, into: &$0.verdicts) }
    }

    // MARK: - Queries and changes, from any thread

    /// What changed since the last call, in order.
    public func takeVerdicts() -> [LivenessVerdict] {
        withShared { shared in
            let verdicts = shared.verdicts
            shared.verdicts.removeAll()
            shared.isNotified = false
            return verdicts
        }
    }

    /// What the detector believes of the node.
    public func status(of node: NodeID) -> LivenessStatus { withShared { $0.liveness.status(of: node) } }

    /// The newest incarnation of the node that proved itself.
    public func incarnation(of node: NodeID) -> Incarnation? { withShared { $0.liveness.incarnation(of: node) } }

    /// The last heartbeat of the node's newest process: its digest and its reported ages.
    public func lastHeartbeat(of node: NodeID) -> Heartbeat? { withShared { $0.liveness.report(of: node) } }

    /// Time since the node's last sign of life.
    public func silence(of node: NodeID) -> Interval {
        let now = MonotonicClock.now()
        return withShared { $0.liveness.silence(of: node, now: now) }
    }

    /// The cluster was founded: from now on it is checked.
    public func setCluster(_ cluster: ClusterID?) { withShared { $0.cluster = cluster } }

    /// Begins to dial and to watch a peer.
    public func add(_ peer: PeerEndpoint) {
        guard peer.node != configuration.identity.node else { return }
        let now = MonotonicClock.now()
        withShared { shared in
            shared.peers.removeAll { $0.node == peer.node }
            shared.peers.append(peer)
            shared.hosts[peer.node] = nil
            shared.liveness.add(peer.node, now: now)
            shared.generation += 1
        }
        wake()
    }

    /// Forgets a peer and closes its connections.
    public func remove(_ node: NodeID) {
        withShared { shared in
            shared.peers.removeAll { $0.node == node }
            shared.hosts[node] = nil
            shared.liveness.remove(node)
            shared.generation += 1
        }
        wake()
    }

    func withShared<R>(_ body: (inout Shared) -> sending R) -> sending R { state.withLock { body(&$0) } }

    private func wake() { wakeUp.wake() }
}
