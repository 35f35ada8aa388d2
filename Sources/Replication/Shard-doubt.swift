import LogStore
import Primitives
import Raft

// How a log that a crash or a damaged disk left in doubt becomes certain again; see `LogDoubt`.
extension Shard {
    /// So long nothing happens in a group before a replica in doubt brings about another term.
    private static let doubtPatience = Interval.seconds(1)

    /// Settles the doubt, if what is committed does.
    ///
    /// Either everything is committed up to where it reaches. Or an entry is of a later term than all that is in doubt:
    /// whoever led that term was elected without the vote of this replica, by others that had all that could be
    /// committed by its word; and nothing of what was in the log before stands behind that entry.
    func settleDoubt(_ replica: Replica) {
        guard replica.doubt != .none, replica.incomingSnapshot == nil else { return }
        if replica.raft.commit < replica.doubt.through {
            guard replica.waitsForCertainty, let term = replica.raft.term(at: replica.raft.commit),
                term > replica.doubtTerm
            else { return }
            // The disk may hold entries that a later start would take for the continuation of the log.
            output.records.append(.truncate(group: replica.group, from: replica.raft.lastIndex.next))
        }
        replica.doubt = .none
        writeNote(replica)
        guard replica.waitsForCertainty else { return }
        replica.waitsForCertainty = false
        replica.waitsForRepair = !replica.damaged.isEmpty
        replica.raft.permit(voting: true, leading: !replica.waitsForRepair)
        permitted.append(replica.group)
    }

    /// A replica without a vote that has all that its leader has, in a group with nothing to do, would wait for ever:
    /// it has the group go on in another term.
    func awaitCertainty(_ replica: Replica) {
        guard replica.waitsForCertainty, replica.doubt.lostThrough > .zero,
            replica.descriptor.member(node)?.store == store
        else { return }
        stayActive(replica)
        guard replica.raft.hasAllCommitted, replica.incomingSnapshot == nil,
            now - replica.lastActivity >= Shard.doubtPatience
        else { return }
        replica.lastActivity = now
        step(replica) { $0.renewTerm(into: &$1) }
    }
}
