/// A rule that is broken on purpose, for the simulator to find. Those of the core are broken in it, the others by
/// whoever drives it.
package enum RaftBug: Sendable {
    /// Entries of earlier terms are committed by counting copies (figure 8 of the Raft paper).
    case countsEarlierTerms
    /// A configuration is proposed before an entry of the leader's term is committed.
    case changesBeforeBarrier
    /// A configuration is proposed while the one before is not committed.
    case changesTwice
    /// Learners count when an entry is committed.
    case countsLearners
    /// A leader counts itself although its configuration does not name it.
    case countsItselfRemoved
    /// The write of an entry that was overwritten counts for the entry in its place (ra #516).
    case countsOverwrittenWrites
    /// A leader counts its own entries before they are durable (etcd #14370).
    case countsUnwritten
    /// A voter that hears its leader helps to elect another.
    case ignoresLeader
    /// A campaign begins with a new term and no question first.
    case skipsPreVote
    /// An append takes the place of all that follows where it joins, also of what is equal and of what is newer.
    case truncatesMatching
    /// A follower commits what its leader has, whether its own entries there are known to be the leader's or not.
    case commitsUnverified
    /// A vote is granted whatever the candidate's log lacks.
    case votesBlindly
    /// An append joins an entry of any term.
    case joinsBlindly
    /// Leadership is handed over to whoever has not the whole log, and voters take the old leader's word for it.
    case transfersBlindly
    /// A read is answered before a quorum has confirmed the leader.
    case readsWithoutEcho
    /// A learner is made a voter before it has caught up.
    case promotesAtOnce
    /// A leader applies what is not committed.
    case appliesUncommitted
    /// A leader's snapshot counts as installed before it is durable.
    case installsBeforeDurable
}
