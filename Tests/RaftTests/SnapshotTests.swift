import Primitives
import Raft
import Testing

/// Compaction and snapshots, one core at a time.
@Suite struct SnapshotTests {
    private var ready = RaftReady()

    private func makeCore(_ restored: RestoredLog) -> RaftCore {
        RaftCore(
            id: NodeID(1), group: GroupID(0), configuration: RaftConfiguration(voters: [1, 2, 3].map { NodeID($0) }),
            restored: restored)
    }

    /// A follower in term 5 whose snapshot ends at 10/3, with entries 11 and 12 of term 3, 13 and 14 of term 5.
    private func makeFollower() -> RaftCore {
        makeCore(
            RestoredLog(
                hardState: HardState(term: Term(5)),
                termRuns: [TermRun(first: LogIndex(11), term: Term(3)), TermRun(first: LogIndex(13), term: Term(5))],
                lastIndex: LogIndex(14), snapshotIndex: LogIndex(10), snapshotTerm: Term(3)))
    }

    /// Leads in term 1 with entries 1 to 20, which n2 has and n3 has not.
    private mutating func makeLeader() -> RaftCore {
        var core = makeCore(RestoredLog())
        core.campaign(into: &ready)
        core.receive(.preVoteReply(VoteReply(term: Term(1), isGranted: true)), from: NodeID(2), into: &ready)
        core.durable(hardState: HardState(term: Term(1), vote: NodeID(1)), into: &ready)
        core.receive(.voteReply(VoteReply(term: Term(1), isGranted: true)), from: NodeID(2), into: &ready)
        core.receive(accepted(0), from: NodeID(2), into: &ready)
        _ = core.propose(count: 19, into: &ready)
        core.durable(term: Term(1), through: LogIndex(20), into: &ready)
        core.receive(accepted(20), from: NodeID(2), into: &ready)
        ready.removeAll()
        return core
    }

    /// Has compacted up to 15, and n3 has refused the probe there.
    private mutating func makeLeaderWithWaitingFollower() -> RaftCore {
        var core = makeLeader()
        core.compact(through: LogIndex(15))
        core.retransmit(NodeID(3), into: &ready)
        core.receive(rejected(15, hint: 4), from: NodeID(3), into: &ready)
        return core
    }

    private func accepted(_ index: UInt64, matches: UInt64? = nil, mayVote: Bool = true) -> RaftMessage {
        .appendReply(
            AppendReply(
                term: Term(1), isAccepted: true, index: LogIndex(index), hintIndex: LogIndex(matches ?? index),
                mayVote: mayVote))
    }

    private func rejected(_ index: UInt64, hint: UInt64, hintTerm: UInt64 = 1) -> RaftMessage {
        .appendReply(
            AppendReply(
                term: Term(1), isAccepted: false, index: LogIndex(index), hintIndex: LogIndex(hint),
                hintTerm: Term(hint == 0 ? 0 : hintTerm)))
    }

    private func append(prev: UInt64, _ prevTerm: UInt64, count: UInt64, of term: UInt64) -> RaftMessage {
        .append(
            Append(
                term: Term(5), prevIndex: LogIndex(prev), prevTerm: Term(prevTerm), commit: .zero, count: count,
                entriesTerm: Term(term)))
    }

    private var sentReplies: [AppendReply] {
        (ready.sendNow + ready.sendAfterDurable).compactMap { outgoing in
            guard case .appendReply(let reply) = outgoing.message else { return nil }
            return reply
        }
    }

    // MARK: Compaction

    @Test mutating func compactionForgetsTermsUpToItsIndex() {
        var core = makeLeader()
        core.compact(through: LogIndex(15))
        #expect(core.baseIndex == LogIndex(15) && core.baseTerm == Term(1))
        #expect(core.term(at: LogIndex(14)) == nil)
        #expect(core.term(at: LogIndex(15)) == Term(1))
        #expect(core.lastIndex == LogIndex(20) && core.lastTerm == Term(1) && core.commit == LogIndex(20))
        // To the very end, and on from there.
        core.compact(through: LogIndex(20))
        #expect(core.lastIndex == LogIndex(20) && core.lastTerm == Term(1))
        #expect(core.propose(count: 1, into: &ready) == LogIndex(21))
        #expect(ready.appends.map(\.append.prevIndex) == [LogIndex(20), LogIndex(20)])
        #expect(ready.appends.map(\.append.prevTerm) == [Term(1), Term(1)])
    }

    @Test mutating func aFollowerBelowTheBaseIsProbedThereFirst() {
        var core = makeLeader()
        #expect(core.progress(of: NodeID(3))?.next == LogIndex(1))
        core.compact(through: LogIndex(15))
        #expect(core.progress(of: NodeID(3))?.next == LogIndex(16))
        #expect(core.needsCommitBroadcast)
        core.retransmit(NodeID(3), into: &ready)
        #expect(ready.appends.map(\.append.entries) == [LogIndex(16)...LogIndex(20)])
        #expect(ready.snapshotNeeded.isEmpty)
        // An answer to what was sent before proves nothing about the base; one that reaches it opens the pipeline.
        core.receive(accepted(9), from: NodeID(3), into: &ready)
        #expect(core.progress(of: NodeID(3))?.isProbing == true)
        #expect(core.progress(of: NodeID(3))?.match == LogIndex(9))
        core.receive(accepted(12, matches: 20), from: NodeID(3), into: &ready)
        #expect(core.progress(of: NodeID(3))?.isProbing == false)
        #expect(core.progress(of: NodeID(3))?.next == LogIndex(21))
    }

    @Test mutating func aPipelineAheadOfTheBaseIsLeftAlone() {
        var core = makeLeader()
        core.receive(accepted(0, matches: 20), from: NodeID(3), into: &ready)
        core.compact(through: LogIndex(20))
        #expect(core.progress(of: NodeID(3))?.isProbing == false)
        // Lost, though: the log does not reach back to what is acknowledged.
        ready.removeAll()
        core.retransmit(NodeID(3), into: &ready)
        #expect(ready.appends.map(\.append.prevIndex) == [LogIndex(20)])
    }

    @Test mutating func whatLiesBelowTheBaseIsSkipped() {
        var core = makeFollower()
        core.receive(append(prev: 6, 2, count: 8, of: 3), from: NodeID(2), into: &ready)
        // 7 to 10 are the snapshot's, 11 and 12 are there, 13 and 14 are other entries.
        #expect(ready.truncateFrom == LogIndex(13))
        #expect(ready.persist == LogIndex(13)...LogIndex(14))
        #expect(ready.violations.isEmpty)
        ready.removeAll()
        core.receive(append(prev: 4, 2, count: 3, of: 3), from: NodeID(2), into: &ready)
        #expect(ready.persist == nil && ready.truncateFrom == nil)
        #expect(sentReplies.map(\.isAccepted) == [true])
        ready.removeAll()
        core.receive(append(prev: 6, 2, count: 8, of: 4), from: NodeID(2), into: &ready)
        #expect(ready.violations == [.conflictBelowCommit(node: NodeID(2), index: LogIndex(10))])
        core.receive(append(prev: 10, 2, count: 0, of: 0), from: NodeID(2), into: &ready)
        #expect(ready.violations.count == 2)
    }

    @Test mutating func electionsCompareTheSnapshotsLastEntry() {
        let snapshotOnly = RestoredLog(
            hardState: HardState(term: Term(5)), lastIndex: LogIndex(10), snapshotIndex: LogIndex(10),
            snapshotTerm: Term(3))
        var core = makeCore(snapshotOnly)
        func ask(_ index: UInt64, _ term: UInt64) -> RaftMessage {
            .vote(Vote(term: Term(6), lastIndex: LogIndex(index), lastTerm: Term(term), isTransfer: false))
        }
        core.receive(ask(9, 3), from: NodeID(2), into: &ready)
        core.receive(ask(50, 2), from: NodeID(2), into: &ready)
        #expect(core.vote == nil)
        core.receive(ask(10, 3), from: NodeID(2), into: &ready)
        #expect(core.vote == NodeID(2))
        ready.removeAll()
        var candidate = makeCore(snapshotOnly)
        candidate.campaign(into: &ready)
        let question = PreVote(term: Term(6), lastIndex: LogIndex(10), lastTerm: Term(3), rank: Append.noRank)
        #expect(ready.sendNow.map(\.message) == [.preVote(question), .preVote(question)])
    }

    // MARK: The leader's side

    @Test mutating func aWaitingFollowerIsNamedAndGetsNoAppends() {
        var core = makeLeaderWithWaitingFollower()
        #expect(ready.snapshotNeeded == [NodeID(3)])
        #expect(!ready.isEmpty)
        #expect(core.progress(of: NodeID(3))?.pendingSnapshot == LogIndex(15))
        #expect(core.awaitsReply(from: NodeID(3)))
        ready.removeAll()
        #expect(ready.isEmpty)
        _ = core.propose(count: 1, into: &ready)
        core.broadcastCommit(isForced: true, into: &ready)
        core.readIndex(context: 7, into: &ready)
        core.setPaused(NodeID(3), false, into: &ready)
        core.receive(rejected(15, hint: 4), from: NodeID(3), into: &ready)
        #expect(ready.appends.allSatisfy { $0.to == NodeID(2) })
        #expect(ready.snapshotNeeded.isEmpty)
        core.peerReset(NodeID(3), into: &ready)
        #expect(ready.snapshotNeeded.isEmpty)
        core.retransmit(NodeID(3), into: &ready)
        core.retransmit(NodeID(3), into: &ready)
        #expect(ready.snapshotNeeded == [NodeID(3)])
        // Its echo confirms the read all the same, and it may still vote.
        let echo = AppendReply(
            term: Term(1), isAccepted: true, index: LogIndex(4), hintIndex: LogIndex(4), readContext: 1)
        core.receive(.appendReply(echo), from: NodeID(3), into: &ready)
        #expect(ready.readable.map(\.context) == [7])
    }

    @Test mutating func theBaseBringsAWaitingFollowerBack() {
        var core = makeLeaderWithWaitingFollower()
        ready.removeAll()
        core.receive(accepted(14), from: NodeID(3), into: &ready)
        #expect(ready.isEmpty)
        #expect(core.progress(of: NodeID(3))?.pendingSnapshot == LogIndex(15))
        core.receive(accepted(15), from: NodeID(3), into: &ready)
        #expect(core.progress(of: NodeID(3))?.pendingSnapshot == nil)
        #expect(core.progress(of: NodeID(3))?.isProbing == false)
        #expect(ready.appends.map(\.append.entries) == [LogIndex(16)...LogIndex(20)])
    }

    @Test mutating func aSnapshotThatCameTooLateIsFollowedByANewerOne() {
        var core = makeLeaderWithWaitingFollower()
        core.compact(through: LogIndex(18))
        ready.removeAll()
        core.receive(accepted(15), from: NodeID(3), into: &ready)
        #expect(ready.snapshotNeeded == [NodeID(3)])
        #expect(core.progress(of: NodeID(3))?.pendingSnapshot == LogIndex(18))
        // The same answer once more asks for nothing more.
        ready.removeAll()
        core.receive(accepted(15), from: NodeID(3), into: &ready)
        #expect(ready.isEmpty)
    }

    @Test mutating func aFailedSnapshotEndsInAProbe() {
        var core = makeLeaderWithWaitingFollower()
        core.snapshotFailed(NodeID(2))
        #expect(core.progress(of: NodeID(2))?.isProbing == false)
        core.snapshotFailed(NodeID(3))
        #expect(core.progress(of: NodeID(3))?.isProbing == true)
        #expect(core.needsCommitBroadcast)
        ready.removeAll()
        core.broadcastCommit(into: &ready)
        #expect(ready.appends.filter { $0.to == NodeID(3) }.map(\.append.prevIndex) == [LogIndex(15)])
    }

    @Test mutating func hintsBelowTheBaseAreNotFollowed() {
        // The follower has entries of an older term where the leader's terms are forgotten.
        var core = makeLeader()
        core.compact(through: LogIndex(15))
        core.retransmit(NodeID(3), into: &ready)
        ready.removeAll()
        core.receive(rejected(15, hint: 15, hintTerm: 0), from: NodeID(3), into: &ready)
        #expect(ready.snapshotNeeded == [NodeID(3)])
        #expect(ready.appends.isEmpty)
    }

    @Test mutating func leadershipIsNotHandedToAWaitingFollower() {
        var core = makeLeaderWithWaitingFollower()
        #expect(!core.transfer(to: NodeID(3), into: &ready))
        #expect(core.transferTarget == nil)
        // One that began to wait during the transfer.
        core.snapshotFailed(NodeID(3))
        ready.removeAll()
        #expect(core.transfer(to: NodeID(3), into: &ready))
        #expect(core.propose(count: 1, into: &ready) == nil)
        core.receive(rejected(15, hint: 4), from: NodeID(3), into: &ready)
        #expect(!core.transfer(to: NodeID(3), into: &ready))
        #expect(core.propose(count: 1, into: &ready) == LogIndex(21))
    }

    @Test mutating func aNodeThatLostRecordsCountsOnceItMayVoteAgain() {
        var core = makeLeader()
        _ = core.propose(count: 1, into: &ready)
        core.durable(term: Term(1), through: LogIndex(21), into: &ready)
        core.receive(accepted(21, mayVote: false), from: NodeID(3), into: &ready)
        #expect(core.commit == LogIndex(20))
        #expect(core.progress(of: NodeID(3))?.match == LogIndex(21))
        // An answer from before the loss counts for what it said, not for what came after.
        core.receive(accepted(20), from: NodeID(3), into: &ready)
        #expect(core.commit == LogIndex(20))
        core.receive(accepted(21), from: NodeID(3), into: &ready)
        #expect(core.commit == LogIndex(21))
    }
}
