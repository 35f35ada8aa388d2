import Primitives
import Raft

/// Random faults on a toy cluster, then a fault-free end in which everything must heal.
struct ModelRun {
    var cluster: ToyCluster
    var random: SeededRandom
    /// Directed pairs that lose everything.
    var cuts: [Bool]
    let isLossy: Bool
    /// Nodes compact their logs, and leaders send snapshots.
    let usesSnapshots: Bool
    /// Disks that may still lose records.
    var losses: Int
    /// They lose a vote at the worst moment, rather than anything at any time.
    let keepsLossForVote: Bool

    /// Members come and go.
    let usesChanges: Bool

    /// - Parameters:
    ///   - losses: how many nodes may lose records that their disks held; a minority.
    ///   - spares: nodes that are no members at first; with them members come and go.
    init(seed: UInt64, nodes: UInt16, usesSnapshots: Bool = false, losses: Int = 0, spares: UInt16? = nil) {
        random = SeededRandom(seed: seed)
        let all = nodes + (spares ?? 0)
        let names = (1...all).map { NodeID($0) }
        cluster = ToyCluster(
            voters: Array(names.prefix(Int(nodes))), spares: Array(names.dropFirst(Int(nodes))), group: GroupID(seed))
        cuts = Array(repeating: false, count: Int(all) * Int(all))
        usesChanges = spares != nil
        isLossy = seed % 4 != 0
        self.usesSnapshots = usesSnapshots
        self.losses = losses
        keepsLossForVote = losses > 0 && seed % 2 == 0
    }

    mutating func anyNode() -> NodeID {
        cluster.nodes[Int(random.next(below: UInt64(cluster.nodes.count)))]
    }

    func isCut(from: NodeID, to: NodeID) -> Bool {
        cuts[cluster.position(of: from) * cluster.nodes.count + cluster.position(of: to)]
    }

    private mutating func deliverAny() {
        guard !cluster.network.isEmpty else { return }
        // Mostly near the front, so that there is progress; sometimes anywhere.
        let bound = random.oneIn(4) ? cluster.network.count : min(cluster.network.count, 3)
        let position = Int(random.next(below: UInt64(bound)))
        let envelope = cluster.network[position]
        if isCut(from: envelope.from, to: envelope.to) || (isLossy && random.oneIn(12)) {
            cluster.network.remove(at: position)
        } else {
            cluster.deliver(at: position, keep: isLossy && random.oneIn(12))
        }
    }

    mutating func step() {
        if usesSnapshots && random.oneIn(8) {
            snapshotStep()
            return
        }
        if losses > 0 {
            if keepsLossForVote { forgetVote() } else if random.oneIn(150) { loseRecords() }
        }
        if usesChanges && random.oneIn(25) {
            changeStep()
            return
        }
        let node = anyNode()
        let other = anyNode()
        switch random.next(below: 100) {
        case 0..<45: deliverAny()
        case 45..<67: cluster.finishWrite(node)
        case 67..<79: cluster.propose(leaderOrAny(), count: 1 + random.next(below: 3))
        case 79..<84: cluster.input(node) { core, ready in core.campaign(into: &ready) }
        case 84..<86: cluster.read(leaderOrAny())
        case 86..<89:
            cluster.input(node) { core, ready in core.broadcastCommit(into: &ready) }
        case 89..<91:
            cluster.input(node) { core, ready in core.retransmit(other, into: &ready) }
        case 91: cluster.input(node) { core, ready in core.peerReset(other, into: &ready) }
        case 92..<94: suspect(node)
        case 94: if random.oneIn(8) { cluster.input(node) { core, ready in core.quorumLost(into: &ready) } }
        case 95: cluster.input(node) { core, ready in core.transfer(to: other, into: &ready) }
        case 96: cluster.input(node) { core, ready in core.abortTransfer() }
        case 97:
            let isPaused = random.oneIn(2)
            cluster.input(node) { core, ready in core.setPaused(other, isPaused, into: &ready) }
        case 98: crashOrRestart(node)
        default: cut()
        }
    }

    /// One follower, or all of them, as the verdicts of a node-level detector go.
    private mutating func suspect(_ node: NodeID) {
        guard random.oneIn(3) else { return }
        let isShared = random.oneIn(2)
        for other in cluster.nodes where isShared || other == node {
            cluster.input(other) { core, ready in core.leaderSuspected(into: &ready) }
        }
    }

    private mutating func crashOrRestart(_ node: NodeID) {
        let replica = cluster.replicas[cluster.position(of: node)]
        if replica.isUp {
            guard random.oneIn(3) else { return }
            cluster.crash(node, survivors: Int(random.next(below: UInt64(replica.writes.count) + 1)))
        } else {
            cluster.restart(node)
        }
    }

    /// Heals the network, cuts some directed links, or cuts one node off so that the others suspect it.
    private mutating func cut() {
        switch random.next(below: 6) {
        case 0, 1: for position in cuts.indices { cuts[position] = false }
        case 2: for position in cuts.indices { cuts[position] = random.oneIn(5) }
        case 3:
            let count = cluster.nodes.count
            let lonely = cluster.position(of: leaderOrAny())
            for position in cuts.indices {
                cuts[position] = (position / count == lonely) != (position % count == lonely)
            }
            for other in cluster.nodes where cluster.core(other).leader == cluster.nodes[lonely] {
                cluster.input(other) { core, ready in core.leaderSuspected(into: &ready) }
            }
        default: break
        }
    }

    mutating func leaderOrAny() -> NodeID {
        let start = Int(random.next(below: UInt64(cluster.nodes.count)))
        for offset in cluster.nodes.indices {
            let node = cluster.nodes[(start + offset) % cluster.nodes.count]
            let replica = cluster.replicas[cluster.position(of: node)]
            if replica.isUp && replica.core.role == .leader { return node }
        }
        return anyNode()
    }

    /// The caller's duties without faults, for at most `rounds` rounds. True when all logs are equal and committed.
    mutating func heal(rounds: Int) -> Bool {
        for position in cuts.indices { cuts[position] = false }
        for node in cluster.nodes where !cluster.replicas[cluster.position(of: node)].isUp { cluster.restart(node) }
        for node in cluster.nodes {
            for other in cluster.nodes {
                cluster.input(node) { core, ready in core.setPaused(other, false, into: &ready) }
            }
            cluster.input(node) { core, ready in core.abortTransfer() }
        }
        var hasProposed = false
        for _ in 0..<rounds {
            settle()
            // Word of a commit alone is not awaited. A network that loses it and keeps the link, as this one did,
            // delays it until the next entry.
            if areLogsEqual(committed: hasProposed) {
                if hasProposed { return true }
                hasProposed = true
                for node in cluster.nodes { cluster.propose(node) }
            }
            duties()
        }
        return false
    }

    private mutating func settle() {
        for _ in 0..<2_000 {
            if !cluster.network.isEmpty { cluster.deliver(at: 0) }
            for node in cluster.nodes { cluster.finishWrite(node) }
            if !cluster.snapshots.isEmpty && random.oneIn(4) { cluster.deliverSnapshot(at: 0) }
            if cluster.network.isEmpty && cluster.snapshots.isEmpty
                && cluster.replicas.allSatisfy({ $0.writes.isEmpty })
            {
                return
            }
        }
    }

    /// What `RaftCore` asks of its caller for liveness.
    private mutating func duties() {
        for node in cluster.nodes {
            let core = cluster.core(node)
            if let leader = core.leader, leader != node {
                let other = cluster.core(leader)
                if other.role != .leader || other.term != core.term {
                    cluster.input(node) { core, ready in core.leaderSuspected(into: &ready) }
                }
            }
            if core.role == .leader {
                for other in cluster.nodes where core.awaitsReply(from: other) || isLost(other) {
                    cluster.input(node) { core, ready in core.retransmit(other, into: &ready) }
                }
                if usesChanges { mend(node) }
                if core.needsCommitBroadcast {
                    cluster.input(node) { core, ready in core.broadcastCommit(into: &ready) }
                }
            }
        }
        let node = anyNode()
        cluster.input(node) { core, ready in core.campaign(into: &ready) }
    }

    /// A node that restarted, and cannot find its leader by campaigning: its link is new.
    private func isLost(_ node: NodeID) -> Bool {
        !cluster.core(node).canCampaign && cluster.core(node).leader == nil
    }

    private func areLogsEqual(committed: Bool) -> Bool {
        let cores = cluster.nodes.map { cluster.core($0) }
        guard let first = cores.first, cores.contains(where: { $0.role == .leader }) else { return false }
        return cores.allSatisfy {
            ($0.commit == $0.lastIndex || !(committed || $0.role == .leader)) && $0.lastIndex == first.lastIndex
                && $0.durableIndex == first.lastIndex
                && $0.leader == first.leader && $0.leader != nil
        }
    }
}
