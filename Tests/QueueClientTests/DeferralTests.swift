import Primitives
import QueueClient
import QuorumQueue
import Testing

/// Settlements that wait for other commands.
@Suite struct DeferralTests {
    /// A client with a consumer of this prefetch that was handed messages 1...`count`.
    private func consuming(prefetch: UInt32, _ count: Int) -> (Dialogue, SessionID) {
        let (dialogue, session) = attached()
        dialogue.client.attach(session, consumer: 1, options: ConsumerOptions(prefetch: prefetch))
        _ = dialogue.flush()
        dialogue.say(.applied(session: 5, through: 2))
        dialogue.say(deliver(5, 1, 1, Array(repeating: "x", count: count)))
        return (dialogue, session)
    }

    @Test func settlementsWaitForAPublish() {
        let (dialogue, session) = consuming(prefetch: 320, 40)
        dialogue.client.settle(session, consumer: 1, 1...3)
        #expect(dialogue.defersSettlements)
        #expect(dialogue.patientFlush() == [])
        dialogue.publish(session, "a")
        #expect(!dialogue.defersSettlements)
        #expect(dialogue.patientFlush() == ["n2 #3 b3 s5@3 enqueue×1 settle c1 1...3"])
        #expect(!dialogue.needsFlush && !dialogue.defersSettlements)
    }

    @Test func anImpatientFlushSendsThem() {
        let (dialogue, session) = consuming(prefetch: 320, 40)
        dialogue.client.settle(session, consumer: 1, 1...3)
        let round = dialogue.settlementRounds
        #expect(dialogue.patientFlush() == [] && dialogue.settlementRounds == round)
        #expect(dialogue.flush() == ["n2 #3 b3 s5@3 settle c1 1...3"])
        #expect(dialogue.settlementRounds == round + 1)
    }

    @Test(arguments: [(1, 1), (31, 1), (32, 2), (320, 20), (0, 64)] as [(UInt32, UInt64)])
    func aConsumerDoesNotRunDry(prefetch: UInt32, share: UInt64) {
        let (dialogue, session) = consuming(prefetch: prefetch, 80)
        for number in 1..<share { dialogue.client.settle(session, consumer: 1, number...number) }
        #expect(dialogue.patientFlush() == [])
        dialogue.client.settle(session, consumer: 1, share...share)
        #expect(!dialogue.defersSettlements)
        #expect(dialogue.patientFlush() == ["n2 #3 b3 s5@3 settle c1 1...\(share)"])
    }

    @Test func aNewPrefetchCounts() {
        let (dialogue, session) = consuming(prefetch: 320, 40)
        dialogue.client.setPrefetch(session, consumer: 1, 16)
        _ = dialogue.flush()
        dialogue.client.settle(session, consumer: 1, 1...1)
        #expect(!dialogue.defersSettlements)
    }

    @Test func theyGoWithARequestForCounts() {
        let (dialogue, session) = consuming(prefetch: 320, 40)
        dialogue.client.settle(session, consumer: 1, 1...3)
        dialogue.client.status(requestID: 9)
        #expect(dialogue.patientFlush() == ["n2 status 9", "n2 #3 b3 s5@3 settle c1 1...3"])
    }

    @Test func nothingWaitsForAnotherLeader() {
        let (dialogue, session) = consuming(prefetch: 320, 40)
        dialogue.client.settle(session, consumer: 1, 1...3)
        dialogue.client.leaderChanged(to: NodeID(3), term: Term(2))
        #expect(!dialogue.defersSettlements)
        #expect(dialogue.patientFlush() == ["n3 resume [s5 2/2 c1@40]", "n3 #1 b3 s5@3 settle c1 1...3"])
    }

    /// What a lost session left due must not make the next one's settlements due.
    @Test func aLostSessionLeavesNothingDue() {
        let (dialogue, session) = consuming(prefetch: 16, 4)
        let other = dialogue.client.openSession(number: 6)
        dialogue.client.attach(other, consumer: 1, options: ConsumerOptions(prefetch: 320))
        _ = dialogue.flush()
        dialogue.say(.applied(session: 6, through: 2), deliver(6, 1, 1, ["y", "z"]))
        dialogue.client.settle(session, consumer: 1, 1...1)
        dialogue.client.closeSession(session)
        _ = dialogue.flush()
        dialogue.client.settle(other, consumer: 1, 1...1)
        #expect(dialogue.defersSettlements)
        #expect(dialogue.patientFlush() == [])
    }
}
