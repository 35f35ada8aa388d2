import Primitives
import QuorumQueue
import Raft

/// A bug that the simulator can put into a cluster, to show that it would find it.
public enum PlantedBug: String, CaseIterable, Sendable {
    /// Term and vote never reach the disk: a restarted node votes a second time in a term.
    case voteNotPersisted = "vote-not-persisted"
    /// A leader commits entries of earlier terms once a quorum has them (figure 8 of the Raft paper).
    case commitOldTermByCounting = "commit-old-term-by-counting"
    /// Records count as durable when they are handed to the disk, before fdatasync returned.
    case ackBeforeFsync = "ack-before-fsync"
    /// A snapshot holds the queue's messages and not its sessions, so that what clients send again is new to it.
    case snapshotForgetsSessions = "snapshot-forgets-sessions"
    /// A snapshot does not name the last of the entries that its state refers to.
    case liveEntryDropped = "live-entry-dropped"
    /// A segment's footer is on the disk before the last frame that it vouches for.
    case footerBeforeData = "footer-before-data"
    /// Relocated copies count as durable before fdatasync returned, so that their segment goes too early.
    case relocationBeforeFsync = "relocation-before-fsync"
    /// A start takes damage for a torn tail: from the first bad frame on the log is cut.
    case damageCut = "damage-cut"
    /// A store that has lost records votes and leads as if nothing had happened.
    case lostRecordsVote = "lost-records-vote"
    /// After a failed fdatasync the next one counts for what the first was to bring to the disk.
    case failedSyncRetried = "failed-sync-retried"
    /// A start does not write the last frame once more: what the page cache shows counts as durable.
    case pageCacheTrusted = "page-cache-trusted"
    /// A new leader changes the members before it has committed an entry of its term (the bug of July 2015).
    case changeBeforeBarrier = "change-before-barrier"
    /// A leader changes the members while the change before is not committed.
    case twoChangesAtOnce = "two-changes-at-once"
    /// A learner counts when entries are committed.
    case learnerCounts = "learner-counts"
    /// A leader that its group's members do not include any more counts itself.
    case removedLeaderCountsItself = "removed-leader-counts-itself"
    /// An empty store counts as the one that was lost.
    case emptyStoreVotes = "empty-store-votes"
    /// The completed write of an entry that was overwritten counts for the entry in its place (ra #516).
    case overwrittenWriteCounts = "overwritten-write-counts"
    /// A leader counts, and so commits and confirms, what its own disk does not have yet (etcd #14370).
    case unwrittenEntryCounts = "unwritten-entry-counts"
    /// A voter that hears its leader helps to elect another.
    case leaderNotHeldOnTo = "leader-not-held-on-to"
    /// A node that hears no leader enters a new term without asking first, and disturbs the others when it is back.
    case noPreVote = "no-pre-vote"
    /// An append that is older or shorter than the log ends the log.
    case matchingEntriesTruncated = "matching-entries-truncated"
    /// A follower takes its leader's commit index without regard to how far its own log is the leader's.
    case unverifiedCommit = "unverified-commit"
    /// Votes are granted without a look at the candidate's log.
    case blindVote = "blind-vote"
    /// An append joins an entry whose term is another.
    case blindAppend = "blind-append"
    /// Leadership goes to whoever has not the whole log, by votes that trust the old leader.
    case blindTransfer = "blind-transfer"
    /// A read is answered before a quorum has confirmed that the leader still leads.
    case unconfirmedRead = "unconfirmed-read"
    /// A learner is made a voter before it has caught up.
    case earlyPromotion = "early-promotion"
    /// A leader applies entries before they are committed.
    case applyBeforeCommit = "apply-before-commit"
    /// A leader's snapshot is acknowledged before it is durable.
    case snapshotAckBeforeFsync = "snapshot-ack-before-fsync"
    /// Consumers are served in the order of a `Dictionary`, which is another in every process.
    case dictionaryOrder = "dictionary-order"
    /// What a session has sent last is applied again when it is sent again.
    case resentCommandsRepeated = "resent-commands-repeated"
    /// A command of a session that has expired opens it anew, so that what is sent again is new to it.
    case expiredSessionRevived = "expired-session-revived"
    /// A new term does not reach the disk as long as no vote is given in it.
    case termNotPersisted = "term-not-persisted"
    /// New files and names are not synced with their directory.
    case directoryNotSynced = "directory-not-synced"
    /// A snapshot has what consumers hold as if nobody had been given it.
    case snapshotForgetsDeliveries = "snapshot-forgets-deliveries"
}

extension PlantedBug {
    /// As a bug of the Raft core, when it is one.
    var raftBug: RaftBug? {
        switch self {
        case .commitOldTermByCounting: .countsEarlierTerms
        case .changeBeforeBarrier: .changesBeforeBarrier
        case .twoChangesAtOnce: .changesTwice
        case .learnerCounts: .countsLearners
        case .removedLeaderCountsItself: .countsItselfRemoved
        case .overwrittenWriteCounts: .countsOverwrittenWrites
        case .unwrittenEntryCounts: .countsUnwritten
        case .leaderNotHeldOnTo: .ignoresLeader
        case .noPreVote: .skipsPreVote
        case .matchingEntriesTruncated: .truncatesMatching
        case .unverifiedCommit: .commitsUnverified
        case .blindVote: .votesBlindly
        case .blindAppend: .joinsBlindly
        case .blindTransfer: .transfersBlindly
        case .unconfirmedRead: .readsWithoutEcho
        case .earlyPromotion: .promotesAtOnce
        case .applyBeforeCommit: .appliesUncommitted
        case .snapshotAckBeforeFsync: .installsBeforeDurable
        default: nil
        }
    }

    /// As a bug of the queues' machine in the process of a node, when it is one.
    func queueBug(of node: NodeID) -> QueueBug? {
        switch self {
        case .dictionaryOrder: .servesByHash(seed: UInt64(node.rawValue) << 32)
        case .resentCommandsRepeated: .repeatsNewest
        case .expiredSessionRevived: .opensUnknownSessions
        default: nil
        }
    }
}
