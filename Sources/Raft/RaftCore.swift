public import Primitives

/// The consensus core of one group: inputs in, work out in a `RaftReady`. It has no clock, no I/O and no entry bytes.
///
/// **Safety** rests on the caller for two things only: what one group hands over becomes durable in that order, and
/// `sendAfterDurable` waits for it. Messages may be lost, repeated and reordered at will.
///
/// **Liveness** rests on the caller's timers and verdicts, since the core has none:
/// - while `leader` is nil and `canCampaign` is true, call `campaign` after rank × 15 ms (`successorRank`), then again
///   and again after a random 50–100 ms: a lost pre-vote, vote or answer is repaired by the next round only;
/// - when a node is found dead, call `leaderSuspected` on each group that it leads, and again whenever a later ready
///   names it the leader (a buffered append may arrive behind the verdict);
/// - likewise when a node's digest shows that it no longer leads a group in which it is believed to;
/// - when the link to a node is lost, call `peerReset`; when it is back, call `retransmit`;
/// - while this node leads and `awaitsReply(from:)` a node that is up, but its progress stands still for longer than a
///   few round trips and fsyncs, call `retransmit`;
/// - when `needsCommitBroadcast` stays true at the end of a tick, call `broadcastCommit`;
/// - send a snapshot to whom `RaftReady.snapshotNeeded` names, or call `snapshotFailed`;
/// - while leading with `hasUncommitted` or waiting reads and no progress for the suspicion time, call `quorumLost`;
/// - end a transfer that takes too long by `abortTransfer`.
///
/// A leader answers the pre-vote of a voter that does not know it with an append, so a replica that merely missed the
/// news finds its leader by campaigning.
public struct RaftCore: Sendable {
    /// This node.
    public let id: NodeID
    /// The group; it only rotates the succession, so that the leaders of many groups spread.
    public let group: GroupID
    /// Who votes: the newest configuration of the log, committed or not.
    public private(set) var configuration: RaftConfiguration
    /// This node's place among the voters; nil for whoever is none.
    private(set) var ownPosition: Int?
    var configurationLog: ConfigurationLog

    var log: TermLog
    /// Term and vote as they stand in memory.
    var hardState: HardState
    /// Term and vote on disk: never ahead of `hardState`, and what messages may reveal.
    var durableHardState: HardState
    /// The last durable entry, `<= lastIndex`.
    public internal(set) var durableIndex: LogIndex
    /// The last entry handed to the disk before this term's hard state and not truncated since: durable when that is,
    /// as the disk keeps the order.
    var enteredIndex: LogIndex

    /// The part this replica plays now.
    public internal(set) var role = RaftRole.follower
    /// The leader of `term`; nil while unknown or suspected. This node keeps no other from being elected while it is
    /// nil.
    public internal(set) var leader: NodeID?
    /// The last index known to be committed. Only grows, and is never truncated.
    public internal(set) var commit: LogIndex
    /// This node's place in the succession as the last leader told it, 0 first; `Append.noRank` when unknown.
    public internal(set) var successorRank = Append.noRank
    /// See `RestoredLog.mayVote`.
    var mayVote: Bool
    var mayLead: Bool
    /// Set while the restored log is in doubt behind this index: only up to here have appends of this life gone over
    /// it. At least the base, below `lastIndex`.
    var doubtfulAfter: LogIndex?

    /// Follower: the last index known to match the log of the leader of this term.
    var verified: LogIndex
    /// Follower: the commit index as the leader of this term last told it.
    var leaderCommit = LogIndex.zero
    /// Follower: the last index acknowledged to the leader of this term; nil until it was answered, and after a link
    /// reset.
    var acknowledged: LogIndex?

    /// The running pre-vote round; none when a leader was heard since.
    var preVotes = Ballot()
    /// A pre-vote that this replica would have granted, had it not heard its leader.
    var refusedPreVote: RefusedPreVote?
    /// The votes in `term`; counts only while `isCandidacyOpen`.
    var votes = Ballot()
    /// This node asked for votes in `term` and may still win them, also while a later pre-vote round runs.
    var isCandidacyOpen = false
    /// The votes asked for in `term` belong to a leadership transfer.
    var isTransferCandidacy = false

    /// Leader: the other members, ascending; empty otherwise.
    var peers: [Progress] = []
    /// Leader: the index of this term's no-op. Nothing commits by counting, and no read is confirmed, before it is
    /// committed.
    var termStart = LogIndex.zero
    /// Leader: whom leadership is being handed to; proposals are refused meanwhile.
    public internal(set) var transferTarget: NodeID?
    var isTransferSent = false
    /// Leader: reads in order of arrival.
    var reads: [PendingRead] = []
    /// The last read round sent, and the last that a quorum echoed.
    var readRound: UInt64 = 0
    var confirmedRound: UInt64 = 0

    /// A bug on purpose, for the simulator to find. Nothing but the simulator's plant ever sets it.
    package var bug: RaftBug?

    /// A replica as recovered: a follower that knows no leader.
    /// - Parameter configuration: the one that the group was created with.
    public init(id: NodeID, group: GroupID, configuration: RaftConfiguration, restored: RestoredLog) {
        self.id = id
        self.group = group
        configurationLog = ConfigurationLog(configuration)
        for placed in restored.configurations { configurationLog.append(placed) }
        configurationLog.compact(through: restored.snapshotIndex)
        self.configuration = configurationLog.newest.configuration
        ownPosition = configurationLog.newest.configuration.position(of: id)
        log = TermLog(restored)
        hardState = restored.hardState
        durableHardState = restored.hardState
        durableIndex = restored.lastIndex
        enteredIndex = restored.lastIndex
        commit = restored.snapshotIndex
        verified = restored.snapshotIndex
        mayVote = restored.mayVote
        mayLead = restored.mayLead && restored.isJoined
        if !restored.mayVote || !restored.isJoined { setDoubt(after: restored.snapshotIndex) }
    }

    /// The newest term seen.
    public var term: Term { hardState.term }
    /// For whom this node voted in `term`.
    public var vote: NodeID? { hardState.vote }
    /// The last entry of the log, durable or not.
    public var lastIndex: LogIndex { log.lastIndex }
    /// The term of the last entry.
    public var lastTerm: Term { log.lastTerm }
    /// The term of the entry at `index`; nil beyond the log and below the snapshot.
    public func term(at index: LogIndex) -> Term? { log.term(at: index) }

    /// Whether `campaign` can do anything: a voter whose log and hard state are whole.
    public var canCampaign: Bool { mayVote && mayLead && (ownPosition != nil || isLeaving) }

    /// A voter until the newest configuration is committed, which it may be the only one to have: nobody else could be
    /// elected then, so it campaigns, without a vote of its own (thesis, section 4.2.2).
    private var isLeaving: Bool {
        configurationIndex > commit && configurationLog.previous?.configuration.position(of: id) != nil
    }

    /// Whether its votes and acknowledgements count; see `RestoredLog.mayVote`.
    package var mayVoteNow: Bool { mayVote }

    /// Whether the leader of this term has shown this follower all that is committed in its log, and nothing else.
    package var hasAllCommitted: Bool {
        role == .follower && acknowledged != nil && verified == commit && leaderCommit == commit
    }

    /// Whether nothing but its vote and its membership keeps this replica from leading.
    package var mayLeadNow: Bool { mayLead }

    /// Whether this leader has entries that are not committed.
    public var hasUncommitted: Bool { role == .leader && commit < log.lastIndex }

    /// Whether this leader has committed an entry of its own term: then it knows every earlier commit.
    public var hasCommittedInTerm: Bool { role == .leader && commit >= termStart }

    /// Whether reads wait for a quorum.
    public var hasPendingReads: Bool { !reads.isEmpty }

    /// Leader: what it knows of `node`; nil otherwise.
    public func progress(of node: NodeID) -> FollowerProgress? {
        guard let peer = peerPosition(node) else { return nil }
        let progress = peers[peer]
        return FollowerProgress(
            match: progress.match, counted: progress.counted, next: progress.next, isProbing: progress.isProbing,
            pendingSnapshot: progress.pendingSnapshot, inflight: progress.inflight.count,
            awaitsReply: awaitsReply(peer), isPaused: progress.isPaused)
    }

    /// Leader: whether something was sent to `node` that it has not answered (see `FollowerProgress.awaitsReply`).
    public func awaitsReply(from node: NodeID) -> Bool {
        guard let peer = peerPosition(node) else { return false }
        return awaitsReply(peer)
    }

    /// Leader: whether a follower has not been told the newest commit index, and could be.
    public var needsCommitBroadcast: Bool {
        for peer in peers.indices where needsCommit(peer) { return true }
        return false
    }

    /// Entries turned out to be damaged: this replica does not campaign until `permit` says so. One that leads goes on
    /// until `quorumLost` or another leader ends it.
    public mutating func forbidLeading() { mayLead = false }

    /// Lifts a restriction of `RestoredLog`, once damaged entries or identities have been repaired. `voting` says that
    /// the replica's promises are known again, and that its log is whole.
    public mutating func permit(voting: Bool, leading: Bool) {
        if voting { doubtfulAfter = nil }
        mayVote = mayVote || voting
        mayLead = mayLead || leading
    }

    /// A message of this group from `node`. Any replica may send any message; what does not fit is refused or ignored.
    ///
    /// For an append, `ready.persist` says which of the attached entries are new and must be written.
    /// - Parameter configurations: those of the attached entries that bring one, ascending.
    public mutating func receive(
        _ message: RaftMessage, from node: NodeID, configurations: [PlacedConfiguration] = [],
        into ready: inout RaftReady
    ) {
        guard node != id else { return }
        switch message {
        case .preVote(let message): onPreVote(message, from: node, into: &ready)
        case .preVoteReply(let message): onPreVoteReply(message, from: node, into: &ready)
        case .vote(let message): onVote(message, from: node, into: &ready)
        case .voteReply(let message): onVoteReply(message, from: node, into: &ready)
        case .append(let message): onAppend(message, from: node, configurations, into: &ready)
        case .appendReply(let message): onAppendReply(message, from: node, into: &ready)
        case .timeoutNow(let term): onTimeoutNow(term, from: node, into: &ready)
        case .leaderGone(let term): onLeaderGone(term, from: node, into: &ready)
        }
    }

    /// The entries up to `index` are durable; `term` is the term of the entry at `index` when it was handed over.
    ///
    /// Ignored when the log has another term there (ra #516), and until this term's hard state is durable: the write
    /// may then be of an entry that was truncated and has come back with the same index and term, while the disk has
    /// the truncation and not yet the return. Several completions may be reported by their last.
    public mutating func durable(term: Term, through index: LogIndex, into ready: inout RaftReady) {
        guard durableHardState.term == self.term, index > durableIndex,
            log.term(at: index) == term || (bug == .countsOverwrittenWrites && index <= log.lastIndex)
        else { return }
        advanceDurable(to: index, into: &ready)
    }

    /// `state`, handed over by an earlier ready, is durable, and so is what was handed over before it. Call it before
    /// `durable(term:through:into:)` of the same ready: entries are not taken for durable before their term is.
    public mutating func durable(hardState state: HardState, into ready: inout RaftReady) {
        let isNewer =
            state.term > durableHardState.term
            || (state.term == durableHardState.term && durableHardState.vote == nil)
        if isNewer { durableHardState = state }
        if state.term == term && enteredIndex > durableIndex { advanceDurable(to: enteredIndex, into: &ready) }
        countOwnVote(into: &ready)
    }

    private mutating func advanceDurable(to index: LogIndex, into ready: inout RaftReady) {
        durableIndex = index
        if role == .leader {
            advanceCommit(into: &ready)
        } else {
            acknowledgeDurable(into: &ready)
        }
    }
}

// MARK: - Configurations

extension RaftCore {
    /// The configurations of the log, ascending; the first is in force at the base, the last now.
    public var configurations: [PlacedConfiguration] { configurationLog.all }

    /// The index of the entry that brought the configuration in force.
    public var configurationIndex: LogIndex { configurationLog.newest.index }

    /// The configuration that is in force once the log is applied up to `index`, which is not below the base.
    public func configuration(at index: LogIndex) -> PlacedConfiguration { configurationLog.configuration(at: index) }

    /// Goes on by the newest configuration of the log.
    mutating func adoptConfiguration(into ready: inout RaftReady) {
        let newest = configurationLog.newest.configuration
        guard newest != configuration else { return }
        configuration = newest
        ownPosition = newest.position(of: id)
        if role == .leader { return renewPeers() }
        // Answers were noted by their places in the old one.
        preVotes = Ballot()
        votes = Ballot()
        isCandidacyOpen = false
        setRole(.follower, into: &ready)
    }

    /// Leader: keeps book on the members of the configuration. Who was none before begins anew, whatever it had when it
    /// was one.
    mutating func renewPeers() {
        let next = log.lastIndex.next
        peers = configuration.members.filter { $0 != id }.map { node in
            let isVoter = configuration.position(of: node) != nil
            guard let peer = peerPosition(node) else { return Progress(node: node, isVoter: isVoter, next: next) }
            var progress = peers[peer]
            progress.isVoter = isVoter
            return progress
        }
        if let target = transferTarget, configuration.position(of: target) == nil { transferTarget = nil }
    }
}

// MARK: - Shared by the parts

extension RaftCore {
    /// Sends what reveals this node's term: at once when term and vote are durable, else after them.
    mutating func send(_ message: RaftMessage, to node: NodeID, into ready: inout RaftReady) {
        if durableHardState == hardState {
            ready.sendNow.append(RaftOutgoing(to: node, message: message))
        } else {
            ready.hardState = hardState
            ready.sendAfterDurable.append(RaftOutgoing(to: node, message: message))
        }
    }

    mutating func setRole(_ newRole: RaftRole, into ready: inout RaftReady) {
        guard role != newRole else { return }
        role = newRole
        ready.role = newRole
    }

    mutating func setLeader(_ newLeader: NodeID?, into ready: inout RaftReady) {
        guard leader != newLeader else { return }
        leader = newLeader
        if newLeader != nil { preVotes = Ballot() }
        ready.leader = LeaderChange(leader: newLeader, term: term)
    }

    /// Enters a higher term; the vote is cleared in the same record.
    mutating func enter(_ newTerm: Term, vote: NodeID?, into ready: inout RaftReady) {
        precondition(newTerm > hardState.term)
        hardState = HardState(term: newTerm, vote: vote)
        ready.hardState = hardState
        enteredIndex = ready.persist.map { $0.lowerBound - 1 } ?? log.lastIndex
        verified = commit
        leaderCommit = .zero
        acknowledged = nil
    }

    /// Follows `newLeader`, or waits for one, in `newTerm`, which is not below the current one.
    mutating func becomeFollower(_ newTerm: Term, leader newLeader: NodeID?, into ready: inout RaftReady) {
        if role == .leader { leaveLeadership(into: &ready) }
        if newTerm > term {
            enter(newTerm, vote: nil, into: &ready)
            setLeader(nil, into: &ready)
        }
        isCandidacyOpen = false
        setRole(.follower, into: &ready)
        setLeader(newLeader, into: &ready)
    }

    /// Whether a log that ends at (`lastTerm`, `lastIndex`) holds all that is committed, as far as this log can tell
    /// (Raft paper, 5.4.1). Both sides speak of the log in memory: votes leave and are granted after it is durable.
    func isUpToDate(lastIndex: LogIndex, lastTerm: Term) -> Bool {
        lastTerm > log.lastTerm || (lastTerm == log.lastTerm && lastIndex >= log.lastIndex) || bug == .votesBlindly
    }

    func peerPosition(_ node: NodeID) -> Int? {
        for position in peers.indices where peers[position].node == node { return position }
        return nil
    }
}
