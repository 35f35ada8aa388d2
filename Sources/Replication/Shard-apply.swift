import Primitives
import QuorumQueue
import Raft

// Commands become entries, committed entries reach the state machines.
extension Shard {
    // MARK: Proposing

    /// Turns waiting commands into entries, as long as few enough are on their way: the more a group has to do, the
    /// larger its entries become.
    func propose(_ replica: Replica) {
        while replica.isLeader, !replica.pending.isEmpty, hasWindow(replica) {
            guard proposeEntry(replica) else { return }
        }
    }

    private func hasWindow(_ replica: Replica) -> Bool {
        guard replica.raft.lastIndex > replica.raft.commit else { return true }
        guard replica.raft.lastIndex - replica.raft.commit < configuration.entriesInFlightLimit else { return false }
        var bytes = 0
        var index = replica.raft.commit.next
        while index <= replica.raft.lastIndex {
            bytes += replica.tail[index]?.bytes.count ?? 0
            index = index.next
        }
        return bytes < configuration.bytesInFlightLimit
    }

    private func proposeEntry(_ replica: Replica) -> Bool {
        let wasIdle = !replica.raft.hasUncommitted
        ready.removeAll()
        guard let index = replica.raft.propose(count: 1, into: &ready), let commands = replica.pending.takeEntry()
        else { return false }
        if wasIdle { replica.lastProgress = now }
        let entry = commands.headers.withUnsafeBytes { headers in
            commands.bodies.withUnsafeBytes { bodies in
                Entry(
                    kind: .commands, group: replica.group, index: index, term: replica.raft.term,
                    timestamp: timestamp(replica), headers: headers, bodies: bodies)
            }
        }
        perform(replica, incoming: [entry])
        return true
    }

    /// Proposes commands of the leader's own.
    func proposeOwn(_ replica: Replica, _ build: (inout CommandEncoder) -> Void) {
        var encoder = CommandEncoder()
        build(&encoder)
        replica.pending.append(encoder.take())
        enqueue(replica)
    }

    // MARK: Applying

    /// Applies what is committed, as far as it is in memory and the tick's budget goes.
    func apply(_ replica: Replica, budget: inout Int) {
        guard !replica.isStateMissing else { return }
        let before = replica.applied
        applyCommitted(replica, &budget)
        if replica.isCatchingUp { noteReplay(replica, Int(replica.applied - before)) }
    }

    /// Entries were applied of which recovery found some.
    func noteReplay(_ replica: Replica, _ count: Int) {
        recovery.replayed(replica.group, count)
        // What a leader has made the log drop cannot be applied any more.
        guard let found = recovery[replica.group],
            replica.applied >= min(found.lastIndex, replica.raft.lastIndex)
        else { return }
        replica.isCatchingUp = false
        recovery.caughtUp(
            replica.group, leader: found.lastIndex > found.snapshotIndex ? replica.knownLeader : nil, now: now)
    }

    private func applyCommitted(_ replica: Replica, _ budget: inout Int) {
        while replica.applied < replica.applicableIndex, budget > 0 {
            let index = replica.applied.next
            guard let entry = replica.entry(at: index, for: .apply) else {
                read(replica, from: index, for: .apply)
                return
            }
            budget -= 1
            apply(entry, to: replica)
        }
        if replica.applied == replica.raft.commit { replica.windows[.apply] = nil }
    }

    /// Applies what is committed of the topology before the end of the tick.
    func applyTopologySoon() {
        guard let replica = replicas[.topology], replica.applied < replica.raft.commit else { return }
        var budget = Shard.applyLimit
        apply(replica, budget: &budget)
    }

    private func apply(_ entry: Entry, to replica: Replica) {
        precondition(entry.index == replica.applied.next)
        precondition(entry.term == replica.raft.term(at: entry.index), "not the entry that was committed")
        replica.lastTimestamp = max(replica.lastTimestamp, entry.header.timestamp)
        replica.applied = entry.index
        if replica.group == .topology {
            applyTopology(entry)
        } else {
            effects.removeAll(keepingCapacity: true)
            replica.queue?.apply(entry, into: &effects)
            performEffects(replica)
        }
        if replica.isLeader && entry.index == replica.noop { startServing(replica) }
        if entry.header.kind == .configuration || entry.group == .topology { considerRejoined() }
    }
}
