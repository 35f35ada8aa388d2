import Primitives
import Replication
import Topology

extension BrokerLoop {
    /// The counts of a queue, asked of whoever has it; nil when it is gone or does not answer in time.
    func counts(of record: QueueRecord, _ answer: @escaping (QueueCounts?) -> Void) {
        switch record.target {
        case .quorum(let group):
            handle(for: group).requestCounts(deadline: now + configuration.countsTimeout, answer)
        case .transient(let id, let owner):
            if owner == node.nodeID { return answer(counts(of: id)) }
            let request = request(at: owner) { reply in
                if case .counts(let counts) = reply { answer(counts) } else { answer(nil) }
            }
            post(.counts(request: request, queue: id), to: owner)
        }
    }

    /// Drops the ready messages of a transient queue; the answer says how many, nil when it is gone.
    func purge(_ id: TransientID, at owner: NodeID, _ answer: @escaping (UInt64?) -> Void) {
        if owner == node.nodeID { return answer(localTransient(id).map { UInt64($0.queue.purge()) }) }
        let request = request(at: owner) { reply in
            if case .purged(let count) = reply { answer(count) } else { answer(nil) }
        }
        post(.purge(request: request, queue: id), to: owner)
    }

    /// The members of a new quorum queue: this node, then the others that are up, then the rest. The first leader is
    /// this node, where the client is, or on request the member that is to lead the fewest queues.
    func placeQuorumQueue(size: Int, isBalanced: Bool) -> QueuePlacement {
        let topology = node.topology
        let here = node.nodeID
        var candidates = topology.nodes.map(\.id)
        if !candidates.contains(here) { candidates.append(here) }
        // Rotated, so that the queues of a cluster larger than a group spread.
        let start = Int(nextSerial() % UInt64(candidates.count))
        let rotated = candidates[start...] + candidates[..<start]
        let others = rotated.filter { $0 != here }
        let ordered = [here] + others.filter { node.isUp($0) } + others.filter { !node.isUp($0) }
        let members = ordered.prefix(max(1, min(size, GroupDescriptor.voterLimit))).sorted()
        guard isBalanced else { return .quorum(members: members, preferredLeader: here) }
        var load: [NodeID: Int] = [:]
        for queue in topology.queues {
            if case .quorum(_, let leader) = queue.placement { load[leader, default: 0] += 1 }
        }
        let leader = members.min { (load[$0] ?? 0, $0) < (load[$1] ?? 0, $1) } ?? here
        return .quorum(members: members, preferredLeader: leader)
    }
}
