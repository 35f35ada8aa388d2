public import LogStore
public import Primitives
import QuorumQueue
import Raft

/// A snapshot of this replica's own, on its way to the disk.
struct OwnSnapshot {
    var index: LogIndex
    var term: Term
    var live: [ClosedRange<LogIndex>]
}

// Snapshots of this node's own replicas: the state without bodies goes into the node log, and the entries that the
// state does not need any more are given up.
extension Shard {
    /// Bytes of a snapshot in one record.
    private static let chunkSize = 256 << 10

    /// Takes a snapshot when it sets enough free.
    func considerSnapshot(_ replica: Replica) {
        let byteCount = replica.locations.byteCount
        guard replica.snapshotPolicy.isPending(byteCount: byteCount, applied: replica.applied) else { return }
        stayActive(replica)
        guard replica.ownSnapshot == nil,
            replica.snapshotPolicy.isDue(byteCount: byteCount, applied: replica.applied, now: now),
            canTakeSnapshot(replica), let state = state(of: replica)
        else { return }
        let live = state.liveIndices
        let isWorth = replica.snapshotPolicy.check(
            byteCount: byteCount, liveBytes: replica.locations.byteCount(in: live),
            snapshotSize: state.approximateSize, applied: replica.applied, now: now)
        if isWorth { takeSnapshot(replica, state, live: live) }
    }

    /// Takes a snapshot, worth it or not.
    func takeSnapshotNow(_ replica: Replica) {
        guard replica.ownSnapshot == nil, canTakeSnapshot(replica), let state = state(of: replica) else { return }
        takeSnapshot(replica, state, live: state.liveIndices)
    }

    /// Everything applied is on this node's disk, and nobody is being sent what a snapshot would take away.
    private func canTakeSnapshot(_ replica: Replica) -> Bool {
        replica.applied > replica.locations.base && replica.applied < replica.locations.end
            && replica.incomingSnapshot == nil && !isSendingSnapshot(replica)
    }

    func takeSnapshot(_ replica: Replica, _ state: GroupState, live: [ClosedRange<LogIndex>]) {
        guard let term = replica.raft.term(at: replica.applied) else { return }
        replica.ownSnapshot = OwnSnapshot(index: replica.applied, term: term, live: live)
        work(.encode(state), size: state.approximateSize, for: .own(replica.applied), replica)
    }

    /// The state of a snapshot of this node's own is encoded: it goes to the disk, unless a leader's has come between.
    func ownSnapshotEncoded(_ replica: Replica, at index: LogIndex, _ state: Bytes?) {
        guard let snapshot = replica.ownSnapshot, snapshot.index == index else { return }
        guard let state, replica.incomingSnapshot == nil, index >= replica.locations.base else {
            replica.ownSnapshot = nil
            if state == nil { output.events.append(.snapshotTooLarge(replica.group)) }
            return
        }
        writeSnapshot(
            SnapshotMark(
                group: replica.group, index: index, term: snapshot.term, byteCount: state.count, live: snapshot.live),
            state)
        barriers.add(.snapshot(replica.group))
    }

    /// Stages a snapshot's chunks and the mark that makes it current, in one submission: after a crash both are there,
    /// or neither counts.
    func writeSnapshot(_ mark: SnapshotMark, _ state: Bytes) {
        var offset = 0
        while offset < state.count {
            let end = min(offset + Shard.chunkSize, state.count)
            output.records.append(
                .snapshotChunk(
                    SnapshotChunk(
                        group: mark.group, index: mark.index, term: mark.term, offset: offset,
                        bytes: state[offset..<end])))
            offset = end
        }
        output.records.append(.snapshotCurrent(mark))
    }

    /// A snapshot of this node's own is durable: the log begins behind it.
    func snapshotDurable(_ replica: Replica) {
        guard let snapshot = replica.ownSnapshot else { return }
        replica.ownSnapshot = nil
        guard snapshot.index > replica.locations.base else { return }
        release(replica.locations.compact(through: snapshot.index, live: snapshot.live))
        replica.raft.compact(through: snapshot.index)
        dropUnneeded(replica)
        replica.snapshotPolicy.taken(byteCount: replica.locations.byteCount)
        output.events.append(.snapshotTaken(replica.group, snapshot.index))
    }

    // MARK: The node log's live bytes

    /// The entries at these places are not needed any more.
    func release(_ locations: [EntryLocation]) {
        for location in locations { release(location) }
    }

    func release(_ location: EntryLocation) {
        if let last = output.releases.indices.last, output.releases[last].segment == location.segment {
            output.releases[last].bytes += Int(location.length)
            output.releases[last].count += 1
        } else {
            output.releases.append(
                SegmentRelease(segment: location.segment, bytes: Int(location.length), count: 1))
        }
    }

    /// Which of these entries are needed, for the node log's reclamation. To be asked behind a flush: what is dead here
    /// must be dead by the log's records, too.
    public func isLive(_ locations: [EntryLocation]) -> [Bool] {
        locations.map { replicas[$0.group]?.needs($0) ?? (undescribed[$0.group] != nil) }
    }

    /// Copies of entries became durable; the originals are given up.
    public func relocated(_ relocations: [Relocation], now: Instant) {
        self.now = now
        for relocation in relocations {
            let isTaken = replicas[relocation.from.group]?.move(relocation.from, to: relocation.to) ?? false
            release(isTaken ? relocation.from : relocation.to)
        }
    }
}

extension Replica {
    /// Whether the entry at this place is one that the replica counts on.
    func needs(_ location: EntryLocation) -> Bool {
        if locations.holds(location) || incomingSnapshot?.needs(location) ?? false { return true }
        // Durable, and not yet reported.
        return location.index >= locations.end && raft.term(at: location.index) == location.term
    }

    func move(_ location: EntryLocation, to copy: EntryLocation) -> Bool {
        // An installation under way counts on entries of the own log, too.
        let isOwn = locations.move(location, to: copy)
        let isIncoming = incomingSnapshot?.move(location, to: copy) ?? false
        return isOwn || isIncoming
    }
}
