import Primitives
import Raft

// Snapshots at random points, and disks that lose records.
extension ModelRun {
    mutating func snapshotStep() {
        let node = anyNode()
        switch random.next(below: 30) {
        case 0..<12: deliverAnySnapshot()
        case 12..<25:
            let core = cluster.core(node)
            let room = core.commit.rawValue - core.baseIndex.rawValue
            guard room > 0 else { return }
            cluster.compact(node, through: core.baseIndex + 1 + random.next(below: room))
        case 25, 26:
            let other = anyNode()
            cluster.input(leaderOrAny()) { core, _ in core.snapshotFailed(other) }
        case 27:
            // Cut off for a while, a node falls behind the logs of the others.
            isolate(node)
        default:
            // At once, as from a leader next door: delivered, written and installed before anything else happens.
            guard let place = cluster.snapshots.indices.last else { return }
            let envelope = cluster.snapshots[place]
            guard !isCut(from: envelope.from, to: envelope.to) else { return }
            cluster.deliverSnapshot(at: place)
            for _ in cluster.replicas[cluster.position(of: envelope.to)].writes { cluster.finishWrite(envelope.to) }
        }
    }

    private mutating func isolate(_ node: NodeID) {
        let count = cluster.nodes.count
        let lonely = cluster.position(of: node)
        for position in cuts.indices {
            cuts[position] = (position / count == lonely) != (position % count == lonely)
        }
    }

    /// Any of those under way, however old; some get lost, and some come again.
    private mutating func deliverAnySnapshot() {
        guard !cluster.snapshots.isEmpty else { return }
        let place = Int(random.next(below: UInt64(cluster.snapshots.count)))
        let envelope = cluster.snapshots[place]
        if isCut(from: envelope.from, to: envelope.to) || (isLossy && random.oneIn(6)) {
            cluster.snapshots.remove(at: place)
            guard random.oneIn(2) else { return }
            cluster.input(envelope.from) { core, _ in core.snapshotFailed(envelope.to) }
        } else {
            cluster.deliverSnapshot(at: place, keep: isLossy && random.oneIn(3))
        }
    }

    /// A node that voted in a term above that of a leader who does not know it yet loses the record of it, and is found
    /// by that leader again, while the candidate has the vote and is cut off. The most dangerous loss of all; see
    /// `RestoredLog.mayVote`.
    mutating func forgetVote() {
        for replica in cluster.replicas where replica.isUp && replica.core.role == .leader {
            for voter in cluster.replicas where voter.isUp && !cluster.doubtful.contains(voter.core.id) {
                let node = voter.core.id
                guard let vote = voter.disk.hardState.vote, vote != node, vote != replica.core.id,
                    voter.disk.hardState.term > replica.core.term,
                    voter.disk.log.last?.term ?? .zero <= replica.core.term
                else { continue }
                losses -= 1
                while let place = cluster.network.firstIndex(where: { $0.from == node && $0.to == vote }) {
                    cluster.deliver(at: place)
                }
                for _ in 0..<4 { cluster.finishWrite(vote) }
                isolate(vote)
                cluster.crash(node)
                cluster.doubtful.append(node)
                cluster.replicas[cluster.position(of: node)].disk.hardState = HardState(term: replica.core.term)
                cluster.restart(node)
                cluster.input(replica.core.id) { core, ready in core.retransmit(node, into: &ready) }
                cluster.propose(replica.core.id)
                return
            }
        }
    }

    /// A node's process ends and its disk loses records: the term and the vote, the end of the log, in the middle a
    /// truncation and what followed it, or everything.
    mutating func loseRecords() {
        let node = anyNode()
        let position = cluster.position(of: node)
        guard !cluster.doubtful.contains(node) else { return }
        losses -= 1
        cluster.crash(node)
        cluster.doubtful.append(node)
        var disk = cluster.replicas[position].disk
        if random.oneIn(4) { disk = ToyDisk(hardState: disk.hardState) }
        let base = Int(disk.snapshotIndex.rawValue)
        if random.oneIn(2) && disk.log.count > base {
            disk.log.removeLast(Int(random.next(below: UInt64(disk.log.count - base) + 1)))
        }
        for place in disk.log.indices.dropFirst(base) where random.oneIn(3) {
            // What another has there may once have been here, under a truncation.
            let other = cluster.replicas[cluster.position(of: anyNode())].disk.log
            let floor = place == 0 ? .zero : disk.log[place - 1].term
            let ceiling = place + 1 < disk.log.count ? disk.log[place + 1].term : disk.hardState.term
            if place < other.count, other[place].term >= floor, other[place].term <= ceiling {
                disk.log[place] = other[place]
            }
        }
        let floor = disk.log.last?.term ?? .zero
        let room = disk.hardState.term.rawValue - floor.rawValue
        disk.hardState = HardState(term: Term(floor.rawValue + random.next(below: room + 1)))
        cluster.replicas[position].disk = disk
    }
}
