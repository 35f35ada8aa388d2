import Primitives
import Raft
import Replication
import Testing

/// Each test is a dialogue of ticks and of the log's answers. A message is named by the term it carries.
@Suite struct DurabilityBarriersTests {
    private func say(_ number: UInt64, in barriers: inout DurabilityBarriers) {
        barriers.add(.timeoutNow(Term(number)), to: NodeID(2), group: GroupID(number))
    }

    /// Ends a tick as the shard does: what may go at once, then the ticket.
    private func tick(_ barriers: inout DurabilityBarriers, hasRecords: Bool) -> (now: [UInt64], ticket: UInt64) {
        let now = barriers.takeUnblocked(hasRecords: hasRecords).map(\.group.rawValue)
        return (now, barriers.close(hasRecords: hasRecords))
    }

    private func complete(_ ticket: UInt64, in barriers: inout DurabilityBarriers) -> [UInt64] {
        barriers.complete(through: ticket).messages.map(\.group.rawValue)
    }

    @Test func withoutRecordsNothingWaits() {
        var barriers = DurabilityBarriers()
        say(1, in: &barriers)
        say(2, in: &barriers)
        let end = tick(&barriers, hasRecords: false)
        #expect(end.now == [1, 2] && end.ticket == 0)
        #expect(barriers.isClear)
        #expect(tick(&barriers, hasRecords: false).now == [])
    }

    @Test func messagesWaitForTheRecordsOfTheirTick() {
        var barriers = DurabilityBarriers()
        say(1, in: &barriers)
        let end = tick(&barriers, hasRecords: true)
        #expect(end.now == [] && end.ticket == 1)
        #expect(!barriers.isClear)
        #expect(complete(0, in: &barriers) == [])
        #expect(complete(1, in: &barriers) == [1])
        #expect(barriers.isClear)
        #expect(complete(1, in: &barriers) == [])
    }

    /// A promise made while records are being written depends on them, although its own tick wrote nothing.
    @Test func messagesWithoutRecordsWaitForTheLastOpenTicket() {
        var barriers = DurabilityBarriers()
        say(1, in: &barriers)
        #expect(tick(&barriers, hasRecords: true).ticket == 1)
        say(2, in: &barriers)
        #expect(tick(&barriers, hasRecords: true).ticket == 2)
        say(3, in: &barriers)
        let end = tick(&barriers, hasRecords: false)
        #expect(end.now == [] && end.ticket == 0)
        #expect(complete(1, in: &barriers) == [1])
        #expect(complete(2, in: &barriers) == [2, 3])
    }

    @Test func oneAnswerCompletesAllEarlierTickets() {
        var barriers = DurabilityBarriers()
        for number in UInt64(1)...4 {
            say(number, in: &barriers)
            #expect(tick(&barriers, hasRecords: true).ticket == number)
        }
        #expect(complete(3, in: &barriers) == [1, 2, 3])
        #expect(!barriers.isClear)
        #expect(complete(4, in: &barriers) == [4])
    }

    @Test func factsComeInOrderWithTheirTicket() {
        var barriers = DurabilityBarriers()
        barriers.add(.hardState(GroupID(1), HardState(term: Term(3), vote: NodeID(2))))
        barriers.add(.entries(GroupID(2), term: Term(4), through: LogIndex(9)))
        #expect(tick(&barriers, hasRecords: true).ticket == 1)
        barriers.add(.entries(GroupID(2), term: Term(4), through: LogIndex(10)))
        #expect(tick(&barriers, hasRecords: true).ticket == 2)
        let facts = barriers.complete(through: 1).facts
        #expect(facts.count == 2)
        guard case .hardState(GroupID(1), HardState(term: Term(3), vote: NodeID(2)))? = facts.first,
            case .entries(GroupID(2), term: Term(4), through: LogIndex(9))? = facts.last
        else {
            Issue.record("\(facts)")
            return
        }
        #expect(barriers.complete(through: 2).facts.count == 1)
    }

    @Test func entriesCountUntilTheyAreDurable() {
        var barriers = DurabilityBarriers()
        barriers.add(entryBytes: 100)
        #expect(tick(&barriers, hasRecords: true).ticket == 1)
        barriers.add(entryBytes: 20)
        barriers.add(entryBytes: 3)
        #expect(tick(&barriers, hasRecords: true).ticket == 2)
        #expect(barriers.entryBytes == 123)
        _ = barriers.complete(through: 1)
        #expect(barriers.entryBytes == 23)
        _ = barriers.complete(through: 2)
        #expect(barriers.entryBytes == 0)
    }

    @Test func messagesBeyondTheLimitAreDropped() {
        var barriers = DurabilityBarriers()
        #expect(tick(&barriers, hasRecords: true).ticket == 1)
        for number in 0..<UInt64(DurabilityBarriers.messageLimit) + 9 { say(number, in: &barriers) }
        #expect(tick(&barriers, hasRecords: false).ticket == 0)
        #expect(complete(1, in: &barriers).count == DurabilityBarriers.messageLimit)
        say(1, in: &barriers)
        #expect(tick(&barriers, hasRecords: false).now == [1])
    }

    /// Random ticks and answers: nothing is said early, lost, repeated, or out of order.
    @Test(arguments: UInt64(1)...20) func nothingIsSaidEarlyOrLost(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var barriers = DurabilityBarriers()
        var said: [UInt64] = []
        var next: UInt64 = 1
        var submitted: UInt64 = 0
        var durable: UInt64 = 0
        /// The ticket that each message depends on.
        var needs: [UInt64: UInt64] = [:]
        for _ in 0..<300 {
            let first = next
            for _ in 0..<random.next(below: 3) {
                say(next, in: &barriers)
                next += 1
            }
            let end = tick(&barriers, hasRecords: random.oneIn(2))
            if end.ticket > 0 {
                #expect(end.ticket == submitted + 1)
                submitted = end.ticket
            }
            for message in first..<next { needs[message] = submitted }
            #expect(end.now.isEmpty || durable == submitted)
            said += end.now
            guard submitted > durable, random.oneIn(2) else { continue }
            durable += 1 + random.next(below: submitted - durable)
            let released = complete(durable, in: &barriers)
            #expect(released.allSatisfy { needs[$0, default: .max] <= durable })
            said += released
        }
        said += complete(submitted, in: &barriers)
        #expect(said == Array(1..<next))
        #expect(barriers.isClear)
    }
}
