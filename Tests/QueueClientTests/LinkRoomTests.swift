import Primitives
import QueueClient
import QuorumQueue
import Testing

@Suite struct LinkRoomTests {
    @Test func whatFindsNoRoomIsSentByALaterFlush() {
        let (dialogue, session) = attached()
        let body = String(repeating: "x", count: 700_000)
        for _ in 0..<3 { dialogue.publish(session, body) }
        #expect(dialogue.flush(room: 0) == [] && dialogue.needsFlush)
        #expect(dialogue.flush(room: 1_000_000) == ["n2 #2 b2 s5@2 enqueue×1", "n2 #3 b3 s5@3 enqueue×1"])
        // It was not closed yet, and grows.
        dialogue.publish(session, "")
        #expect(dialogue.needsFlush)
        #expect(dialogue.flush(room: 1) == ["n2 #4 b4 s5@4 enqueue×1 enqueue×1"])
        #expect(!dialogue.needsFlush)
    }

    @Test func aResumeNeedsNoRoom() {
        let (dialogue, session) = attached()
        dialogue.publish(session, "a")
        dialogue.client.status(requestID: 9)
        dialogue.client.leaderChanged(to: NodeID(3), term: Term(2))
        #expect(dialogue.flush(room: 0) == ["n3 status 9", "n3 resume [s5 1/2]"])
        #expect(dialogue.needsFlush)
        #expect(dialogue.flush() == ["n3 #1 b2 s5@2 enqueue×1"])
        #expect(!dialogue.needsFlush)
    }

    /// Only the counts are asked for: there is nothing to resume for.
    @Test func aClientWithoutSessionsHasNothingLeftToSend() {
        let dialogue = Dialogue()
        dialogue.client.leaderChanged(to: firstLeader, term: Term(1))
        dialogue.client.status(requestID: 9)
        #expect(dialogue.needsFlush)
        #expect(dialogue.flush() == ["n2 status 9"])
        #expect(!dialogue.needsFlush)
    }
}
