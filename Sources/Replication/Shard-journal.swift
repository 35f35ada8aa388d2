import Primitives
import Raft

// What the journal is told.
extension Shard {
    /// Groups that had a leader and know none now; after a start all that were found, until theirs is known.
    public var leaderlessGroups: Int { leaderless.count }

    func note(_ event: JournalEvent) { journal.note(event, at: now) }

    /// The group's leader is gone, or is not known yet after a start.
    func noteLeaderless(_ replica: Replica) {
        guard !replica.isLeaderless else { return }
        replica.isLeaderless = true
        leaderless.add(at: now)
    }

    /// The group knows its leader, or is gone.
    func noteLed(_ replica: Replica) {
        guard replica.isLeaderless else { return }
        replica.isLeaderless = false
        if let event = leaderless.remove(at: now) { note(event) }
    }
}
