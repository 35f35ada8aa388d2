import Primitives
import QueueClient
import QuorumQueue
import Testing

@Suite struct QueueClientTests {
    @Test func opensPublishesAndIsConfirmedInOneRoundTrip() {
        let dialogue = Dialogue()
        let session = dialogue.client.openSession(number: 5)
        #expect(dialogue.publish(session, "a") == 2)
        #expect(dialogue.publish(session, "b") == 3)
        #expect(dialogue.flush() == [])
        dialogue.client.leaderChanged(to: firstLeader, term: Term(1))
        #expect(dialogue.needsFlush)
        #expect(dialogue.flush() == ["n2 resume [s5 0/3]", "n2 #1 b1 s5@1 open enqueue×2"])
        #expect(dialogue.flush() == [])
        #expect(dialogue.resumed([5: nil]) == [])
        #expect(dialogue.unansweredCommands == 3)
        #expect(dialogue.say(.applied(session: 5, through: 3)) == ["applied s5 3"])
        #expect(dialogue.unansweredCommands == 0)
        #expect(dialogue.unansweredBytes == 0)
        #expect(dialogue.unanswered(session) == 0)
    }

    @Test func aClosedSessionLeavesNothingBehind() {
        let (dialogue, session) = attached()
        #expect(!dialogue.isIdle)
        dialogue.client.closeSession(session)
        #expect(dialogue.publish(session, "late") == 0)
        #expect(dialogue.flush() == ["n2 #2 b2 s5@2 close"])
        #expect(dialogue.say(.applied(session: 5, through: 2)) == ["applied s5 2"])
        #expect(dialogue.isIdle)
        #expect(!dialogue.needsTick)
        #expect(dialogue.nextDeadline == nil)
    }

    @Test func sendsUnansweredBatchesAgainInOrderAndThenNewOnes() {
        let (dialogue, session) = attached()
        dialogue.publish(session, "a")
        #expect(dialogue.flush() == ["n2 #2 b2 s5@2 enqueue×1"])
        dialogue.publish(session, "b")
        #expect(dialogue.flush() == ["n2 #3 b3 s5@3 enqueue×1"])
        dialogue.client.leaderChanged(to: nil, term: Term(2))
        dialogue.publish(session, "c")
        dialogue.publish(session, "d")
        #expect(dialogue.flush() == [])
        dialogue.client.leaderChanged(to: NodeID(3), term: Term(2))
        #expect(
            dialogue.flush() == [
                "n3 resume [s5 1/5]", "n3 #1 b2 s5@2 enqueue×1", "n3 #2 b3 s5@3 enqueue×1", "n3 #3 b4 s5@4 enqueue×2",
            ])
        dialogue.resumed([5: 2], from: NodeID(3), term: 2)
        #expect(dialogue.say(.applied(session: 5, through: 5), from: NodeID(3)) == ["applied s5 5"])
        #expect(dialogue.unansweredCommands == 0)
    }

    /// On a node without a replica nobody says who leads: another member is asked, whatever the term was.
    @Test func whatTheLostLeaderDidNotAnswerIsSentToAnotherMember() {
        let (dialogue, session) = attached()
        dialogue.publish(session, "a")
        _ = dialogue.flush()
        dialogue.client.linkReset(firstLeader)
        dialogue.client.turn(to: NodeID(3))
        #expect(dialogue.flush() == ["n3 resume [s5 1/2]", "n3 #1 b2 s5@2 enqueue×1"])
        dialogue.client.turn(to: NodeID(3))
        #expect(dialogue.flush() == [])
        dialogue.resumed([5: 1], from: NodeID(3), term: 2)
        #expect(dialogue.say(.applied(session: 5, through: 2), from: NodeID(3)) == ["applied s5 2"])
    }

    @Test func theOldLeadersLastWordsAreNotHeard() {
        let (dialogue, session) = attached()
        dialogue.publish(session, "a")
        _ = dialogue.flush()
        let old = dialogue.currentEpoch
        dialogue.client.leaderChanged(to: NodeID(3), term: Term(2))
        _ = dialogue.flush()
        #expect(dialogue.sayStale(.applied(session: 5, through: 2), epoch: old, number: 2) == [])
        dialogue.resumed([5: 1], from: NodeID(3), term: 2)
        #expect(dialogue.sayStale(.applied(session: 5, through: 2), epoch: old, number: 2) == [])
        // Nor one of the right epoch from the wrong node.
        #expect(dialogue.sayStale(.applied(session: 5, through: 2), epoch: dialogue.currentEpoch, number: 1) == [])
        #expect(dialogue.say(.applied(session: 5, through: 2), from: NodeID(3)) == ["applied s5 2"])
    }

    @Test func newsOfOlderTermsIsIgnored() {
        let (dialogue, _) = attached()
        dialogue.client.leaderChanged(to: NodeID(3), term: Term(4))
        dialogue.client.leaderChanged(to: firstLeader, term: Term(3))
        #expect(dialogue.leader == NodeID(3))
        #expect(dialogue.flush() == ["n3 resume [s5 1/1]"])
        dialogue.resumed([5: 1], from: NodeID(3), term: 6)
        dialogue.client.leaderChanged(to: firstLeader, term: Term(5))
        #expect(dialogue.leader == NodeID(3))
        #expect(dialogue.term == Term(6))
    }

    @Test func theSameNodeInALaterTermIsAnotherLeader() {
        let (dialogue, _) = attached()
        dialogue.client.leaderChanged(to: firstLeader, term: Term(1))
        #expect(dialogue.flush() == [])
        dialogue.client.leaderChanged(to: firstLeader, term: Term(3))
        #expect(dialogue.flush() == ["n2 resume [s5 1/1]"])
    }

    @Test func whatTheLeaderHasInItsLogIsNotSentAgain() {
        let (dialogue, session) = attached()
        for number in 0..<8 {
            let body = String(repeating: "x", count: QueueClient.eagerLimit / 2 + number)
            dialogue.publish(session, body)
            _ = dialogue.flush()
        }
        dialogue.client.linkReset(firstLeader)
        #expect(
            dialogue.flush() == ["n2 resume [s5 1/9]", "n2 #1 b2 s5@2 enqueue×1", "n2 #2 b3 s5@3 enqueue×1"])
        dialogue.resumed([5: 6], accepted: 8)
        #expect(dialogue.flush() == ["n2 #3 b9 s5@9 enqueue×1"])
        #expect(dialogue.say(.applied(session: 5, through: 9)) == ["applied s5 9"])
        #expect(dialogue.unansweredBytes == 0)
    }

    @Test func aLargeBatchIsNotSentBeforeTheResumeIsAnswered() {
        let (dialogue, session) = attached()
        dialogue.publish(session, String(repeating: "x", count: EntryHeader.sizeLimit + 1))
        #expect(dialogue.flush() == ["n2 #2 b2 s5@2 enqueue×1"])
        dialogue.client.linkReset(firstLeader)
        #expect(dialogue.flush() == ["n2 resume [s5 1/2]"])
        #expect(!dialogue.needsFlush)
        dialogue.resumed([5: 1], accepted: 2)
        #expect(dialogue.flush() == [])
        dialogue.client.leaderChanged(to: NodeID(3), term: Term(2))
        #expect(dialogue.flush() == ["n3 resume [s5 1/2]"])
        dialogue.resumed([5: 1], from: NodeID(3), term: 2)
        #expect(dialogue.flush() == ["n3 #1 b2 s5@2 enqueue×1"])
    }

    @Test func whatIsKnownToBeAppliedIsNotSentAgain() {
        let (dialogue, session) = attached()
        for _ in 0..<3 {
            dialogue.publish(session, String(repeating: "x", count: QueueClient.eagerLimit))
            _ = dialogue.flush()
        }
        dialogue.client.leaderChanged(to: NodeID(3), term: Term(2))
        #expect(dialogue.flush() == ["n3 resume [s5 1/4]", "n3 #1 b2 s5@2 enqueue×1"])
        dialogue.resumed([5: 3], from: NodeID(3), term: 2)
        #expect(dialogue.flush() == ["n3 #2 b4 s5@4 enqueue×1"])
        // Known to be applied is not answered: the outcomes may still be on their way.
        #expect(dialogue.unanswered(session) == 3)
    }

    @Test func anOutcomeIsReportedOnceAndBeforeItIsCovered() {
        let (dialogue, session) = attached()
        dialogue.client.get(session, autoAck: true)
        dialogue.client.purge(session)
        _ = dialogue.flush()
        #expect(dialogue.say(.outcome(session: 5, sequence: 2, .getEmpty)) == ["outcome s5 2 getEmpty"])
        dialogue.client.linkReset(firstLeader)
        _ = dialogue.flush()
        dialogue.resumed([5: 3])
        #expect(
            dialogue.say(
                .outcome(session: 5, sequence: 2, .getEmpty), .outcome(session: 5, sequence: 3, .purged(4)),
                .applied(session: 5, through: 3)) == ["outcome s5 3 purged(4)", "applied s5 3"])
    }

    @Test func aLostStretchMakesItResume() {
        let (dialogue, session) = attached()
        dialogue.publish(session, "a")
        _ = dialogue.flush()
        #expect(dialogue.sayStale(.applied(session: 5, through: 2), epoch: dialogue.currentEpoch, number: 3) == [])
        #expect(dialogue.flush() == ["n2 resume [s5 1/2]", "n2 #1 b2 s5@2 enqueue×1"])
        dialogue.resumed([5: 2])
        // A stretch that comes twice counts once.
        #expect(dialogue.say(.applied(session: 5, through: 2)) == ["applied s5 2"])
        #expect(dialogue.sayStale(.applied(session: 5, through: 2), epoch: dialogue.currentEpoch, number: 1) == [])
        #expect(dialogue.flush() == [])
    }

    @Test func aLeaderThatAsksForAResumeGetsOne() {
        let (dialogue, session) = attached()
        dialogue.publish(session, "a")
        _ = dialogue.flush()
        let old = dialogue.currentEpoch
        #expect(dialogue.receive(.resumeNeeded(epoch: old)) == [])
        #expect(dialogue.flush() == ["n2 resume [s5 1/2]", "n2 #1 b2 s5@2 enqueue×1"])
        #expect(dialogue.receive(.resumeNeeded(epoch: old)) == [])
        #expect(dialogue.flush() == [])
        dialogue.resumed([5: 1])
        #expect(dialogue.say(.outOfSequence(session: 5, expected: 2)) == [])
        #expect(dialogue.flush() == ["n2 resume [s5 1/2]", "n2 #1 b2 s5@2 enqueue×1"])
    }

    @Test func aHintIsFollowedOnceATerm() {
        let (dialogue, _) = attached()
        let first = dialogue.currentEpoch
        _ = dialogue.receive(.notLeader(epoch: first, term: Term(2), hint: NodeID(3)))
        #expect(dialogue.flush() == ["n3 resume [s5 1/1]"])
        // Stale: it answers what was sent in another epoch.
        _ = dialogue.receive(.notLeader(epoch: first, term: Term(2), hint: NodeID(1)), from: NodeID(3))
        #expect(dialogue.leader == NodeID(3))
        _ = dialogue.receive(
            .notLeader(epoch: dialogue.currentEpoch, term: Term(2), hint: firstLeader), from: NodeID(3))
        #expect(dialogue.leader == nil)
        #expect(dialogue.flush() == [])
        #expect(dialogue.tick(0) == [])
        #expect(dialogue.nextDeadline == Instant(nanoseconds: 100_000_000))
        #expect(dialogue.tick(50) == [])
        #expect(dialogue.tick(100) == ["n3 resume [s5 1/1]"])
        dialogue.client.leaderChanged(to: NodeID(1), term: Term(3))
        #expect(dialogue.flush() == ["n1 resume [s5 1/1]"])
    }

    @Test func silenceMakesItResume() {
        let (dialogue, session) = attached()
        #expect(!dialogue.needsTick)
        dialogue.publish(session, "a")
        #expect(dialogue.nextDeadline == .zero)
        _ = dialogue.flush()
        #expect(dialogue.tick(1_000) == [])
        #expect(dialogue.nextDeadline == Instant(nanoseconds: 2_000_000_000))
        #expect(dialogue.tick(1_999) == [])
        #expect(dialogue.tick(2_000) == ["n2 resume [s5 1/2]", "n2 #1 b2 s5@2 enqueue×1"])
        // An answer, even without the confirm, starts the wait anew.
        dialogue.resumed([5: 1], accepted: 2)
        #expect(dialogue.tick(3_000) == [])
        #expect(dialogue.tick(3_999) == [])
        #expect(dialogue.tick(4_000) == ["n2 resume [s5 1/2]", "n2 #1 b2 s5@2 enqueue×1"])
        dialogue.resumed([5: 2])
        dialogue.say(.applied(session: 5, through: 2))
        #expect(dialogue.nextDeadline == nil)
    }

    @Test func waitingForALeaderDoesNotSpin() {
        let dialogue = Dialogue()
        _ = dialogue.client.openSession(number: 5)
        #expect(dialogue.tick(0) == [])
        #expect(dialogue.tick(1_000) == [])
        #expect(dialogue.nextDeadline == Instant(nanoseconds: 2_000_000_000))
    }
}

@Suite struct QueueClientSessionTests {
    @Test func aRefusedSessionIsLostAndItsCommandsForgotten() {
        let (dialogue, session) = attached()
        dialogue.publish(session, "a")
        _ = dialogue.flush()
        #expect(dialogue.say(.refused(session: 5, .unknown)) == ["lost s5 refused(QuorumQueue.SessionRefusal.unknown)"])
        #expect(dialogue.isIdle)
        #expect(dialogue.publish(session, "b") == 0)
        #expect(!dialogue.isKnown(session))
        #expect(dialogue.say(.refused(session: 5, .unknown)) == [])
    }

    @Test func aRefusedCloseIsAClose() {
        let (dialogue, session) = attached()
        dialogue.client.closeSession(session)
        _ = dialogue.flush()
        #expect(dialogue.say(.refused(session: 5, .unknown)) == [])
        #expect(dialogue.isIdle)
    }

    @Test func anExpiredSessionIsLost() {
        let (dialogue, _) = attached()
        #expect(dialogue.say(.sessionClosed(session: 5)) == ["lost s5 expired"])
        #expect(dialogue.isIdle)
    }

    @Test func aSessionThatTheLeaderDoesNotKnowIsOnlyLostByTheLog() {
        let (dialogue, _) = attached()
        dialogue.client.leaderChanged(to: NodeID(3), term: Term(2))
        _ = dialogue.flush()
        #expect(dialogue.resumed([5: nil], from: NodeID(3), term: 2) == [])
        #expect(dialogue.flush() == ["n3 #1 b0 s5@1 open"])
        #expect(
            dialogue.say(.refused(session: 5, .stale), from: NodeID(3))
                == ["lost s5 refused(QuorumQueue.SessionRefusal.stale)"])
    }

    @Test func aSessionThatNobodyRemembersIsClosed() {
        let (dialogue, _) = attached()
        dialogue.client.linkReset(firstLeader)
        _ = dialogue.flush()
        dialogue.resumed([5: 1], unlisted: [SessionProgress(number: 3, lastApplied: 17)])
        #expect(dialogue.flush() == ["n2 #1 b0 s3@18 close"])
        #expect(dialogue.say(.applied(session: 3, through: 18)) == [])
    }

    @Test func aDeletedQueueEndsEverything() {
        let (dialogue, session) = attached()
        dialogue.publish(session, "a")
        dialogue.client.status(requestID: 1)
        #expect(dialogue.receive(.groupGone, from: NodeID(3)) == ["gone"])
        #expect(dialogue.receive(.groupGone, from: NodeID(3)) == [])
        #expect(dialogue.isGone && dialogue.isIdle && !dialogue.needsTick)
        #expect(dialogue.publish(session, "b") == 0)
        let late = dialogue.client.openSession(number: 6)
        #expect(dialogue.publish(late, "b") == 0)
        #expect(dialogue.flush() == [])
    }

    @Test func sessionsShareABatchAndAreAnsweredEachForItself() {
        let (dialogue, first) = attached()
        let second = dialogue.client.openSession(number: 9)
        dialogue.publish(first, "a")
        dialogue.publish(first, "b")
        dialogue.publish(second, "c")
        dialogue.publish(first, "d")
        #expect(dialogue.flush() == ["n2 #2 b2 s9@1 open s5@2 enqueue×2 s9@2 enqueue×1 s5@4 enqueue×1"])
        #expect(dialogue.say(.applied(session: 5, through: 4)) == ["applied s5 4"])
        #expect(dialogue.unansweredCommands == 5)
        #expect(dialogue.say(.applied(session: 9, through: 2)) == ["applied s9 2"])
        #expect(dialogue.unansweredCommands == 0)
    }

    @Test func countsAreAskedOfWhoeverLeads() {
        let dialogue = Dialogue()
        dialogue.client.status(requestID: 4)
        dialogue.client.status(requestID: 5)
        dialogue.client.leaderChanged(to: firstLeader, term: Term(1))
        #expect(dialogue.flush() == ["n2 status 4", "n2 status 5"])
        #expect(dialogue.flush() == [])
        dialogue.client.cancelStatus(requestID: 5)
        _ = dialogue.receive(.notLeader(epoch: 0, term: Term(1), hint: NodeID(3)))
        #expect(dialogue.flush() == ["n3 status 4"])
        let answer = LeaderMessage.status(requestID: 4, ready: 1, unacknowledged: 2, consumers: 3)
        #expect(dialogue.receive(answer) == [])
        #expect(dialogue.receive(answer, from: NodeID(3)) == ["status 4: 1 2 3"])
        #expect(dialogue.receive(answer, from: NodeID(3)) == [])
        #expect(dialogue.isIdle)
    }

    @Test func publishersWaitAtTheBoundAndGoOnAtHalf() {
        let (dialogue, session) = attached()
        let body = String(repeating: "x", count: QueueClient.byteLimit / 16)
        for _ in 0..<15 { dialogue.publish(session, body) }
        #expect(!dialogue.isBlocked)
        dialogue.publish(session, body)
        #expect(dialogue.isBlocked && !dialogue.isRelieved)
        #expect(dialogue.flush().count == 16)
        dialogue.say(.applied(session: 5, through: 8))
        #expect(!dialogue.isBlocked && !dialogue.isRelieved)
        dialogue.say(.applied(session: 5, through: 10))
        #expect(dialogue.isRelieved)
        for _ in 0..<QueueClient.commandLimit { dialogue.publish(session, "") }
        #expect(dialogue.isBlocked)
    }

    @Test func noBatchExceedsAnEntry() {
        let (dialogue, session) = attached()
        for _ in 0..<EntryHeader.commandLimit + 1 { dialogue.publish(session, "") }
        #expect(dialogue.flush() == ["n2 #2 b2 s5@2 enqueue×4096", "n2 #3 b3 s5@4098 enqueue×1"])
        let large = String(repeating: "x", count: EntryHeader.sizeLimit + 1)
        dialogue.publish(session, "small")
        dialogue.publish(session, large)
        dialogue.publish(session, "small")
        #expect(
            dialogue.flush() == [
                "n2 #4 b4 s5@4099 enqueue×1", "n2 #5 b5 s5@4100 enqueue×1", "n2 #6 b6 s5@4101 enqueue×1",
            ])
    }
}

@Suite struct QueueClientDeliveryTests {
    private func consuming() -> (Dialogue, SessionID) {
        let (dialogue, session) = attached()
        dialogue.client.attach(session, consumer: 1, options: ConsumerOptions())
        _ = dialogue.flush()
        return (dialogue, session)
    }

    @Test func aDeliveryProvesTheAttach() {
        let (dialogue, _) = consuming()
        #expect(
            dialogue.say(deliver(5, 1, 1, ["a", "b"]), .applied(session: 5, through: 2))
                == ["applied s5 2", "delivered s5 c1 1: a b"])
    }

    @Test func repetitionsAreCutOffAndHolesFilled() {
        let (dialogue, _) = consuming()
        dialogue.say(.applied(session: 5, through: 2))
        #expect(dialogue.say(deliver(5, 1, 1, ["a", "b"])) == ["delivered s5 c1 1: a b"])
        #expect(dialogue.say(deliver(5, 1, 1, ["a", "b"])) == [])
        #expect(dialogue.say(deliver(5, 1, 2, ["b", "c", "d"])) == ["delivered s5 c1 3: c d"])
        #expect(dialogue.say(deliver(5, 1, 6, ["f"]), deliver(5, 1, 5, ["e"])) == [])
        #expect(dialogue.flush() == ["n2 resume [s5 2/2 c1@4]"])
        dialogue.resumed([5: 2])
        #expect(dialogue.say(deliver(5, 1, 4, ["d", "e"])) == ["delivered s5 c1 5: e"])
        #expect(dialogue.say(deliver(5, 1, 6, ["f"])) == ["delivered s5 c1 6: f"])
    }

    @Test func deliveriesGoOnUntilTheDetachIsAnswered() {
        let (dialogue, session) = consuming()
        dialogue.say(.applied(session: 5, through: 2))
        dialogue.client.detach(session, consumer: 1)
        _ = dialogue.flush()
        #expect(dialogue.say(deliver(5, 1, 1, ["a"])) == ["delivered s5 c1 1: a"])
        dialogue.client.linkReset(firstLeader)
        #expect(dialogue.flush() == ["n2 resume [s5 2/3 c1@1]", "n2 #1 b3 s5@3 detach c1"])
        dialogue.resumed([5: 3])
        #expect(
            dialogue.say(deliver(5, 1, 2, ["b"]), .applied(session: 5, through: 3))
                == ["delivered s5 c1 2: b", "applied s5 3"])
        #expect(dialogue.say(deliver(5, 1, 3, ["c"])) == [])
        dialogue.client.settle(session, consumer: 1, 1...2)
        dialogue.client.linkReset(firstLeader)
        #expect(dialogue.flush() == ["n2 resume [s5 3/3]", "n2 #1 b4 s5@4 settle c1 1...2"])
    }

    @Test func aRefusedConsumerIsForgotten() {
        let (dialogue, _) = consuming()
        #expect(
            dialogue.say(
                .outcome(session: 5, sequence: 2, .consumerRefused(.exclusive)), .applied(session: 5, through: 2))
                == ["outcome s5 2 consumerRefused(QuorumQueue.ConsumerRefusal.exclusive)", "applied s5 2"])
        dialogue.client.linkReset(firstLeader)
        #expect(dialogue.flush() == ["n2 resume [s5 2/2]"])
    }

    @Test func settlementsOfATickBecomeRanges() {
        let (dialogue, session) = consuming()
        dialogue.client.attach(session, consumer: 2, options: ConsumerOptions())
        _ = dialogue.flush()
        for number in [4, 1, 2, 3, 9] as [UInt64] { dialogue.client.settle(session, consumer: 1, number...number) }
        dialogue.client.settle(session, consumer: 2, 7...8)
        dialogue.client.settle(session, consumer: 1, 5...6)
        #expect(dialogue.needsFlush)
        #expect(dialogue.flush() == ["n2 #4 b4 s5@4 settle c1 1...6 settle c1 9...9 settle c2 7...8"])
        dialogue.client.settle(session, consumer: 1, 7...7)
        dialogue.publish(session, "a")
        dialogue.client.return(session, consumer: 1, 8...8, counted: true)
        #expect(dialogue.flush() == ["n2 #5 b5 s5@7 enqueue×1 settle c1 7...7 return c1 8...8"])
        #expect(dialogue.flush() == [])
    }

    @Test func aClosingSessionHearsOfNoDeliveries() {
        let (dialogue, session) = consuming()
        dialogue.say(.applied(session: 5, through: 2))
        dialogue.client.settle(session, consumer: 1, 1...1)
        dialogue.client.closeSession(session)
        #expect(dialogue.flush() == ["n2 #3 b3 s5@3 settle c1 1...1 close"])
        #expect(dialogue.say(deliver(5, 1, 1, ["a"]), .applied(session: 5, through: 4)) == ["applied s5 4"])
    }
}
