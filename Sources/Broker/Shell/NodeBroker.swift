public import LogStore
public import Logging
public import NIOCore
public import Primitives
public import QueueClient
public import Replication
public import Topology

/// A node's broker on its replication: passes calls and events between `BrokerLoop` and `ReplicationNode`, and makes
/// the node known to the cluster's metadata.
///
/// Confined to the node's event loop.
public final class NodeBroker {
    /// The replication underneath.
    public let replication: ReplicationNode
    /// The front door; nil only while it is being put together.
    public private(set) var loop: BrokerLoop?
    /// Called once, when clients can be served.
    public var onReady: (() -> Void)?
    /// The product's version.
    public static let version = "0.1.0"
    /// `cluster_name`.
    public let clusterName: String
    private let record: NodeRecord
    private let defaults: TopologyBootstrap
    private let onFailure: (String) -> Void
    private var completions: [UInt64: (Result<TopologyOutcome, ProposeFailure>) -> Void] = [:]
    private var isAnnounced = false
    private var isAnnouncing = false
    private var isBootstrapping = false

    /// - Parameters:
    ///   - record: how this node is listed in the cluster's metadata.
    ///   - defaults: the first virtual host and user of a new cluster.
    ///   - onFailure: the node cannot go on, with the reason; the process must end.
    public init(
        replication: ReplicationNode, configuration: BrokerConfiguration, record: NodeRecord,
        defaults: TopologyBootstrap, eventLoop: any EventLoop, logger: Logger,
        onFailure: @escaping (String) -> Void
    ) {
        self.replication = replication
        self.record = record
        self.clusterName = configuration.clusterName
        self.defaults = defaults
        self.onFailure = onFailure
        replication.delegate = self
        loop = BrokerLoop(
            node: self, configuration: configuration, eventLoop: eventLoop, logger: logger,
            now: .now)
    }

    /// Whether clients can be served: the metadata is bootstrapped and this node is part of it.
    public var isReady: Bool { isAnnounced && topology.isBootstrapped }

    private func noteReadiness() {
        guard isReady else { return }
        onReady?()
        onReady = nil
    }

    // MARK: Announcing

    /// Bootstraps a new cluster's metadata and lists this start of this node in it, as soon as there is a leader.
    private func announce() {
        guard replication.shard.topologyLeader != nil else { return }
        if !isBootstrapping, replication.shard.topologyLeader == nodeID, !topology.isBootstrapped {
            isBootstrapping = true
            propose(.bootstrap(defaults)) { [weak self] _ in self?.isBootstrapping = false }
        }
        guard !isAnnounced, !isAnnouncing else { return }
        isAnnouncing = true
        propose(.registerNode(record)) { [weak self] _ in
            guard let self else { return }
            propose(.nodeIncarnation(nodeID, incarnation)) { [weak self] result in
                self?.isAnnouncing = false
                if case .success = result { self?.isAnnounced = true }
                self?.noteReadiness()
            }
        }
    }
}

extension NodeBroker: BrokerNode {
    /// See `BrokerNode`.
    public var nodeID: NodeID { replication.shard.node }
    /// See `BrokerNode`.
    public var incarnation: Incarnation { replication.shard.incarnation }
    /// See `BrokerNode`.
    public var topology: Topology { replication.shard.topology }

    /// See `BrokerNode`.
    public func leader(of group: GroupID) -> (node: NodeID?, term: Term) { replication.leader(of: group) }

    /// See `BrokerNode`.
    public func commandRoom(to node: NodeID) -> Int? { replication.shard.commandRoom(to: node) }

    /// See `BrokerNode`.
    public func send(_ message: ClientMessage, group: GroupID, to node: NodeID) {
        replication.send(message, group: group, to: node)
    }

    /// See `BrokerNode`.
    public func propose(
        _ command: TopologyCommand, completion: @escaping (Result<TopologyOutcome, ProposeFailure>) -> Void
    ) {
        completions[replication.propose(command).counter] = completion
    }

    /// See `BrokerNode`.
    public func sendToGateway(_ node: NodeID, _ payload: Bytes) { replication.sendToGateway(node, payload) }

    /// See `BrokerNode`.
    public func isUp(_ node: NodeID) -> Bool { replication.isUp(node) }

    /// See `BrokerNode`.
    public func setNeedsFlush() { replication.setNeedsFlush() }
}

extension NodeBroker: ReplicationNodeDelegate {
    /// Everything that the broker gathered leaves.
    public func flush(now: Instant) { loop?.flush() }

    /// Announces this node until the cluster knows it; heartbeats and timeouts of clients.
    public func tick(now: Instant) {
        announce()
        noteReadiness()
        loop?.tick(now: now)
    }

    /// Tells the queue clients.
    public func leaderChanged(group: GroupID, leader: NodeID?, term: Term) {
        if group == .topology {
            announce()
        } else {
            loop?.leaderChanged(group, node: leader, term: term)
        }
    }

    /// Hands a leader's message to its queue client.
    public func received(_ message: LeaderMessage, group: GroupID, from node: NodeID) {
        loop?.received(message, group: group, from: node)
    }

    /// Tells the broker what changed, and whoever proposed it.
    public func topologyApplied(_ applied: [TopologyApplied]) {
        for one in applied where !one.changes.isEmpty { loop?.topologyChanged(one.changes) }
        for one in applied where one.request.node == nodeID && one.request.incarnation == incarnation {
            completions.removeValue(forKey: one.request.counter)?(.success(one.outcome))
        }
    }

    /// Tells the proposer that nothing was applied in time.
    public func topologyExpired(_ counter: UInt64) {
        completions.removeValue(forKey: counter)?(.failure(.unavailable))
    }

    /// Hands over what another node's broker sent.
    public func gatewayMessage(from node: NodeID, _ payload: Bytes) { loop?.gatewayMessage(from: node, payload) }

    /// Tells the broker.
    public func nodeUp(_ node: NodeID, _ incarnation: Incarnation) { loop?.nodeUp(node, incarnation: incarnation) }

    /// Tells the broker.
    public func nodeDown(_ node: NodeID) { loop?.nodeDown(node) }

    /// Tells the broker.
    public func linkReset(_ node: NodeID) { loop?.linkReset(node) }

    /// Lets what waited for the link go on.
    public func linkDrained(_ node: NodeID) { loop?.linkDrained(node) }

    /// Raises or clears the disk alarm at once.
    public func logSpaceChanged(_ space: LogSpace) { loop?.observe(logSpace: space) }

    /// Ends the process through `onFailure`.
    public func failed(_ reason: String) { onFailure(reason) }
}
