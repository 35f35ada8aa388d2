import PeerLink
import Primitives
import Replication
import Testing
import Topology

@Suite struct EventJournalTests {
    private func at(_ milliseconds: UInt64) -> Instant { .zero + .milliseconds(milliseconds) }

    @Test func eventsAreNumberedAndAskedForFromANumberOn() {
        var journal = EventJournal()
        #expect(journal.first == 1 && journal.next == 1 && journal.records(after: 0).isEmpty)
        for number in 1...5 as ClosedRange<UInt64> { journal.note(.elected(GroupID(number), Term(1)), at: at(number)) }
        #expect(journal.first == 1 && journal.next == 6)
        #expect(journal.records(after: 0).map(\.sequence) == [1, 2, 3, 4, 5])
        let rest = journal.records(after: 3)
        #expect(rest.map(\.sequence) == [4, 5] && rest.map(\.at) == [at(4), at(5)])
        #expect(rest[0].event == .elected(GroupID(4), Term(1)))
        #expect(journal.records(after: 5).isEmpty && journal.records(after: .max).isEmpty)
    }

    @Test func theOldestMakeRoom() {
        var journal = EventJournal()
        let count = UInt64(EventJournal.capacity) + 10
        for number in 1...count { journal.note(.elected(GroupID(number), Term(1)), at: at(number)) }
        #expect(journal.first == 11 && journal.next == count + 1)
        #expect(journal.records(after: 0).count == EventJournal.capacity)
        #expect(journal.records(after: 0).first?.event == .elected(GroupID(11), Term(1)))
        #expect(journal.records(after: count - 1).map(\.sequence) == [count])
    }

    @Test func theMonotonicClockIsTranslated() {
        let clock = WallClock()
        let now = Instant.now
        let wall = clock.microseconds(at: now)
        #expect(clock.microseconds(at: now + .milliseconds(7)) == wall + 7_000)
        #expect(clock.microseconds(at: Instant(nanoseconds: now.nanoseconds - 3_000_000)) == wall - 3_000)
        // Since this was written.
        #expect(wall > 1_700_000_000_000_000)
    }
}

/// What three shards note of elections.
@Suite struct ShardJournalTests {
    private func events(_ node: UInt16, _ nodes: ToyNodes, after sequence: UInt64 = 0) -> [JournalEvent] {
        nodes[node].journal.records(after: sequence).map(\.event)
    }

    private func founded() -> ToyNodes {
        let nodes = ToyNodes()
        nodes.found()
        nodes.advance(milliseconds: 50)
        return nodes
    }

    @Test func anElectionHasThreeEvents() {
        let nodes = founded()
        let term = Term(1)
        #expect(
            events(1, nodes) == [
                .campaigned(.topology, term), .elected(.topology, term), .committed(.topology, term),
            ])
        // A group that is new never lost a leader.
        #expect(events(2, nodes).isEmpty && nodes[2].leaderlessGroups == 0)
    }

    @Test func commitsAreNotNoted() {
        let nodes = founded()
        let before = nodes[1].journal.next
        for name in ["a", "b", "c"] {
            _ = nodes[1].propose(.putVirtualHost(.init(name: name)), now: nodes.now)
            nodes.settle()
        }
        #expect(nodes[2].topology.virtualHost("c") != nil)
        #expect(nodes[1].journal.next == before)
    }

    @Test func survivorsTellWhenAllIsLedAgain() throws {
        let nodes = founded()
        let lostAt = nodes.now
        let marks = [2, 3].map { nodes[$0].journal.next - 1 }
        nodes.cut = [NodeID(1)]
        for survivor: UInt16 in [2, 3] { nodes[survivor].nodeSuspected(NodeID(1), now: nodes.now) }
        #expect(nodes[2].leaderlessGroups == 1 && nodes[3].leaderlessGroups == 1)
        nodes.settle()
        nodes.advance(milliseconds: 25)
        let winner: UInt16 = try #require([2, 3].first { nodes.topology(of: $0)?.isServing == true })
        let other = 5 - winner
        #expect(nodes[2].leaderlessGroups == 0 && nodes[3].leaderlessGroups == 0)
        let elected = nodes[winner].journal.records(after: marks[Int(winner) - 2])
        #expect(elected.contains { $0.event == .elected(.topology, Term(2)) })
        #expect(elected.contains { $0.event == .committed(.topology, Term(2)) })
        for (node, mark) in [(winner, marks[Int(winner) - 2]), (other, marks[Int(other) - 2])] {
            let led = try #require(
                nodes[node].journal.records(after: mark).last {
                    if case .allLed = $0.event { return true }
                    return false
                })
            #expect(led.event == .allLed(groups: 1, after: led.at - lostAt))
        }
        // The one that was cut off finds its leader when it is back.
        nodes.cut = []
        nodes[1].nodeStalled(now: nodes.now)
        #expect(nodes[1].leaderlessGroups == 1)
        nodes.heal(NodeID(1))
        nodes.advance(milliseconds: 500)
        #expect(nodes[1].leaderlessGroups == 0 && events(1, nodes).contains(.steppedDown(.topology, Term(1))))
    }
}
