import Primitives
import Raft

// Members come and go at random points; who is none may lose its disk.
extension ModelRun {
    mutating func changeStep() {
        let leader = leaderOrAny()
        let current = cluster.core(leader).configuration
        let node = anyNode()
        switch random.next(below: 8) {
        case 0, 1:
            guard current.voters.count > 1, current.voters.contains(node) else { return }
            let voters = current.voters.filter { $0 != node }
            // Removed, or a learner from now on.
            let learners = current.learners + (random.oneIn(4) ? [node] : [])
            cluster.change(leader, to: RaftConfiguration(voters: voters, learners: learners))
        case 2: cluster.change(leader, to: current.without(node, voters: false))
        case 3..<7: step(leader, for: node)
        default: replaceDisk(of: node)
        }
    }

    /// The next step on the way of `node` to a vote: a learner first, a voter when its log has caught up.
    private mutating func step(_ leader: NodeID, for node: NodeID) {
        let core = cluster.core(leader)
        let current = core.configuration
        if current.voters.contains(node) { return }
        guard current.learners.contains(node) else {
            cluster.change(
                leader, to: RaftConfiguration(voters: current.voters, learners: current.learners + [node]))
            return
        }
        guard let progress = core.progress(of: node), progress.match.rawValue + 3 >= core.lastIndex.rawValue else {
            return
        }
        cluster.change(
            leader,
            to: RaftConfiguration(
                voters: current.voters + [node], learners: current.learners.filter { $0 != node }))
    }

    /// In the end all nodes are voters.
    mutating func mend(_ leader: NodeID) {
        for node in cluster.nodes { step(leader, for: node) }
    }

    /// A node that nobody counts on comes back on an empty disk, and must not vote as the one that it was.
    private mutating func replaceDisk(of node: NodeID) {
        let isCounted = cluster.replicas.contains { replica in
            replica.core.id != node
                && (replica.core.configurations + replica.configurationsOnDisk).contains {
                    $0.configuration.members.contains(node)
                }
        }
        guard !isCounted else { return }
        let position = cluster.position(of: node)
        cluster.crash(node)
        cluster.network.removeAll { $0.from == node || $0.to == node }
        cluster.snapshots.removeAll { $0.from == node || $0.to == node }
        cluster.replicas[position].founding = cluster.founding.without(node, voters: true)
        cluster.replicas[position].disk = ToyDisk()
        cluster.forgetVotes(of: node)
        cluster.replacedDisks += 1
        cluster.restart(node)
    }
}

extension ToyReplica {
    /// What a restart might go by.
    fileprivate var configurationsOnDisk: [PlacedConfiguration] {
        let all = [PlacedConfiguration(index: .zero, configuration: founding)] + disk.restored.configurations
        return Array(all[(all.lastIndex { $0.index <= disk.snapshotIndex } ?? 0)...])
    }
}

extension RaftConfiguration {
    fileprivate func without(_ node: NodeID, voters isVoter: Bool) -> RaftConfiguration {
        RaftConfiguration(
            voters: isVoter ? voters.filter { $0 != node } : voters, learners: learners.filter { $0 != node })
    }
}
