import Primitives
import Raft
import Testing

/// Dialogues with one core, where the order of completions and messages is the point.
@Suite struct CoreTests {
    private let peers = [NodeID(2), NodeID(3)]

    private func makeCore(_ restored: RestoredLog = RestoredLog(), voters: [UInt16] = [1, 2, 3]) -> RaftCore {
        RaftCore(
            id: NodeID(1), group: GroupID(0), configuration: RaftConfiguration(voters: voters.map { NodeID($0) }),
            restored: restored)
    }

    /// Leads in term 1 with its no-op at index 1 written and committed.
    private func makeLeader() -> (core: RaftCore, ready: RaftReady) {
        var core = makeCore()
        var ready = RaftReady()
        core.campaign(into: &ready)
        core.receive(.preVoteReply(VoteReply(term: Term(1), isGranted: true)), from: NodeID(2), into: &ready)
        core.durable(hardState: HardState(term: Term(1), vote: NodeID(1)), into: &ready)
        core.receive(.voteReply(VoteReply(term: Term(1), isGranted: true)), from: NodeID(2), into: &ready)
        core.durable(term: Term(1), through: LogIndex(1), into: &ready)
        for node in peers { core.receive(accepted(1), from: node, into: &ready) }
        ready.removeAll()
        return (core, ready)
    }

    private func accepted(_ index: UInt64, matches: UInt64? = nil, read: UInt64 = 0, term: UInt64 = 1) -> RaftMessage {
        .appendReply(
            AppendReply(
                term: Term(term), isAccepted: true, index: LogIndex(index), hintIndex: LogIndex(matches ?? index),
                readContext: read))
    }

    @Test func theHelperLeads() {
        let (core, _) = makeLeader()
        #expect(core.role == .leader)
        #expect(core.commit == LogIndex(1))
        #expect(core.hasCommittedInTerm)
        #expect(!core.hasUncommitted)
    }

    @Test func votesOfOthersAloneDoNotElectBeforeTheOwnVoteIsDurable() {
        var core = makeCore()
        var ready = RaftReady()
        core.campaign(into: &ready)
        core.receive(.preVoteReply(VoteReply(term: Term(1), isGranted: true)), from: NodeID(2), into: &ready)
        #expect(ready.hardState == HardState(term: Term(1), vote: NodeID(1)))
        #expect(ready.sendAfterDurable.map(\.to) == peers)
        for node in peers {
            core.receive(.voteReply(VoteReply(term: Term(1), isGranted: true)), from: node, into: &ready)
        }
        #expect(core.role == .candidate)
        core.durable(hardState: HardState(term: Term(1), vote: NodeID(1)), into: &ready)
        #expect(core.role == .leader)
        #expect(ready.noopAt == LogIndex(1))
        #expect(ready.persist == LogIndex(1)...LogIndex(1))
    }

    @Test func theFirstCampaignOfAGroupNeedsNoPreVote() {
        var core = makeCore()
        var ready = RaftReady()
        core.firstCampaign(into: &ready)
        #expect(core.role == .candidate && ready.sendNow.isEmpty)
        #expect(ready.hardState == HardState(term: Term(1), vote: NodeID(1)))
        #expect(ready.sendAfterDurable.map(\.to) == peers)
        core.receive(.voteReply(VoteReply(term: Term(1), isGranted: true)), from: NodeID(2), into: &ready)
        #expect(core.role == .candidate)
        core.durable(hardState: HardState(term: Term(1), vote: NodeID(1)), into: &ready)
        #expect(core.role == .leader)
    }

    /// Once there has been a term, somebody may lead it.
    @Test func aLaterFirstCampaignAsksBeforehand() {
        var core = makeCore()
        var ready = RaftReady()
        core.receive(
            .vote(Vote(term: Term(1), lastIndex: .zero, lastTerm: .zero, isTransfer: false)), from: NodeID(2),
            into: &ready)
        core.durable(hardState: HardState(term: Term(1), vote: NodeID(2)), into: &ready)
        ready.removeAll()
        core.firstCampaign(into: &ready)
        #expect(core.role == .preCandidate && core.term == Term(1))
    }

    @Test func aSlowDiskDoesNotRestartTheCandidacy() {
        var core = makeCore()
        var ready = RaftReady()
        core.campaign(into: &ready)
        core.receive(.preVoteReply(VoteReply(term: Term(1), isGranted: true)), from: NodeID(2), into: &ready)
        ready.removeAll()
        core.campaign(into: &ready)
        #expect(ready.isEmpty)
        #expect(core.role == .candidate)
    }

    @Test func aVoteThatComesDuringTheNextPreVoteStillElects() {
        var core = makeCore()
        var ready = RaftReady()
        core.campaign(into: &ready)
        core.receive(.preVoteReply(VoteReply(term: Term(1), isGranted: true)), from: NodeID(2), into: &ready)
        core.durable(hardState: HardState(term: Term(1), vote: NodeID(1)), into: &ready)
        core.campaign(into: &ready)
        #expect(core.role == .preCandidate)
        core.receive(.voteReply(VoteReply(term: Term(1), isGranted: true)), from: NodeID(3), into: &ready)
        #expect(core.role == .leader)
        #expect(core.term == Term(1))
        // Not so once the candidacy has ended: a leader that stepped down does not lead in the same term again.
        core.quorumLost(into: &ready)
        core.campaign(into: &ready)
        core.receive(.voteReply(VoteReply(term: Term(1), isGranted: true)), from: NodeID(2), into: &ready)
        #expect(core.role == .preCandidate)
    }

    @Test func aRefusedElectionEndsAtOnce() {
        var core = makeCore()
        var ready = RaftReady()
        core.campaign(into: &ready)
        for node in peers {
            core.receive(.preVoteReply(VoteReply(term: .zero, isGranted: false)), from: node, into: &ready)
        }
        #expect(core.role == .follower)
        #expect(ready.role == .follower)
        #expect(core.term == .zero)
    }

    @Test func retransmitRepeatsWhatIsUnanswered() {
        var core = makeCore()
        var ready = RaftReady()
        core.campaign(into: &ready)
        ready.removeAll()
        core.retransmit(NodeID(3), into: &ready)
        #expect(ready.sendNow.count == 1)
        core.receive(.preVoteReply(VoteReply(term: Term(1), isGranted: true)), from: NodeID(2), into: &ready)
        core.durable(hardState: HardState(term: Term(1), vote: NodeID(1)), into: &ready)
        ready.removeAll()
        core.retransmit(NodeID(3), into: &ready)
        #expect(
            ready.sendNow == [
                RaftOutgoing(
                    to: NodeID(3),
                    message: .vote(Vote(term: Term(1), lastIndex: .zero, lastTerm: .zero, isTransfer: false)))
            ])
        core.receive(.voteReply(VoteReply(term: Term(1), isGranted: false)), from: NodeID(3), into: &ready)
        ready.removeAll()
        core.retransmit(NodeID(3), into: &ready)
        #expect(ready.isEmpty)
    }

    @Test func proposalsOfOneTickShareAReady() {
        var (core, ready) = makeLeader()
        #expect(core.propose(count: 2, into: &ready) == LogIndex(2))
        #expect(core.propose(count: 1, into: &ready) == LogIndex(4))
        #expect(ready.persist == LogIndex(2)...LogIndex(4))
        #expect(ready.noopAt == nil)
        #expect(ready.appends.map(\.append.count) == [2, 2, 1, 1])
        // Completions may be reported by their last.
        core.durable(term: Term(1), through: LogIndex(4), into: &ready)
        core.receive(accepted(4), from: NodeID(3), into: &ready)
        #expect(ready.commit == LogIndex(4))
    }

    @Test func aLeaderCountsItselfOnlyWhenItsDiskHasTheEntry() {
        var (core, ready) = makeLeader()
        _ = core.propose(count: 1, into: &ready)
        core.receive(accepted(2), from: NodeID(2), into: &ready)
        #expect(core.commit == LogIndex(1))
        core.durable(term: Term(1), through: LogIndex(2), into: &ready)
        #expect(core.commit == LogIndex(2))
    }

    @Test func completionsBeyondTheLogOrOfAnotherTermConfirmNothing() {
        var (core, ready) = makeLeader()
        _ = core.propose(count: 1, into: &ready)
        core.durable(term: Term(1), through: LogIndex(3), into: &ready)
        core.durable(term: Term(2), through: LogIndex(2), into: &ready)
        core.durable(term: .zero, through: LogIndex(2), into: &ready)
        #expect(core.durableIndex == LogIndex(1))
        core.durable(term: Term(1), through: LogIndex(2), into: &ready)
        core.durable(term: Term(1), through: LogIndex(1), into: &ready)
        #expect(core.durableIndex == LogIndex(2))
    }

    @Test func theWindowIsBoundedAndOpensWithAcknowledgements() {
        var (core, ready) = makeLeader()
        for _ in 0..<RaftLimits.inflightAppends { _ = core.propose(count: 1, into: &ready) }
        #expect(ready.appends.count == 2 * RaftLimits.inflightAppends)
        ready.removeAll()
        _ = core.propose(count: 200, into: &ready)
        #expect(ready.appends.isEmpty)
        #expect(core.progress(of: NodeID(2))?.inflight == RaftLimits.inflightAppends)
        #expect(core.awaitsReply(from: NodeID(2)))
        // One acknowledgement of two appends makes room for two, of at most 64 entries each.
        core.receive(accepted(3, matches: 65), from: NodeID(2), into: &ready)
        #expect(ready.appends.map(\.to) == [NodeID(2), NodeID(2)])
        #expect(ready.appends.map(\.append.count) == [64, 64])
        #expect(ready.appends.first?.append.prevIndex == LogIndex(65))
    }

    @Test func staleAnswersDoNotMoveTheLeader() {
        var (core, ready) = makeLeader()
        _ = core.propose(count: 5, into: &ready)
        core.receive(accepted(6), from: NodeID(2), into: &ready)
        ready.removeAll()
        let before = core.progress(of: NodeID(2))
        // Older than the acknowledgement of 6, from another term, of a node that is no voter.
        core.receive(
            .appendReply(
                AppendReply(term: Term(1), isAccepted: false, index: LogIndex(4), hintIndex: .zero)),
            from: NodeID(2), into: &ready)
        core.receive(accepted(3), from: NodeID(2), into: &ready)
        core.receive(accepted(6, term: 0), from: NodeID(3), into: &ready)
        core.receive(accepted(6), from: NodeID(9), into: &ready)
        #expect(core.progress(of: NodeID(2)) == before)
        #expect(core.progress(of: NodeID(3))?.match == LogIndex(1))
        #expect(ready.isEmpty)
        core.receive(accepted(7), from: NodeID(3), into: &ready)
        #expect(ready.violations == [.acknowledgedBeyondLog(node: NodeID(3), index: LogIndex(7))])
        #expect(core.commit == LogIndex(1))
    }

    @Test func aRejectionInThePipelineProbesBehindTheAcknowledged() {
        var (core, ready) = makeLeader()
        _ = core.propose(count: 1, into: &ready)
        _ = core.propose(count: 1, into: &ready)
        ready.removeAll()
        // Index 2 was lost, so the follower refuses what joins behind it.
        core.receive(
            .appendReply(
                AppendReply(
                    term: Term(1), isAccepted: false, index: LogIndex(2), hintIndex: LogIndex(1), hintTerm: Term(1))),
            from: NodeID(2), into: &ready)
        #expect(ready.appends.map(\.append.prevIndex) == [LogIndex(1)])
        #expect(ready.appends.map(\.append.count) == [2])
        #expect(core.progress(of: NodeID(2))?.isProbing == true)
        // Nothing more until it answers; then the pipeline is open again.
        ready.removeAll()
        _ = core.propose(count: 1, into: &ready)
        #expect(ready.appends.map(\.to) == [NodeID(3)])
        ready.removeAll()
        core.receive(accepted(1, matches: 3), from: NodeID(2), into: &ready)
        #expect(ready.appends.map(\.append.entries) == [LogIndex(4)...LogIndex(4)])
    }

    @Test func aCommitIndexLostWithTheLinkIsToldAgain() {
        var (core, ready) = makeLeader()
        core.broadcastCommit(into: &ready)
        #expect(!core.needsCommitBroadcast)
        core.peerReset(NodeID(2), into: &ready)
        #expect(core.needsCommitBroadcast)
        ready.removeAll()
        core.broadcastCommit(into: &ready)
        #expect(ready.appends.map(\.to) == [NodeID(2)])
        #expect(ready.appends.map(\.append.commit) == [LogIndex(1)])
        // Once; from then on the answer is awaited.
        #expect(!core.needsCommitBroadcast)
        #expect(core.awaitsReply(from: NodeID(2)))
    }

    @Test func whoFollowsALeaderVotesForNobodyElseInItsTerm() {
        var core = makeCore()
        var ready = RaftReady()
        let append = Append(term: Term(1), prevIndex: .zero, prevTerm: .zero, commit: .zero)
        core.receive(.append(append), from: NodeID(2), into: &ready)
        let request = Vote(term: Term(1), lastIndex: LogIndex(5), lastTerm: .zero, isTransfer: false)
        core.receive(.vote(request), from: NodeID(3), into: &ready)
        #expect(core.vote == nil)
        #expect(ready.sendAfterDurable.last?.message == .voteReply(VoteReply(term: Term(1), isGranted: false)))
    }

    @Test func anEchoOfAnotherTermOrRoundConfirmsNoRead() {
        var (core, ready) = makeLeader()
        core.readIndex(context: 40, into: &ready)
        core.receive(accepted(1, read: 0), from: NodeID(2), into: &ready)
        core.receive(accepted(1, read: 99), from: NodeID(2), into: &ready)
        core.receive(accepted(1, read: 1, term: 0), from: NodeID(3), into: &ready)
        #expect(ready.readable.isEmpty)
        #expect(core.hasPendingReads)
        core.receive(accepted(1, read: 1), from: NodeID(2), into: &ready)
        #expect(ready.readable == [ReadableIndex(context: 40, index: LogIndex(1))])
        #expect(!core.hasPendingReads)
    }

    @Test func aRejectionEchoesTheReadRoundToo() {
        var (core, ready) = makeLeader()
        _ = core.propose(count: 1, into: &ready)
        core.readIndex(context: 5, into: &ready)
        core.receive(
            .appendReply(
                AppendReply(
                    term: Term(1), isAccepted: false, index: LogIndex(2), hintIndex: LogIndex(1), hintTerm: Term(1),
                    readContext: 1)),
            from: NodeID(2), into: &ready)
        #expect(ready.readable == [ReadableIndex(context: 5, index: LogIndex(1))])
    }

    @Test func pendingReadsAreBounded() {
        var (core, ready) = makeLeader()
        for context in 0...UInt64(RaftLimits.pendingReads) { core.readIndex(context: context, into: &ready) }
        #expect(ready.failedReads == [UInt64(RaftLimits.pendingReads)])
    }

    @Test func theSuccessionFollowsTheLogAndThenTheGroup() {
        var (core, ready) = makeLeader()
        _ = core.propose(count: 1, into: &ready)
        #expect(ready.appends.map(\.append.rank) == [0, 1])
        core.receive(accepted(2), from: NodeID(3), into: &ready)
        ready.removeAll()
        core.broadcastCommit(isForced: true, into: &ready)
        #expect(ready.appends.map(\.append.rank) == [1, 0])
    }

    @Test func aLearnerFollowsAndNeverCampaigns() {
        var core = makeCore(voters: [2, 3])
        var ready = RaftReady()
        core.campaign(into: &ready)
        #expect(ready.isEmpty)
        #expect(!core.canCampaign)
        let append = Append(
            term: Term(1), prevIndex: .zero, prevTerm: .zero, commit: .zero, count: 1, entriesTerm: Term(1))
        core.receive(.append(append), from: NodeID(2), into: &ready)
        core.receive(.timeoutNow(Term(1)), from: NodeID(2), into: &ready)
        #expect(core.role == .follower)
        #expect(ready.persist == LogIndex(1)...LogIndex(1))
    }

    @Test func aRepairedReplicaMayCampaign() {
        var core = makeCore(RestoredLog(mayVote: false, mayLead: false))
        var ready = RaftReady()
        core.permit(voting: true, leading: false)
        core.campaign(into: &ready)
        #expect(ready.isEmpty)
        core.permit(voting: false, leading: true)
        core.campaign(into: &ready)
        #expect(core.role == .preCandidate)
    }

    @Test func anEchoWaitsForTheTermAndNotForTheEntries() {
        var core = makeCore(RestoredLog(hardState: HardState(term: Term(1))))
        var ready = RaftReady()
        var append = Append(
            term: Term(1), prevIndex: .zero, prevTerm: .zero, commit: .zero, count: 1, entriesTerm: Term(1),
            readContext: 3)
        core.receive(.append(append), from: NodeID(2), into: &ready)
        let echo = AppendReply(
            term: Term(1), isAccepted: true, index: .zero, hintIndex: LogIndex(1), readContext: 3)
        #expect(ready.sendNow == [RaftOutgoing(to: NodeID(2), message: .appendReply(echo))])
        #expect(ready.sendAfterDurable.isEmpty)
        ready.removeAll()
        append.term = Term(2)
        core.receive(.append(append), from: NodeID(3), into: &ready)
        #expect(ready.sendNow.isEmpty)
        #expect(ready.hardState == HardState(term: Term(2)))
        #expect(ready.sendAfterDurable.count == 1)
    }

    @Test func anUnwrittenTermIsHandedOverAgainWithWhatDependsOnIt() {
        var core = makeCore()
        var ready = RaftReady()
        let request = Vote(term: Term(4), lastIndex: .zero, lastTerm: .zero, isTransfer: false)
        core.receive(.vote(request), from: NodeID(2), into: &ready)
        ready.removeAll()
        // The disk has not finished: the refusal to another candidate waits as well, for a write of its own.
        core.receive(.vote(request), from: NodeID(3), into: &ready)
        #expect(ready.hardState == HardState(term: Term(4), vote: NodeID(2)))
        #expect(ready.sendNow.isEmpty)
        #expect(ready.sendAfterDurable.count == 1)
        core.durable(hardState: HardState(term: Term(4), vote: NodeID(2)), into: &ready)
        ready.removeAll()
        core.receive(.vote(request), from: NodeID(3), into: &ready)
        #expect(ready.hardState == nil)
        #expect(ready.sendNow.count == 1)
    }
}
