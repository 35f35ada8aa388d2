import Primitives
import Replication
import Topology

// What a node says of itself in the metadata.
extension SimulatedProcess {
    func propose(_ command: TopologyCommand) -> UInt64 {
        defer { setNeedsFlush() }
        return shard.propose(command, now: now).counter
    }

    func announce() {
        guard shard.topologyLeader != nil else { return }
        if bootstrapping == nil, shard.topologyLeader == node, !shard.topology.isBootstrapped {
            let defaults = TopologyBootstrap(user: UserRecord(name: "guest", passwordHash: nil))
            bootstrapping = propose(.bootstrap(defaults))
        }
        guard !isAnnounced, announcing == nil else { return }
        let record = NodeRecord(
            id: node, name: "\(node)", store: shard.store, peerAddress: "", clientAddress: "", managementAddress: "")
        isRegistering = true
        announcing = propose(.registerNode(record))
    }

    func topologyApplied(_ applied: TopologyApplied) {
        guard applied.request.node == node, applied.request.incarnation == shard.incarnation else { return }
        topologyEnded(applied.request.counter, isDone: true)
    }

    func topologyEnded(_ counter: UInt64, isDone: Bool) {
        if bootstrapping == counter { bootstrapping = nil }
        if announcing == counter {
            announcing = nil
            if isDone && isRegistering {
                isRegistering = false
                announcing = propose(.nodeIncarnation(node, shard.incarnation))
            } else if isDone {
                isAnnounced = true
            }
        }
        gateway.topologyAnswered(counter)
    }
}
