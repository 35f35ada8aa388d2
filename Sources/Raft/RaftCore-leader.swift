public import Primitives

// MARK: - Inputs

extension RaftCore {
    /// Reserves the next `count` indices for entries of the current term, which the caller makes, and sends them to the
    /// followers.
    ///
    /// - Parameter count: at least 1.
    /// - Returns: the first index; nil when this node does not lead, or is handing its leadership over.
    public mutating func propose(count: UInt64, into ready: inout RaftReady) -> LogIndex? {
        precondition(count > 0)
        guard role == .leader, transferTarget == nil else { return nil }
        let first = appendOwn(count: count, into: &ready)
        for peer in peers.indices { replicate(to: peer, atLeastOne: false, into: &ready) }
        return first
    }

    /// Proposes another configuration, in an entry of the current term that the caller makes. It is in force at once;
    /// a leader that it does not name as a voter goes on until the entry is committed, and steps down then.
    ///
    /// - Returns: the index of the entry.
    /// - Throws: `ConfigurationRefusal`; nothing has happened then.
    public mutating func proposeConfiguration(
        _ next: RaftConfiguration, into ready: inout RaftReady
    ) throws(ConfigurationRefusal) -> LogIndex {
        guard role == .leader, transferTarget == nil else { throw .notLeading }
        guard commit >= termStart || bug == .changesBeforeBarrier else { throw .notCommittedInTerm }
        guard configurationIndex <= commit || bug == .changesTwice else { throw .changeUnderWay }
        guard configuration.isOneStep(to: next) else { throw .notOneStep }
        let index = appendOwn(count: 1, into: &ready)
        configurationLog.append(PlacedConfiguration(index: index, configuration: next))
        adoptConfiguration(into: &ready)
        for peer in peers.indices { replicate(to: peer, atLeastOne: peers[peer].match == .zero, into: &ready) }
        return index
    }

    /// The link to `node` was lost, and with it whatever was on the way: start again after what it has acknowledged.
    /// Sends nothing; `retransmit` does when the link is back.
    public mutating func peerReset(_ node: NodeID, into ready: inout RaftReady) {
        if leader == node { acknowledged = nil }
        guard let peer = peerPosition(node) else { return }
        if peers[peer].pendingSnapshot == nil { peers[peer].probe(base: log.baseIndex) }
        if transferTarget == node { isTransferSent = false }
    }

    /// Like `peerReset`, and sends again at once: the append that is due, the request for a vote that `node` has not
    /// answered, or the acknowledgement that it may be waiting for. A node that waits for a snapshot is named again.
    public mutating func retransmit(_ node: NodeID, into ready: inout RaftReady) {
        peerReset(node, into: &ready)
        switch role {
        case .leader:
            guard let peer = peerPosition(node) else { return }
            replicate(to: peer, atLeastOne: true, into: &ready)
            continueTransfer(into: &ready)
        case .preCandidate, .candidate:
            repeatRequest(to: node, into: &ready)
        case .follower:
            if leader == node { sendAccepted(0, into: &ready) }
        }
    }

    /// The caller's buffer for `node` is full (`isPaused`) or has room again. A paused follower gets no entries; it is
    /// no reason for the quorum to wait.
    public mutating func setPaused(_ node: NodeID, _ isPaused: Bool, into ready: inout RaftReady) {
        guard let peer = peerPosition(node) else { return }
        peers[peer].isPaused = isPaused
        // Of what was committed meanwhile nobody else tells it, when nothing follows.
        replicate(to: peer, atLeastOne: needsCommit(peer), into: &ready)
    }

    /// Sends an append without entries to each follower that has not been told the newest commit index; with `isForced`
    /// to all, which also shows them their leader.
    public mutating func broadcastCommit(isForced: Bool = false, into ready: inout RaftReady) {
        for peer in peers.indices {
            if isForced || needsCommit(peer) { sendEmpty(to: peer, into: &ready) }
        }
    }

    /// Hands leadership to `node` as soon as it has the whole log; proposals are refused meanwhile. Called again, it
    /// repeats the request. Ends with the leadership or by `abortTransfer`.
    ///
    /// - Returns: false when this node does not lead, or `node` is not another voter, or waits for a snapshot; a
    ///   transfer to it that was under way has then ended.
    @discardableResult
    public mutating func transfer(to node: NodeID, into ready: inout RaftReady) -> Bool {
        guard let peer = peerPosition(node), peers[peer].isVoter else { return false }
        guard peers[peer].pendingSnapshot == nil else {
            if transferTarget == node { transferTarget = nil }
            return false
        }
        transferTarget = node
        isTransferSent = false
        replicate(to: peer, atLeastOne: false, into: &ready)
        continueTransfer(into: &ready)
        return true
    }

    /// Gives up the transfer and accepts proposals again. The target may still campaign; that is safe.
    public mutating func abortTransfer() {
        transferTarget = nil
    }
}

// MARK: - Own entries

extension RaftCore {
    /// A quorum's votes are in: lead, with a no-op first (thesis, section 6.4).
    mutating func becomeLeader(into ready: inout RaftReady) {
        precondition(durableHardState == hardState && vote == id, "a leader without a durable vote for itself")
        isCandidacyOpen = false
        peers = []
        renewPeers()
        transferTarget = nil
        confirmedRound = readRound
        setRole(.leader, into: &ready)
        setLeader(id, into: &ready)
        termStart = appendOwn(count: 1, into: &ready)
        ready.noopAt = termStart
        for peer in peers.indices { replicate(to: peer, atLeastOne: true, into: &ready) }
    }

    private mutating func appendOwn(count: UInt64, into ready: inout RaftReady) -> LogIndex {
        let first = log.lastIndex.next
        log.append(count: count, term: term)
        ready.addPersist(first...log.lastIndex)
        return first
    }
}

// MARK: - Sending

extension RaftCore {
    /// Sends entries as far as the window allows; with `atLeastOne` at least one append, be it empty, or word that a
    /// snapshot is needed.
    mutating func replicate(to peer: Int, atLeastOne: Bool, into ready: inout RaftReady) {
        if peers[peer].pendingSnapshot != nil {
            if atLeastOne { needSnapshot(peer, into: &ready) }
            return
        }
        if peers[peer].isPaused || (peers[peer].isProbing && peers[peer].probeIsOut) {
            if atLeastOne { sendEmpty(to: peer, into: &ready) }
            return
        }
        if peers[peer].isProbing {
            guard atLeastOne || peers[peer].next <= log.lastIndex else { return }
            let append = makeAppend(for: peer, withEntries: true)
            peers[peer].probeIsOut = true
            ready.appends.append(AppendOrder(to: peers[peer].node, append: append))
            return
        }
        var hasSent = false
        while peers[peer].next <= log.lastIndex, peers[peer].inflight.count < RaftLimits.inflightAppends {
            let append = makeAppend(for: peer, withEntries: true)
            peers[peer].inflight.append(append.lastIndex)
            peers[peer].next = append.lastIndex.next
            peers[peer].toldCommit = commit
            ready.appends.append(AppendOrder(to: peers[peer].node, append: append))
            hasSent = true
        }
        if atLeastOne && !hasSent { sendEmpty(to: peer, into: &ready) }
    }

    /// Sends an append without entries, whatever the window; none to a follower that waits for a snapshot.
    mutating func sendEmpty(to peer: Int, into ready: inout RaftReady) {
        guard peers[peer].pendingSnapshot == nil else { return }
        let append = makeAppend(for: peer, withEntries: false)
        if peers[peer].isProbing {
            peers[peer].probeIsOut = true
        } else {
            peers[peer].toldCommit = commit
        }
        ready.appends.append(AppendOrder(to: peers[peer].node, append: append))
    }

    /// The append that continues at the peer's next index.
    private func makeAppend(for peer: Int, withEntries: Bool) -> Append {
        let next = peers[peer].next
        precondition(next > log.baseIndex, "an append below the log's base")
        var append = Append(
            term: term, prevIndex: next - 1, prevTerm: log.term(at: next - 1) ?? .zero, commit: commit,
            rank: rank(of: peer), readContext: peers[peer].isVoter && readRound > confirmedRound ? readRound : 0)
        if withEntries && next <= log.lastIndex {
            let limit = min(log.lastIndex - next + 1, RaftLimits.entriesPerAppend)
            append.count = min(log.endOfTerm(at: next) - next + 1, limit)
            append.entriesTerm = log.term(at: next) ?? .zero
        }
        return append
    }

    /// Whether an empty append would tell the peer a newer commit index, now or after its answer to a probe.
    func needsCommit(_ peer: Int) -> Bool {
        let progress = peers[peer]
        return progress.toldCommit < commit && !progress.isPaused && !(progress.isProbing && progress.probeIsOut)
            && progress.pendingSnapshot == nil
    }

    func awaitsReply(_ peer: Int) -> Bool {
        let progress = peers[peer]
        let hasUnreadRound = progress.isVoter && readRound > confirmedRound && progress.echoed < readRound
        return progress.probeIsOut || !progress.inflight.isEmpty || hasUnreadRound || progress.pendingSnapshot != nil
    }

    /// The place of a follower in the succession: the one with the longest durable log first.
    private func rank(of peer: Int) -> UInt8 {
        var rank: UInt8 = 0
        let own = peers[peer]
        guard own.isVoter else { return Append.noRank }
        for other in peers where other.isVoter && other.node != own.node {
            let isBetter =
                other.match > own.match
                || (other.match == own.match && rotation(of: other.node) < rotation(of: own.node))
            if isBetter { rank += 1 }
        }
        return rank
    }

    /// Breaks ties differently from group to group, so that the successors of one node's groups spread.
    func rotation(of node: NodeID) -> UInt64 {
        let count = UInt64(configuration.voters.count)
        let position = UInt64(configuration.position(of: node) ?? 0)
        return (position + group.rawValue % count) % count
    }
}

// MARK: - Answers

extension RaftCore {
    mutating func onAppendReply(_ reply: AppendReply, from node: NodeID, into ready: inout RaftReady) {
        if reply.term > term {
            becomeFollower(reply.term, leader: nil, into: &ready)
            return
        }
        guard role == .leader, reply.term == term, let peer = peerPosition(node) else { return }
        if reply.mayVote && reply.readContext <= readRound {
            peers[peer].echoed = max(peers[peer].echoed, reply.readContext)
        }
        if reply.isAccepted {
            accepted(reply, from: peer, into: &ready)
        } else {
            rejected(reply, from: peer, into: &ready)
        }
        confirmReads(into: &ready)
    }

    private mutating func accepted(_ reply: AppendReply, from peer: Int, into ready: inout RaftReady) {
        guard reply.index <= log.lastIndex else {
            ready.violations.append(.acknowledgedBeyondLog(node: peers[peer].node, index: reply.index))
            return
        }
        peers[peer].acknowledge(through: reply.index, counts: reply.mayVote)
        let known = min(max(reply.hintIndex, reply.index), log.lastIndex)
        switch peers[peer].state {
        case .snapshot(let pending):
            acceptedWaiting(reply, known: known, pending: pending, from: peer, into: &ready)
        case .probe where known < log.baseIndex:
            // Older than the compaction: the probe at the base decides.
            break
        case .probe, .replicate:
            peers[peer].next = max(peers[peer].next, known.next)
            peers[peer].state = .replicate
            peers[peer].probeIsOut = false
        }
        advanceCommit(into: &ready)
        guard role == .leader else { return }
        replicate(to: peer, atLeastOne: false, into: &ready)
        continueTransfer(into: &ready)
    }

    private mutating func rejected(_ reply: AppendReply, from peer: Int, into ready: inout RaftReady) {
        if !reply.mayVote { peers[peer].forget(above: reply.hintIndex) }
        let progress = peers[peer]
        guard progress.pendingSnapshot == nil else { return }
        if progress.isProbing {
            guard reply.index == progress.next - 1 else { return }
            // What was acknowledged is not refused: this answer is older than the acknowledgement, and asking again
            // would loop.
            guard reply.index > progress.match else { return }
            let limit = min(reply.hintIndex, reply.index - 1)
            let candidate = log.lastIndex(atMost: limit, termAtMost: reply.hintTerm)
            guard candidate != nil || progress.match >= log.baseIndex else {
                needSnapshot(peer, into: &ready)
                return
            }
            peers[peer].next = max(candidate ?? progress.match, progress.match).next
            peers[peer].probeIsOut = false
        } else {
            // A rejection below what is acknowledged is older than the acknowledgement.
            guard reply.index > progress.match, reply.index < progress.next else { return }
            peers[peer].probe(base: log.baseIndex)
        }
        replicate(to: peer, atLeastOne: true, into: &ready)
    }

    /// Commits what a quorum has on disk, if it is of this term: earlier entries commit with it (Raft paper, section
    /// 5.4.2).
    mutating func advanceCommit(into ready: inout RaftReady) {
        guard role == .leader else { return }
        var best = commit
        if countsItself { consider(ownIndex, for: &best) }
        for peer in peers where counts(peer) { consider(peer.counted, for: &best) }
        guard best > commit, best >= termStart || bug == .countsEarlierTerms else { return }
        commit = best
        ready.commit = best
        guard ownPosition != nil || configurationIndex > commit else {
            // The configuration that this node does not lead in is committed.
            return becomeFollower(term, leader: nil, into: &ready)
        }
        startReadRound(into: &ready)
    }

    /// The last entry for which this leader counts itself.
    private var ownIndex: LogIndex { bug == .countsUnwritten ? log.lastIndex : durableIndex }

    private var countsItself: Bool { ownPosition != nil || bug == .countsItselfRemoved }

    private func counts(_ peer: Progress) -> Bool { peer.isVoter || bug == .countsLearners }

    /// Raises `best` to `index` if a quorum has it.
    private func consider(_ index: LogIndex, for best: inout LogIndex) {
        guard index > best else { return }
        var count = countsItself && ownIndex >= index ? 1 : 0
        for peer in peers where counts(peer) && peer.counted >= index { count += 1 }
        if count >= configuration.quorum { best = index }
    }

    /// Sends `timeoutNow` once the target has everything.
    mutating func continueTransfer(into ready: inout RaftReady) {
        guard role == .leader, !isTransferSent, let transferTarget, let peer = peerPosition(transferTarget),
            peers[peer].match == log.lastIndex || bug == .transfersBlindly
        else { return }
        isTransferSent = true
        send(.timeoutNow(term), to: transferTarget, into: &ready)
    }
}
