import Primitives
import Raft

// The caller's part in snapshots: taking, sending, receiving, installing.
extension ToyCluster {
    /// Begins to write a snapshot of what `node` has applied up to `index`.
    mutating func compact(_ node: NodeID, through index: LogIndex) {
        let position = position(of: node)
        let replica = replicas[position]
        guard replica.isUp, index > replica.core.baseIndex, index <= replica.core.commit else { return }
        let snapshot = ToySnapshot(entries: Array(replica.log.prefix(Int(index.rawValue))))
        check(snapshot.entries == Array(committed.prefix(snapshot.entries.count)), "\(node) snapshots another state")
        note("  \(node) writes a snapshot \(snapshot.index)/\(snapshot.term)")
        replicas[position].writes.append(DiskWrite(snapshot: snapshot))
    }

    /// Sends a snapshot that the core of `node` asked for.
    mutating func sendSnapshot(to target: NodeID, from node: NodeID) {
        let core = core(node)
        check(core.role == .leader, "\(node) sends snapshots and does not lead")
        check(core.progress(of: target)?.pendingSnapshot != nil, "\(node) names \(target) without need")
        offerSnapshot(to: target, from: node)
    }

    /// Sends the snapshot on disk, unless it is under way already.
    mutating func offerSnapshot(to target: NodeID, from node: NodeID) {
        let replica = replicas[position(of: node)]
        let snapshot = replica.disk.snapshot
        check(snapshot.index >= replica.core.baseIndex, "\(node) needs a snapshot that it does not have")
        let envelope = SnapshotEnvelope(from: node, to: target, leaderTerm: replica.core.term, snapshot: snapshot)
        note("  \(node) > \(target) snapshot \(replica.core.term) of \(snapshot.index)/\(snapshot.term)")
        if !snapshots.contains(envelope) { snapshots.append(envelope) }
    }

    /// Delivers a whole snapshot: offered, compared, and if it is news, handed to the disk.
    mutating func deliverSnapshot(at place: Int, keep: Bool = false) {
        let envelope = keep ? snapshots[place] : snapshots.remove(at: place)
        let position = position(of: envelope.to)
        let snapshot = envelope.snapshot
        guard replicas[position].isUp, !replicas[position].isInstalling else { return }
        let isOffered = replicas[position].core.receiveSnapshotOffer(
            term: envelope.leaderTerm, from: envelope.from, into: &ready)
        workOff(envelope.to, attached: nil)
        let core = replicas[position].core
        check(isOffered == (core.leader == envelope.from && core.term == envelope.leaderTerm), "a wrong leader")
        guard isOffered else { return }
        guard snapshot.index > core.commit else {
            install(envelope)
            return
        }
        var write = DiskWrite(snapshot: snapshot, received: envelope)
        if !core.keepsSuffix(afterSnapshotAt: snapshot.index, term: snapshot.term) {
            write.truncateFrom = snapshot.index.next
        }
        note("  \(envelope.to) writes the snapshot\(write.truncateFrom.map { " and truncates from \($0)" } ?? "")")
        replicas[position].writes.append(write)
    }

    /// A snapshot is durable and current.
    mutating func snapshotWritten(_ write: DiskWrite, at node: NodeID) {
        guard let snapshot = write.snapshot else { return }
        let position = position(of: node)
        if let envelope = write.received {
            let commit = replicas[position].core.commit
            let isTaken = install(envelope)
            let mustTake = snapshot.index > commit && replicas[position].core.role != .leader
            check(isTaken == mustTake, "\(node) \(isTaken ? "takes" : "ignores") a snapshot of \(snapshot.index)")
        }
        let core = replicas[position].core
        if snapshot.index > core.baseIndex && snapshot.index <= core.commit {
            compactions += 1
            input(node) { core, _ in core.compact(through: snapshot.index) }
        }
    }

    @discardableResult
    private mutating func install(_ envelope: SnapshotEnvelope) -> Bool {
        let position = position(of: envelope.to)
        let keeps = replicas[position].core.keepsSuffix(
            afterSnapshotAt: envelope.snapshot.index, term: envelope.snapshot.term)
        let commit = replicas[position].core.commit
        let last = replicas[position].core.lastIndex
        replicas[position].core.installSnapshot(
            index: envelope.snapshot.index, term: envelope.snapshot.term,
            configuration: envelope.snapshot.configuration
                ?? PlacedConfiguration(index: .zero, configuration: founding),
            leaderTerm: envelope.leaderTerm, from: envelope.from, into: &ready)
        let isTaken = ready.snapshotInstalled != nil
        if isTaken {
            // A replica on an empty disk gets to know the founding configuration as it was.
            replicas[position].founding = founding
            check(envelope.snapshot.index > commit, "an old snapshot is installed")
            replicas[position].log =
                envelope.snapshot.entries
                + (keeps ? replicas[position].log.dropFirst(envelope.snapshot.entries.count) : [])
            installs += 1
        }
        let dropped = isTaken && !keeps && last > envelope.snapshot.index ? envelope.snapshot.index.next : nil
        check(ready.snapshotDroppedFrom == dropped, "\(envelope.to) misreports the entries dropped")
        if dropped != nil { droppedSuffixes += 1 }
        workOff(envelope.to, attached: nil)
        return isTaken
    }

    /// What a ready says of an installed snapshot.
    mutating func takeSnapshot(at node: NodeID) {
        guard let index = ready.snapshotInstalled else { return }
        let core = core(node)
        check(ready.commit == index && core.commit == index, "\(node) installs \(index) and commits something else")
        check(core.baseIndex == index && core.durableIndex >= index, "\(node) does not go on behind \(index)")
        check(ready.persist == nil && ready.truncateFrom == nil, "\(node) installs and appends at once")
    }

    // MARK: Invariants

    /// Appends name only what the log still has, and none goes where a snapshot is needed.
    mutating func checkAppend(_ order: AppendOrder, of node: NodeID) {
        let core = core(node)
        check(order.append.prevIndex >= core.baseIndex, "\(node) sends what it has compacted")
        check(core.progress(of: order.to)?.pendingSnapshot == nil, "\(node) sends appends in place of a snapshot")
        check(core.term(at: order.append.prevIndex) == order.append.prevTerm, "\(node) misnames the entry before")
    }

    mutating func checkProgress(of node: NodeID) {
        let core = core(node)
        check(core.baseIndex <= core.commit, "\(node) compacts what is not committed")
        let base = Int(core.baseIndex.rawValue)
        let log = replicas[position(of: node)].log
        check(core.baseTerm == (base == 0 ? .zero : log[base - 1].term), "\(node) forgets the term of its base")
        for other in nodes {
            guard let progress = core.progress(of: other) else { continue }
            check(progress.next > progress.match, "\(node) sends \(other) what it has")
            check(progress.next > core.baseIndex, "\(node) is to send \(other) what it has compacted")
            guard let pending = progress.pendingSnapshot else { continue }
            check(pending <= core.baseIndex && progress.match < core.baseIndex, "\(other) needs no snapshot")
            check(progress.awaitsReply && progress.inflight == 0 && !progress.isProbing, "\(other) is forgotten")
        }
    }
}
