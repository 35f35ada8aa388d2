import Primitives
import Raft
import Testing

/// A follower that is given a snapshot.
@Suite struct InstallTests {
    private var ready = RaftReady()

    private func makeCore(_ restored: RestoredLog) -> RaftCore {
        RaftCore(
            id: NodeID(1), group: GroupID(0), configuration: RaftConfiguration(voters: [1, 2, 3].map { NodeID($0) }),
            restored: restored)
    }

    /// In term 5, with entries 1 to 12 of term 3, 13 and 14 of term 5.
    private func makeFollower(mayVote: Bool = true) -> RaftCore {
        makeCore(
            RestoredLog(
                hardState: HardState(term: Term(5)),
                termRuns: [TermRun(first: LogIndex(1), term: Term(3)), TermRun(first: LogIndex(13), term: Term(5))],
                lastIndex: LogIndex(14), mayVote: mayVote))
    }

    private mutating func install(
        _ index: UInt64, _ term: UInt64, leaderTerm: UInt64 = 5, from node: UInt16 = 2, in core: inout RaftCore
    ) {
        ready.removeAll()
        core.installSnapshot(
            index: LogIndex(index), term: Term(term), leaderTerm: Term(leaderTerm), from: NodeID(node), into: &ready)
    }

    private var replies: [AppendReply] {
        (ready.sendNow + ready.sendAfterDurable).compactMap { outgoing in
            guard case .appendReply(let reply) = outgoing.message else { return nil }
            return reply
        }
    }

    @Test mutating func theSuffixStaysBehindItsOwnEntry() {
        var core = makeFollower()
        #expect(core.keepsSuffix(afterSnapshotAt: LogIndex(12), term: Term(3)))
        install(12, 3, in: &core)
        #expect(ready.snapshotInstalled == LogIndex(12) && ready.commit == LogIndex(12))
        #expect(ready.snapshotDroppedFrom == nil && ready.truncateFrom == nil)
        #expect(core.baseIndex == LogIndex(12) && core.lastIndex == LogIndex(14) && core.durableIndex == LogIndex(14))
        #expect(core.term(at: LogIndex(13)) == Term(5))
        #expect(core.leader == NodeID(2))
        #expect(replies.map(\.index) == [LogIndex(12)])
        #expect(replies.map(\.isAccepted) == [true])
    }

    @Test mutating func anotherEntryThereEndsTheWholeLog() {
        var core = makeFollower()
        #expect(!core.keepsSuffix(afterSnapshotAt: LogIndex(12), term: Term(4)))
        install(12, 4, in: &core)
        #expect(ready.snapshotInstalled == LogIndex(12) && ready.snapshotDroppedFrom == LogIndex(13))
        #expect(core.baseIndex == LogIndex(12) && core.baseTerm == Term(4))
        #expect(core.lastIndex == LogIndex(12) && core.lastTerm == Term(4) && core.durableIndex == LogIndex(12))
        // A late completion of what was dropped confirms nothing.
        core.durable(term: Term(5), through: LogIndex(14), into: &ready)
        #expect(core.durableIndex == LogIndex(12))
        // The log goes on behind the snapshot.
        ready.removeAll()
        let next = Append(
            term: Term(5), prevIndex: LogIndex(12), prevTerm: Term(4), commit: LogIndex(13), count: 2,
            entriesTerm: Term(4))
        core.receive(.append(next), from: NodeID(2), into: &ready)
        #expect(ready.persist == LogIndex(13)...LogIndex(14))
        #expect(ready.commit == LogIndex(13))
        ready.removeAll()
        core.durable(term: Term(4), through: LogIndex(14), into: &ready)
        #expect(replies.map(\.index) == [LogIndex(14)])
    }

    @Test mutating func beyondTheEndOfTheLogNothingIsDropped() {
        var core = makeFollower()
        #expect(!core.keepsSuffix(afterSnapshotAt: LogIndex(30), term: Term(5)))
        install(30, 5, in: &core)
        #expect(ready.snapshotInstalled == LogIndex(30) && ready.snapshotDroppedFrom == nil)
        #expect(core.lastIndex == LogIndex(30) && core.durableIndex == LogIndex(30) && core.commit == LogIndex(30))
    }

    /// Also etcd #18055: a second snapshot right behind the first.
    @Test mutating func whatIsNotNewsIsAnsweredOnly() {
        var core = makeFollower()
        install(20, 5, in: &core)
        install(18, 5, in: &core)
        #expect(ready.snapshotInstalled == nil && ready.commit == nil)
        #expect(replies.map(\.index) == [LogIndex(20)])
        #expect(core.keepsSuffix(afterSnapshotAt: LogIndex(18), term: Term(5)))
        install(20, 5, in: &core)
        #expect(ready.snapshotInstalled == nil)
        #expect(replies.map(\.index) == [LogIndex(20)])
        install(21, 5, in: &core)
        #expect(ready.snapshotInstalled == LogIndex(21))
        #expect(core.baseIndex == LogIndex(21))
    }

    @Test mutating func aNewerTermIsEnteredAndWrittenFirst() {
        var core = makeFollower()
        install(20, 5, leaderTerm: 7, from: 3, in: &core)
        #expect(core.term == Term(7) && core.leader == NodeID(3))
        #expect(ready.hardState == HardState(term: Term(7)))
        #expect(ready.sendNow.isEmpty)
        #expect(replies.map(\.index) == [LogIndex(20)])
        // The term's completion does not move what is durable back or beyond the log.
        core.durable(hardState: HardState(term: Term(7)), into: &ready)
        #expect(core.durableIndex == LogIndex(20))
    }

    @Test mutating func anOlderLeaderIsNotFollowed() {
        var core = makeFollower()
        #expect(!core.receiveSnapshotOffer(term: Term(4), from: NodeID(2), into: &ready))
        #expect(core.leader == nil)
        #expect(replies.map(\.term) == [Term(5)])
        #expect(replies.map(\.isAccepted) == [false])
        // What the disk has made current meanwhile is taken, for it is committed.
        install(20, 3, leaderTerm: 4, in: &core)
        #expect(core.leader == nil)
        #expect(ready.snapshotInstalled == LogIndex(20))
        #expect(replies.map(\.isAccepted) == [false])
    }

    @Test mutating func anOfferMakesTheLeaderKnown() {
        var core = makeFollower()
        core.campaign(into: &ready)
        #expect(core.role == .preCandidate)
        #expect(core.receiveSnapshotOffer(term: Term(5), from: NodeID(2), into: &ready))
        #expect(core.role == .follower && core.leader == NodeID(2))
        ready.removeAll()
        // Another that claims the same term breaks the rules.
        #expect(!core.receiveSnapshotOffer(term: Term(5), from: NodeID(3), into: &ready))
        #expect(ready.violations == [.secondLeader(node: NodeID(3), term: Term(5))])
        install(20, 5, from: 3, in: &core)
        #expect(ready.snapshotInstalled == nil && core.lastIndex == LogIndex(14))
    }

    @Test mutating func aLeaderTakesNone() {
        var core = makeCore(RestoredLog(hardState: HardState(term: Term(5))))
        core.campaign(into: &ready)
        core.receive(.preVoteReply(VoteReply(term: Term(6), isGranted: true)), from: NodeID(2), into: &ready)
        core.durable(hardState: HardState(term: Term(6), vote: NodeID(1)), into: &ready)
        core.receive(.voteReply(VoteReply(term: Term(6), isGranted: true)), from: NodeID(2), into: &ready)
        #expect(core.role == .leader)
        for term in [UInt64(5), 6] {
            install(9, 4, leaderTerm: term, in: &core)
            #expect(core.role == .leader && core.baseIndex == .zero && ready.snapshotInstalled == nil)
        }
        install(9, 4, leaderTerm: 7, in: &core)
        #expect(core.role == .follower && core.leader == NodeID(2) && core.baseIndex == LogIndex(9))
    }

    @Test mutating func impossibleNumbersAreIgnored() {
        var core = makeFollower()
        let before = core.lastIndex
        install(0, 1, in: &core)
        #expect(ready.isEmpty)
        install(20, 0, in: &core)
        install(20, 6, in: &core)
        install(UInt64.max, 5, in: &core)
        install(20, 5, leaderTerm: UInt64.max, in: &core)
        install(20, 5, from: 1, in: &core)
        #expect(core.lastIndex == before && core.commit == .zero && core.term == Term(5))
    }

    @Test mutating func aDoubtfulLogKeepsItsDoubtBehindTheSnapshot() {
        var core = makeFollower(mayVote: false)
        install(11, 3, in: &core)
        #expect(replies.map(\.mayVote) == [false])
        #expect(core.lastIndex == LogIndex(14))
        ready.removeAll()
        func append(prev: UInt64, _ prevTerm: UInt64, count: UInt64 = 0, of term: UInt64 = 0) -> RaftMessage {
            .append(
                Append(
                    term: Term(5), prevIndex: LogIndex(prev), prevTerm: Term(prevTerm), commit: .zero, count: count,
                    entriesTerm: Term(term)))
        }
        core.receive(append(prev: 14, 5), from: NodeID(2), into: &ready)
        #expect(replies.map(\.isAccepted) == [false])
        #expect(replies.map(\.hintIndex) == [LogIndex(11)])
        core.receive(append(prev: 11, 3, count: 1, of: 3), from: NodeID(2), into: &ready)
        core.receive(append(prev: 12, 3, count: 2, of: 5), from: NodeID(2), into: &ready)
        ready.removeAll()
        core.receive(append(prev: 14, 5), from: NodeID(2), into: &ready)
        #expect(replies.map(\.isAccepted) == [true])
        #expect(replies.map(\.index) == [LogIndex(14)])
        #expect(replies.map(\.mayVote) == [false])
        ready.removeAll()
        core.permit(voting: true, leading: false)
        core.retransmit(NodeID(2), into: &ready)
        #expect(replies.map(\.mayVote) == [true])
    }
}
