public import Primitives
import QuorumQueue
import Raft
public import Topology

// The topology group: proposing from any node, and what its changes mean for the replicas here.
extension Shard {
    /// Proposes a change of the metadata. Its outcome comes as a `TopologyApplied` with the id returned, once the local
    /// copy has applied it, or as an expired request in `ShardOutput.topologyExpired`.
    public func propose(_ command: TopologyCommand, now: Instant) -> TopologyRequestID {
        self.now = now
        let (id, encoded) = topologyRequests.add(
            command, node: node, incarnation: incarnation, deadline: now + configuration.topologyTimeout)
        // What no leader takes would hold up the requests that are sent with it.
        if encoded.withUnsafeBytes({ (try? TopologyRequest.validate($0)) == nil }) {
            topologyRequests.applied(id.counter)
            output.topologyExpired.append(id.counter)
        } else {
            forward([encoded])
        }
        return id
    }

    /// Who leads the topology group, as far as this node knows.
    public var topologyLeader: NodeID? { replicas[.topology]?.knownLeader }

    func topologyLeaderChanged(_ leader: NodeID?) {
        guard leader != nil, !topologyRequests.isEmpty else { return }
        forward(topologyRequests.encoded)
    }

    func topologyPeerLinked(_ peer: NodeID) {
        guard topologyLeader == peer, !topologyRequests.isEmpty else { return }
        forward(topologyRequests.encoded)
    }

    private func forward(_ requests: [Bytes]) {
        guard let replica = replicas[.topology], let leader = replica.knownLeader else { return }
        if leader == node {
            for request in requests { take(request, into: replica) }
        } else {
            // One by one, as together they may be more than an entry holds.
            for request in requests {
                outboxes[leader]?.outbox.append(.topologyCommands, group: .topology, sizeHint: request.count) {
                    $0.write(request)
                }
            }
        }
    }

    private func take(_ request: Bytes, into replica: Replica) {
        guard replica.isLeader else { return }
        replica.pending.append(CommandBatch(headers: request, bodies: Bytes(), commandCount: 1))
        enqueue(replica)
    }

    func received(topologyCommands content: Bytes, from node: NodeID) throws(DecodingFailure) {
        let count = try content.withUnsafeBytes { buffer throws(DecodingFailure) in
            try TopologyRequest.validate(buffer)
        }
        guard let replica = replicas[.topology], replica.isLeader, count > 0 else { return }
        replica.pending.append(CommandBatch(headers: content, bodies: Bytes(), commandCount: count))
        enqueue(replica)
    }

    func runTopologyTimeouts() {
        guard topologyRequests.nextDeadline <= now else { return }
        while let counter = topologyRequests.popExpired(now: now) { output.topologyExpired.append(counter) }
        considerStores()
    }

    // MARK: Applying

    func applyTopology(_ entry: Entry) {
        for applied in topology.apply(entry) {
            if applied.request.node == node && applied.request.incarnation == incarnation {
                topologyRequests.applied(applied.request.counter)
            }
            for change in applied.changes { perform(change, at: entry.index) }
            output.topologyApplied.append(applied)
        }
    }

    private func perform(_ change: TopologyChange, at index: LogIndex) {
        switch change {
        case .queueCreated(let record):
            host(record)
            // At a start a group may have its leader before the topology says who should be its members.
            if let group = record.group, let replica = replicas[group] { considerMembers(replica) }
        case .queueDeleted(let record):
            guard let group = record.group else { return }
            tellGroupGone(group)
            removeReplica(group, at: index)
        case .storeReplaced(let node, let store): storeReplaced(of: node, by: store)
        default:
            break
        }
    }

    /// Creates the replica of a queue that has one here and is not here yet.
    private func host(_ record: QueueRecord) {
        guard let group = record.group, case .quorum(let nodes, let preferred) = record.placement,
            nodes.contains(node), replicas[group] == nil, !removedGroups.contains(group),
            // At the start the disk has its say first.
            replicas[.topology] != nil
        else { return }
        // The same on every node, whenever it hears of the queue. Of a node that was not registered then, nor replaced
        // since, the founding store is meant.
        let members = nodes.compactMap { node in
            (topology.store(of: node, at: group) ?? founders.first { $0.node == node }?.store).map {
                GroupDescriptor.Member(node: node, store: $0)
            }
        }
        guard (1...RaftLimits.voters).contains(members.count) else { return }
        createReplica(group, GroupDescriptor(members: members, preferredLeader: preferred))
    }

    /// Creates the replicas that the metadata names and that are not here.
    func hostQueues() {
        for record in topology.queues { host(record) }
    }

    // MARK: Snapshots

    /// The metadata's snapshot at `index`, another node's mostly, takes the place of the metadata here.
    func replaceTopology(by newer: Topology, at index: LogIndex) {
        let changes = topology.changes(to: newer)
        let older = topology
        topology = newer
        for change in changes { perform(change, at: index) }
        removeDeleted(at: index)
        for group in groups { if let replica = replicas[group] { considerMembers(replica) } }
        for peer in [node] + peerNodes {
            let before = older.store(of: peer) ?? founders.first { $0.node == peer }?.store
            if let before, let store = newer.store(of: peer), store != before { storeReplaced(of: peer, by: store) }
        }
        // What was asked for here may be in the snapshot, and then no entry will answer it. Asked once more, the leader
        // says that it is so.
        if !topologyRequests.isEmpty { forward(topologyRequests.encoded) }
        guard !changes.isEmpty else { return }
        output.topologyApplied.append(TopologyApplied(request: .none, outcome: .done, changes: changes))
    }
}
