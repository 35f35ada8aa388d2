import Bench
import Primitives
import Testing

@Suite struct FailoverStagesTests {
    private static let fault: UInt64 = 1_000_000

    /// What a survivor tells, in milliseconds since the fault.
    private func node(
        _ name: String, leaderless: Int = 0, isComplete: Bool = true, _ events: (Int64, BrokerEvent.Kind)...
    ) -> NodeEvents {
        NodeEvents(
            node: name, lastSequence: UInt64(events.count), leaderless: leaderless, isComplete: isComplete,
            events: events.map {
                BrokerEvent(microseconds: UInt64(Int64(Self.fault) + $0.0 * 1_000), kind: $0.1)
            })
    }

    private func stages(_ survivors: NodeEvents...) -> FailoverStages {
        FailoverStages(survivors: survivors, leader: "a", queue: "q", fault: Self.fault)
    }

    @Test func theFirstToNoticeAndTheOneThatCommitsCount() {
        let told = stages(
            node(
                "b", (-500, .elected(queue: "q")), (4, .suspected(node: "a", reason: "link_reset")),
                (9, .campaigned(queue: "q")), (12, .elected(queue: "q")), (13, .committed(queue: "q")),
                (20, .elected(queue: "other")), (21, .committed(queue: "other")), (30, .allLed(queues: 2))),
            node(
                "c", (3, .suspected(node: "b", reason: "silence")),
                (6, .suspected(node: "a", reason: "link_reset")), (44, .allLed(queues: 3))))
        #expect(told.noticed == .milliseconds(4) && told.elected == .milliseconds(12))
        #expect(told.committed == .milliseconds(13))
        #expect(told.allLed == .milliseconds(44) && told.queues == 3)
        #expect(!told.isIncomplete)
        #expect(told.detection == .milliseconds(4) && told.election == .milliseconds(8))
        #expect(told.resumption == .milliseconds(1))
        #expect(told.text == " (noticed 4.00, elected 12.0, first commit 13.0, all 3 led 44.0)")
    }

    /// A node that stops asks a follower to take over before anybody has given it up.
    @Test func aHandOverIsNoticedByItsCampaign() {
        let told = stages(
            node("b", (2, .campaigned(queue: "q")), (4, .elected(queue: "q")), (5, .committed(queue: "q"))),
            node("c", (90, .suspected(node: "a", reason: "stopping"))))
        #expect(told.noticed == .milliseconds(2) && told.election == .milliseconds(2))
    }

    /// A leadership that committed nothing was none for clients.
    @Test func theLastElectionBeforeTheFirstCommitCounts() {
        let told = stages(
            node("b", (5, .suspected(node: "a", reason: "silence")), (10, .elected(queue: "q"))),
            node(
                "c", (5, .suspected(node: "a", reason: "silence")), (30, .elected(queue: "q")),
                (32, .committed(queue: "q")), (90, .elected(queue: "q")), (91, .committed(queue: "q"))))
        #expect(told.elected == .milliseconds(30) && told.committed == .milliseconds(32))
    }

    @Test func whatIsNotToldIsNotKnown() {
        let silent = stages(node("b"), node("c"))
        #expect(silent == FailoverStages() && silent.text == "" && silent.election == nil)
        // One of them still looks for leaders.
        let early = stages(node("b", (30, .allLed(queues: 2))), node("c", leaderless: 1, (31, .allLed(queues: 1))))
        #expect(early.allLed == nil && early.queues == 1 + 1)
        #expect(stages(node("b", isComplete: false), node("c")).isIncomplete)
    }
}
