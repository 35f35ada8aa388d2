import Bench
import Primitives
import Testing

/// `#expect` evaluates a call on a copy, which a mutating one does not survive.
private func must(_ value: Bool, at location: SourceLocation = #_sourceLocation) {
    #expect(value, sourceLocation: location)
}

@Suite struct ReconciliationTests {
    /// All of `count` messages sent, confirmed and then delivered in the given order, unflagged.
    private func delivered(_ order: [UInt64], of count: UInt64) -> Integrity {
        var reconciliation = Reconciliation()
        for _ in 0..<count {
            let sequence = reconciliation.publishes.publish()
            _ = reconciliation.publishes.confirm(sequence)
        }
        for sequence in order { must(reconciliation.deliveries.deliver(sequence, redelivered: false)) }
        return reconciliation.integrity()
    }

    @Test func allInOrderIsClean() {
        for count in [0, 1, 63, 64, 65, 1_000] as [UInt64] {
            let counts = delivered(Array(0..<count), of: count)
            #expect(counts.isClean)
            #expect(counts.sent == count && counts.confirmed == count && counts.deliveries == count)
            #expect(counts.unconfirmed == 0)
            #expect(counts.duplicatesFlagged == 0 && counts.duplicatesUnflagged == 0)
        }
    }

    @Test(arguments: [0, 1, 63, 64, 99] as [UInt64])
    func oneDroppedMessageIsLost(_ dropped: UInt64) {
        let counts = delivered((0..<100).filter { $0 != dropped }, of: 100)
        #expect(!counts.isClean)
        #expect(counts.lost == 1 && counts.firstLost == dropped)
        #expect(counts.duplicatesUnexplained == 0 && counts.reordered == 0)
        #expect(counts.verdict == "lost 1, duplicates 0, reordered 0")
    }

    @Test(arguments: [0, 64, 99] as [UInt64])
    func oneRepeatedMessageIsADuplicate(_ repeated: UInt64) {
        let counts = delivered(Array(0...repeated) + Array(repeated..<100), of: 100)
        #expect(!counts.isClean)
        #expect(counts.duplicatesUnexplained == 1 && counts.duplicatesUnflagged == 1 && counts.duplicatesFlagged == 0)
        #expect(counts.lost == 0 && counts.reordered == 0)
    }

    @Test func twoSwappedMessagesAreReordered() {
        var order = Array(0..<100 as Range<UInt64>)
        order.swapAt(41, 42)
        let counts = delivered(order, of: 100)
        #expect(!counts.isClean)
        #expect(counts.reordered == 1 && counts.lost == 0 && counts.duplicatesUnexplained == 0)
        order.swapAt(41, 42)
        order.swapAt(10, 90)
        #expect(delivered(order, of: 100).reordered == 80)
    }

    @Test func onlyTheConfirmedCanBeLost() {
        var reconciliation = Reconciliation()
        for _ in 0..<3 { _ = reconciliation.publishes.publish() }
        must(reconciliation.publishes.confirm(1))
        must(!reconciliation.publishes.confirm(1))
        let counts = reconciliation.integrity()
        #expect(counts.lost == 1 && counts.firstLost == 1 && counts.unconfirmed == 2)
        #expect(reconciliation.integrity(withoutConfirms: true).lost == 3)
        #expect(reconciliation.integrity(withoutConfirms: true).unconfirmed == 0)
    }

    @Test func theFlagExplainsRepetitionsAndTheirOrder() {
        var reconciliation = Reconciliation()
        for _ in 0..<4 { _ = reconciliation.publishes.confirm(reconciliation.publishes.publish()) }
        for (sequence, flagged) in [(0, false), (1, false), (3, false), (2, true), (1, true), (2, true)] {
            must(reconciliation.deliveries.deliver(UInt64(sequence), redelivered: flagged))
        }
        let counts = reconciliation.integrity()
        #expect(counts.isClean)
        #expect(counts.duplicatesFlagged == 2 && counts.duplicatesUnflagged == 0)
        #expect(counts.reorderedFlagged == 1)
    }

    @Test func resendsExplainAsManyRepetitionsAsTheyAre() {
        var reconciliation = Reconciliation()
        for _ in 0..<3 { _ = reconciliation.publishes.publish() }
        reconciliation.publishes.resend(1, behind: false)
        for sequence in 0..<3 { must(reconciliation.publishes.confirm(UInt64(sequence))) }
        for sequence in [0, 1, 2, 1] as [UInt64] {
            must(reconciliation.deliveries.deliver(sequence, redelivered: false))
        }
        #expect(reconciliation.integrity().isClean)
        #expect(reconciliation.integrity().duplicatesUnflagged == 1)
        #expect(reconciliation.integrity().resent == 1)
        must(reconciliation.deliveries.deliver(1, redelivered: false))
        #expect(reconciliation.integrity().duplicatesUnexplained == 1)
        #expect(reconciliation.integrity().duplicatesUnflagged == 2)
    }

    @Test func whatWasSentAgainBehindOthersMayArriveBehindThem() {
        var reconciliation = Reconciliation()
        for _ in 0..<4 { _ = reconciliation.publishes.publish() }
        for sequence in [2, 3] as [UInt64] { must(reconciliation.publishes.confirm(sequence)) }
        // 1 goes again after a nack while 3 is on its way, 0 after 3 was confirmed.
        reconciliation.publishes.resend(1, behind: true)
        reconciliation.publishes.resend(0, behind: false)
        for sequence in [3, 1, 0] as [UInt64] {
            must(reconciliation.deliveries.deliver(sequence, redelivered: false))
        }
        #expect(reconciliation.integrity().reordered == 0)
        must(reconciliation.deliveries.deliver(2, redelivered: false))
        #expect(reconciliation.integrity().reordered == 1)
    }

    @Test func orderIsKeptPerSubscription() {
        var log = DeliveryLog()
        for (sequence, subscription) in [(0, 0), (3, 1), (1, 0), (2, 0), (4, 1)] {
            must(log.deliver(UInt64(sequence), redelivered: false, subscription: subscription))
        }
        #expect(log.late.isEmpty)
        must(log.deliver(6, redelivered: false, subscription: 1))
        must(log.deliver(5, redelivered: false, subscription: 1))
        #expect(log.late == [5])
    }

    @Test func whatNobodySentIsInvented() {
        let counts = delivered(Array(0..<70), of: 64)
        #expect(counts.duplicatesUnexplained == 6)
        #expect(delivered([0, 200, 200], of: 1).duplicatesUnexplained == 2)
        var log = DeliveryLog()
        must(!log.deliver(.max, redelivered: false))
        #expect(log.count == 0)
    }

    @Test func countsAddUp() {
        let lossy = delivered([0, 1], of: 3)
        let sum = delivered([0], of: 1) + lossy + delivered([1, 0, 0], of: 2)
        #expect(sum.sent == 6 && sum.confirmed == 6 && sum.deliveries == 6)
        #expect(sum.lost == 1 && sum.firstLost == 2 && sum.duplicatesUnexplained == 1 && sum.reordered == 1)
    }

    /// Random faults against counts made the slow way.
    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func agreesWithANaiveCount(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var reconciliation = Reconciliation()
        var sends = [UInt64](repeating: 1, count: 300)
        var confirmed = Set<UInt64>()
        var order: [(UInt64, Bool)] = []
        for sequence in 0..<300 as Range<UInt64> {
            #expect(reconciliation.publishes.publish() == sequence)
            if random.oneIn(10) {
                reconciliation.publishes.resend(sequence, behind: false)
                sends[Int(sequence)] += 1
            }
            if !random.oneIn(8) {
                must(reconciliation.publishes.confirm(sequence))
                confirmed.insert(sequence)
            }
            for _ in 0..<(random.oneIn(9) ? 0 : random.oneIn(7) ? 3 : 1) { order.append((sequence, random.oneIn(4))) }
        }
        for _ in 0..<20 {
            order.swapAt(Int(random.next(below: UInt64(order.count))), Int(random.next(below: UInt64(order.count))))
        }
        var late: UInt64 = 0
        var first = Set<UInt64>()
        for (sequence, flagged) in order {
            must(reconciliation.deliveries.deliver(sequence, redelivered: flagged))
            if first.contains(sequence) { continue }
            if !flagged && first.contains(where: { $0 > sequence }) { late += 1 }
            first.insert(sequence)
        }
        let counts = reconciliation.integrity()
        let plain = (0..<300 as Range<UInt64>).map { wanted in UInt64(order.count { $0.0 == wanted && !$0.1 }) }
        #expect(counts.lost == UInt64(confirmed.subtracting(first).count))
        #expect(counts.firstLost == confirmed.subtracting(first).min())
        #expect(counts.unconfirmed == UInt64(300 - confirmed.count))
        #expect(counts.duplicatesUnflagged == plain.reduce(0) { $0 + ($1 > 1 ? $1 - 1 : 0) })
        #expect(counts.duplicatesUnexplained == zip(plain, sends).reduce(0) { $0 + ($1.0 > $1.1 ? $1.0 - $1.1 : 0) })
        #expect(
            counts.duplicatesFlagged == UInt64(order.count - first.count) - counts.duplicatesUnflagged)
        #expect(counts.reordered == late)
    }
}
