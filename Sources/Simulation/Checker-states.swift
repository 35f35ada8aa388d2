import Primitives
import QuorumQueue
import Replication
import Topology

extension Checker {
    /// Compares the states of replicas that have applied the same entries.
    func compareStates() {
        for process in simulation.processes {
            for group in process.shard.replicaGroups {
                guard let state = process.shard.replicaState(of: group) else { continue }
                if group == .topology {
                    if state.applied == topologyApplied, state.applied > .zero,
                        Checker.digest(process.shard.topology) != Checker.digest(topology)
                    {
                        fail("equal states", "the topology of \(process.node) differs at \(state.applied)")
                    }
                } else if let index = process.shard.missingEntry(of: group) {
                    fail("live entries", "\(process.node) needs \(index) of \(group) and does not have it")
                } else if let model = models[group], model.applied == state.applied,
                    let machine = process.shard.machine(of: group), machine.stateHash() != model.machine.stateHash()
                {
                    fail("equal states", "\(group) of \(process.node) differs at \(state.applied)")
                }
            }
        }
    }

    private static func digest(_ topology: Topology) -> UInt32 {
        var writer = ByteWriter(capacity: 4_096)
        topology.encodeSnapshot(into: &writer)
        return CRC32C.checksum(writer.take())
    }
}
