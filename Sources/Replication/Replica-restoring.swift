import LogStore
import Primitives
import QuorumQueue
import Raft
import Topology

// A replica as the disk has it.
extension Shard {
    /// - Parameter recovered: what the node log held; nil for a group that is new here.
    func makeReplica(
        _ group: GroupID, _ founding: GroupDescriptor, _ restored: RestoredLog, _ recovered: RecoveredGroup?
    ) -> Replica {
        var restored = restored
        var state: GroupState? = group == .topology ? .topology(Topology()) : .queue(QueueMachine())
        if let snapshot = recovered?.snapshot {
            do {
                state = try GroupState(decompressing: snapshot.bytes, of: group, at: snapshot.index)
            } catch {
                // Its log cannot be applied: the replica follows, and a leader's snapshot will make it whole.
                output.events.append(.snapshotUnreadable(group, "\(error)"))
                state = nil
                restored.mayLead = false
            }
        }
        let note = Shard.note(recovered)
        let noted = note?.doubt ?? .none
        // What was acknowledged and is gone is made good by a log that is committed as far as that one ever went.
        var doubt = LogDoubt(
            transferredThrough: noted.transferredThrough,
            lostThrough: max(noted.lostThrough, recovered?.lostThrough ?? .zero))
        // A crash came between a snapshot and the note that it settles everything: what it covers is committed. Where
        // the log behind it is not whole, a commit has to come first.
        if doubt.through <= restored.snapshotIndex && restored.mayVote { doubt = .none }
        // That terms fall is what an interrupted transfer may leave; they are no sign of anything else then.
        let isInOrder = restored.mayVote || (doubt != .none && recovered?.mayVoteOnceWhole ?? false)
        if doubt.lostThrough > .zero { restored.mayVote = false }
        restored.isJoined = doubt == .none
        let log = TermLog(restored)
        let configurations =
            note?.configurations(base: restored.snapshotIndex) { log.term(at: $0) } ?? []
        let threshold = configuration.snapshotThreshold
        let replica = Replica(
            group: group, founding: founding, configurations: configurations, node: node, store: store,
            restored: restored,
            locations: EntryLocations(
                base: restored.snapshotIndex, retained: recovered?.retained ?? [],
                entries: recovered?.usableEntries ?? []),
            snapshotThreshold: threshold + Int(random.next(below: UInt64(max(threshold, 1)))), now: now)
        if let state { put(state, at: restored.snapshotIndex, into: replica) } else { replica.isStateMissing = true }
        // A loss is noted before anything that shows it can go.
        if noted != doubt { replica.isNoteStale = true }
        // What is of no account now must not be there when a snapshot covers its index.
        if let note, note.installation != nil || note.configurations != configurations { replica.isNoteStale = true }
        replica.doubt = doubt
        replica.doubtTerm = replica.raft.term
        // Where the note is lost, so are the members: nothing that is committed says who they are.
        replica.waitsForCertainty = doubt != .none && doubt != .everything && isInOrder
        if replica.waitsForCertainty { activate(replica) }
        if let recovered {
            noteDamage(of: recovered, replica)
            replica.isCatchingUp = true
            noteReplay(replica, 0)
        }
        return replica
    }

    private static func note(_ recovered: RecoveredGroup?) -> ReplicaNote? {
        recovered?.configuration.map { (try? ReplicaNote(decoding: $0)) ?? ReplicaNote(.everything) }
    }

    /// What recovery found damaged is asked for as soon as there is somebody to ask.
    private func noteDamage(of recovered: RecoveredGroup, _ replica: Replica) {
        for index in recovered.damaged where replica.locations[index] != nil {
            replica.damaged.insert(index, replica.locations[index]?.term)
        }
        for index in recovered.missing { replica.damaged.insert(index, nil) }
        // Index 0, which no log has, asks the leader for a snapshot.
        if replica.isStateMissing { replica.damaged.insert(.zero, nil) }
        guard !replica.damaged.isEmpty else { return }
        let isWhole = recovered.usableEntries.count == recovered.entries.count
        replica.waitsForRepair = recovered.mayVote && isWhole
        repairs.found += recovered.damaged.count + recovered.missing.count
        let index = replica.damaged.first(1)[0].index
        output.events.append(.entryDamaged(replica.group, index, at: replica.locations[index]))
        activate(replica)
    }
}
