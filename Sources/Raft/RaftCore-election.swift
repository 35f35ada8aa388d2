import Primitives

// MARK: - Inputs

extension RaftCore {
    /// The node of this group's leader is held to be dead, stalled or cut off. From here on this replica helps to elect
    /// another, until it hears from a leader again.
    public mutating func leaderSuspected(into ready: inout RaftReady) {
        guard leader != id else { return }
        setLeader(nil, into: &ready)
        guard let refused = refusedPreVote, refused.message.term > term else { return }
        // Whoever noticed first need not ask again.
        onPreVote(refused.message, from: refused.node, into: &ready)
    }

    /// The campaign timer fired: begin (again) with a pre-vote. Does nothing while a leader is known, while this
    /// replica may not lead, and while its own vote of a running candidacy is on its way to the disk.
    public mutating func campaign(into ready: inout RaftReady) {
        guard canCampaign, leader == nil, role != .leader else { return }
        if role == .candidate && durableHardState != hardState { return }
        if bug == .skipsPreVote { return becomeCandidate(isTransfer: false, into: &ready) }
        preVotes = Ballot(term: term.next)
        setRole(.preCandidate, into: &ready)
        for node in configuration.voters where node != id {
            send(preVoteRequest, to: node, into: &ready)
        }
        if let ownPosition { notePreVote(at: ownPosition, isGranted: true, into: &ready) }
    }

    /// The first campaign of a group that was just created, by the member that is to lead it: without a pre-vote, since
    /// no term has passed that it could disturb. Where one has, a campaign like any other.
    public mutating func firstCampaign(into ready: inout RaftReady) {
        guard term == .zero, role == .follower, canCampaign, leader == nil else { return campaign(into: &ready) }
        becomeCandidate(isTransfer: false, into: &ready)
    }

    /// A replica without a vote needs an entry of a later term: it enters one, and the others have to elect somebody in
    /// one that is later still. Does nothing while this replica votes or knows no leader.
    public mutating func renewTerm(into ready: inout RaftReady) {
        guard !mayVote, role == .follower, leader != nil else { return }
        becomeFollower(term.next, leader: nil, into: &ready)
        for node in configuration.members where node != id { send(.leaderGone(term), to: node, into: &ready) }
    }

    /// Commits have stalled, or the node's verdict is that it is cut off from a quorum: the leader steps down and says
    /// so.
    public mutating func quorumLost(into ready: inout RaftReady) {
        guard role == .leader else { return }
        becomeFollower(term, leader: nil, into: &ready)
    }
}

// MARK: - Pre-vote

extension RaftCore {
    var preVoteRequest: RaftMessage {
        .preVote(
            PreVote(term: term.next, lastIndex: log.lastIndex, lastTerm: log.lastTerm, rank: successorRank))
    }

    mutating func onPreVote(_ message: PreVote, from node: NodeID, into ready: inout RaftReady) {
        forgetLeaderThatCampaigns(node, term: message.term, into: &ready)
        let isEligible =
            mayVote && message.term > term && isUpToDate(lastIndex: message.lastIndex, lastTerm: message.lastTerm)
            && !isPreferred(to: message, from: node)
        let isGranted = isEligible && (leader == nil || bug == .ignoresLeader)
        refusedPreVote = isEligible && !isGranted ? RefusedPreVote(node: node, message: message) : nil
        if isGranted && role == .preCandidate {
            // The other asks with a better claim: leave the field, or both would vote for themselves.
            isCandidacyOpen = false
            setRole(.follower, into: &ready)
        }
        let reply = VoteReply(term: isGranted ? message.term : term, isGranted: isGranted)
        send(.preVoteReply(reply), to: node, into: &ready)
        if !isGranted { makeKnown(to: node, into: &ready) }
    }

    /// Whether this replica asks for the same term with an equal log and comes first in the succession.
    private func isPreferred(to message: PreVote, from node: NodeID) -> Bool {
        guard role == .preCandidate, message.term == term.next else { return false }
        guard message.lastIndex == log.lastIndex, message.lastTerm == log.lastTerm else { return false }
        if successorRank != message.rank { return successorRank < message.rank }
        return rotation(of: id) < rotation(of: node)
    }

    mutating func onPreVoteReply(_ message: VoteReply, from node: NodeID, into ready: inout RaftReady) {
        if !message.isGranted && message.term > term {
            becomeFollower(message.term, leader: nil, into: &ready)
            return
        }
        guard countsPreVote(message), let position = configuration.position(of: node) else { return }
        notePreVote(at: position, isGranted: message.isGranted, into: &ready)
    }

    /// One who refused first, as it still heard the leader, may grant when the round seemed lost.
    private func countsPreVote(_ message: VoteReply) -> Bool {
        guard preVotes.term == term.next, leader == nil else { return false }
        guard message.isGranted else { return role == .preCandidate }
        return message.term == preVotes.term && canCampaign && (role == .preCandidate || role == .follower)
    }

    private mutating func notePreVote(at position: Int, isGranted: Bool, into ready: inout RaftReady) {
        preVotes.note(position, isGranted: isGranted)
        if preVotes.grantedCount >= configuration.quorum {
            becomeCandidate(isTransfer: false, into: &ready)
        } else if isLost(preVotes) && !isCandidacyOpen {
            setRole(.follower, into: &ready)
        }
    }

    /// Whether so many refused that a quorum can no longer grant.
    private func isLost(_ ballot: Ballot) -> Bool {
        ballot.refusedCount > configuration.voters.count - configuration.quorum
    }

    /// A leader that asks for votes in a later term no longer leads, whatever became of its `leaderGone`.
    private mutating func forgetLeaderThatCampaigns(_ node: NodeID, term asked: Term, into ready: inout RaftReady) {
        if leader == node && asked > term { setLeader(nil, into: &ready) }
    }

    /// A leader shows itself to a voter that asks for votes: it must have missed the election, and an idle group sends
    /// nothing.
    private mutating func makeKnown(to node: NodeID, into ready: inout RaftReady) {
        guard role == .leader, let peer = peerPosition(node) else { return }
        replicate(to: peer, atLeastOne: true, into: &ready)
    }
}

// MARK: - Vote

extension RaftCore {
    private var voteRequest: RaftMessage {
        .vote(
            Vote(
                term: term, lastIndex: log.lastIndex, lastTerm: log.lastTerm, isTransfer: isTransferCandidacy))
    }

    /// Enters a new term with a vote for itself. The requests leave, and the own vote counts, when that vote is
    /// durable.
    mutating func becomeCandidate(isTransfer: Bool, into ready: inout RaftReady) {
        enter(term.next, vote: id, into: &ready)
        setLeader(nil, into: &ready)
        votes = Ballot(term: term)
        isCandidacyOpen = true
        isTransferCandidacy = isTransfer
        setRole(.candidate, into: &ready)
        for node in configuration.voters where node != id {
            send(voteRequest, to: node, into: &ready)
        }
    }

    mutating func onVote(_ message: Vote, from node: NodeID, into ready: inout RaftReady) {
        forgetLeaderThatCampaigns(node, term: message.term, into: &ready)
        if message.term > term {
            if leader != nil && !message.isTransfer && bug != .ignoresLeader {
                // Stickiness: while the leader is heard, not even the term moves (thesis, section 4.2.3).
                send(.voteReply(VoteReply(term: term, isGranted: false)), to: node, into: &ready)
                makeKnown(to: node, into: &ready)
                return
            }
            becomeFollower(message.term, leader: nil, into: &ready)
        }
        let isGranted =
            mayVote && message.term == term && (vote == node || (vote == nil && leader == nil))
            && (isUpToDate(lastIndex: message.lastIndex, lastTerm: message.lastTerm)
                || (message.isTransfer && bug == .transfersBlindly))
        if isGranted && vote == nil {
            hardState.vote = node
            ready.hardState = hardState
            setRole(.follower, into: &ready)
        }
        send(.voteReply(VoteReply(term: term, isGranted: isGranted)), to: node, into: &ready)
    }

    mutating func onVoteReply(_ message: VoteReply, from node: NodeID, into ready: inout RaftReady) {
        if message.term > term {
            becomeFollower(message.term, leader: nil, into: &ready)
            return
        }
        guard isCandidacyOpen, message.term == term, let position = configuration.position(of: node) else { return }
        noteVote(at: position, isGranted: message.isGranted, into: &ready)
    }

    /// The own vote counts once it is durable.
    mutating func countOwnVote(into ready: inout RaftReady) {
        guard isCandidacyOpen, durableHardState == hardState, let ownPosition else { return }
        noteVote(at: ownPosition, isGranted: true, into: &ready)
    }

    private mutating func noteVote(at position: Int, isGranted: Bool, into ready: inout RaftReady) {
        votes.note(position, isGranted: isGranted)
        if votes.grantedCount >= configuration.quorum {
            if durableHardState == hardState { becomeLeader(into: &ready) }
        } else if isLost(votes) {
            isCandidacyOpen = false
            if role == .candidate { setRole(.follower, into: &ready) }
        }
    }

    /// Asks `node` again, when it has not answered the round that runs.
    mutating func repeatRequest(to node: NodeID, into ready: inout RaftReady) {
        guard let position = configuration.position(of: node) else { return }
        if role == .preCandidate && !preVotes.hasAnswer(of: position) {
            send(preVoteRequest, to: node, into: &ready)
        }
        if isCandidacyOpen && !votes.hasAnswer(of: position) {
            send(voteRequest, to: node, into: &ready)
        }
    }
}

// MARK: - Leaving

extension RaftCore {
    /// The end of a leadership, before the term moves: reads fail, a transfer ends, the others are told.
    mutating func leaveLeadership(into ready: inout RaftReady) {
        for peer in peers {
            ready.sendNow.append(RaftOutgoing(to: peer.node, message: .leaderGone(term)))
        }
        peers = []
        transferTarget = nil
        failReads(into: &ready)
    }

    mutating func onLeaderGone(_ gone: Term, from node: NodeID, into ready: inout RaftReady) {
        if gone > term {
            becomeFollower(gone, leader: nil, into: &ready)
        } else if gone == term && leader == node {
            setLeader(nil, into: &ready)
        }
    }

    /// The leader hands over to this node: campaign without a pre-vote. One from a past term, or to a node that may not
    /// lead, does nothing.
    mutating func onTimeoutNow(_ asked: Term, from node: NodeID, into ready: inout RaftReady) {
        guard asked == term, leader == node, role == .follower, canCampaign else { return }
        becomeCandidate(isTransfer: true, into: &ready)
    }
}
