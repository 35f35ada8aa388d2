import LogStore
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
                } else if let index = process.shard.missingEntries(of: group).first(where: { isLive($0, in: group) }) {
                    fail("live entries", "\(process.node) needs \(index) of \(group) and does not have it")
                } else if let model = models[group], model.applied == state.applied,
                    let machine = process.shard.machine(of: group), machine.stateHash() != model.machine.stateHash()
                {
                    fail("equal states", "\(group) of \(process.node) differs at \(state.applied)")
                }
            }
        }
    }

    /// What a transfer leaves out, because a committed command behind its snapshot acknowledged it, is missing only
    /// until the replica has applied that command, too.
    private func isLive(_ index: LogIndex, in group: GroupID) -> Bool {
        guard let model = models[group] else { return true }
        return model.machine.liveIndices.contains { $0.contains(index) }
    }

    /// Entries of an interrupted transfer may have taken the place of others, none of which can be committed: the last
    /// one found is no less than any acknowledged one that is.
    func checkBound(of promise: Promise, in found: RecoveredGroup, at node: NodeID) {
        let committed = committed[found.group] ?? []
        let index = promise.acknowledged
        guard let last = found.usableEntries.last, found.usableEntries.count == found.entries.count,
            index.rawValue <= UInt64(committed.count), index > found.snapshot?.index ?? .zero,
            committed[Int(index.rawValue) - 1].term == promise.acknowledgedTerm
        else { return }
        if (last.term, last.index) < (promise.acknowledgedTerm, index) {
            fail(
                "durable ⊇ acknowledged",
                "\(node) acknowledged \(index) of \(promise.acknowledgedTerm) in \(found.group), found up to "
                    + "\(last.index) of \(last.term) in a transfer")
        }
    }

    private static func digest(_ topology: Topology) -> UInt32 {
        var writer = ByteWriter(capacity: 4_096)
        topology.encodeSnapshot(into: &writer)
        return CRC32C.checksum(writer.take())
    }
}
