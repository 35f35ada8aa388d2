import Bench
import Primitives
import Testing

@Suite struct TrialLedgerTests {
    private func at(_ milliseconds: UInt64) -> Instant { .zero + .milliseconds(milliseconds) }

    /// A message a millisecond, confirmed after one and delivered after two, up to the fault at 100 ms.
    private func untilFault() -> TrialLedger {
        var ledger = TrialLedger(run: 7)
        for time in 0..<100 as Range<UInt64> {
            #expect(ledger.publish(due: at(time), at: at(time)) == time)
            if time >= 1 { ledger.confirm(time - 1, sentAt: at(time - 1), at: at(time)) }
            if time >= 2 { ledger.deliver(ledger.stamp(of: time - 2), redelivered: false, at: at(time)) }
            if time == 50 { ledger.enter(.before) }
        }
        ledger.fault(at: at(100))
        return ledger
    }

    @Test func onlyWhatWasSentAfterTheFaultEndsTheOutage() {
        var ledger = untilFault()
        // In flight when it happened.
        ledger.confirm(99, sentAt: at(99), at: at(110))
        ledger.deliver(ledger.stamp(of: 99), redelivered: false, at: at(111))
        #expect(!ledger.isRecovered && ledger.outage(takenOver: nil)?.length == nil)
        _ = ledger.publish(due: at(101), at: at(101))
        _ = ledger.publish(due: at(102), at: at(102))
        ledger.deliver(ledger.stamp(of: 100), redelivered: false, at: at(140))
        #expect(!ledger.isRecovered)
        ledger.confirm(100, sentAt: at(101), at: at(145))
        #expect(ledger.isRecovered)
        ledger.confirm(101, sentAt: at(102), at: at(150))
        #expect(ledger.outage(takenOver: nil)?.length == .milliseconds(45))
        #expect(ledger.firstDelivery == at(140) && ledger.firstConfirm == at(145))
    }

    /// A node that stops serves on until others take over: what is missing then is the outage.
    @Test func aGapAfterTheFirstNewMessagesIsTheOutage() {
        var ledger = untilFault()
        for time in 100..<130 as Range<UInt64> {
            _ = ledger.publish(due: at(time), at: at(time))
            ledger.confirm(time, sentAt: at(time), at: at(time + 1))
            ledger.deliver(ledger.stamp(of: time), redelivered: false, at: at(time + 1))
        }
        #expect(ledger.isRecovered && ledger.outage(takenOver: nil)?.length == .milliseconds(2))
        _ = ledger.publish(due: at(130), at: at(130))
        ledger.confirm(130, sentAt: at(130), at: at(148))
        ledger.deliver(ledger.stamp(of: 130), redelivered: false, at: at(151))
        #expect(ledger.outage(takenOver: nil)?.length == .milliseconds(21))
        #expect(ledger.outage(takenOver: nil)?.began == at(130))
        // Others had taken over before that, or after it began.
        #expect(ledger.outage(takenOver: at(129))?.length == .milliseconds(2))
        #expect(ledger.outage(takenOver: at(140))?.length == .milliseconds(21))
        // Once the fault is over nothing is added to it.
        ledger.enter(.restored)
        _ = ledger.publish(due: at(152), at: at(152))
        ledger.confirm(131, sentAt: at(152), at: at(400))
        ledger.deliver(ledger.stamp(of: 131), redelivered: false, at: at(400))
        #expect(ledger.outage(takenOver: nil)?.length == .milliseconds(21))
    }

    /// What was missing before the fault does not count.
    @Test func theOutageBeginsWithTheFault() {
        var ledger = untilFault()
        _ = ledger.publish(due: at(101), at: at(101))
        ledger.confirm(100, sentAt: at(101), at: at(104))
        ledger.deliver(ledger.stamp(of: 100), redelivered: false, at: at(104))
        #expect(ledger.outage(takenOver: nil)?.length == .milliseconds(4))
        ledger.enter(.restored)
        #expect(ledger.deliveryGaps[TrialLedger.Phase.outage.rawValue].length == .milliseconds(5))
    }

    /// A message sent before the fault and again after it tells of the broker's confirms, not of its deliveries.
    @Test func aResendConfirmsButItsDeliveryMayBeOld() {
        var ledger = untilFault()
        ledger.resend(99, behind: false)
        ledger.deliver(ledger.stamp(of: 99), redelivered: false, at: at(130))
        ledger.confirm(99, sentAt: at(120), at: at(135))
        #expect(ledger.firstConfirm == at(135) && ledger.firstDelivery == nil)
    }

    @Test func gapsBelongToThePhaseInWhichTheyEnd() {
        var ledger = untilFault()
        ledger.confirm(99, sentAt: at(99), at: at(160))
        ledger.deliver(ledger.stamp(of: 98), redelivered: false, at: at(170))
        ledger.enter(.restored)
        _ = ledger.publish(due: at(200), at: at(200))
        ledger.confirm(100, sentAt: at(200), at: at(205))
        ledger.enter(.draining)
        let phases = [TrialLedger.Phase.before, .outage, .restored].map(\.rawValue)
        #expect(
            phases.map { ledger.confirmGaps[$0].length } == [.milliseconds(1), .milliseconds(61), .milliseconds(45)])
        #expect(ledger.confirmGaps[TrialLedger.Phase.outage.rawValue].began == at(99))
        #expect(ledger.deliveryGaps[TrialLedger.Phase.outage.rawValue].length == .milliseconds(71))
    }

    @Test func latencyCountsFromTheDueTime() {
        var ledger = TrialLedger(run: 7)
        _ = ledger.publish(due: at(10), at: at(30))
        ledger.confirm(0, sentAt: at(30), at: at(35))
        #expect(ledger.worstConfirm == .milliseconds(25))
        #expect(ledger.latenciesBefore.count == 1)
    }

    @Test func completeIsConfirmedAndDelivered() {
        var ledger = TrialLedger(run: 7)
        #expect(ledger.isComplete)
        _ = ledger.publish(due: at(1), at: at(1))
        ledger.confirm(0, sentAt: at(1), at: at(2))
        #expect(!ledger.isComplete)
        let progress = ledger.progress
        ledger.deliver(ledger.stamp(of: 0), redelivered: false, at: at(3))
        #expect(ledger.isComplete && ledger.progress > progress)
    }

    @Test func damagedAndForeignBodiesAreCounted() {
        var ledger = untilFault()
        ledger.deliver(nil, redelivered: false, at: at(101))
        var stamp = ledger.stamp(of: 3)
        stamp.run = 8
        ledger.deliver(stamp, redelivered: false, at: at(101))
        stamp.run = 7
        stamp.sequence = .max
        ledger.deliver(stamp, redelivered: false, at: at(101))
        let counts = ledger.integrity
        #expect(counts.corrupt == 2 && counts.foreign == 1 && !counts.isClean)
    }
}
