import Bench
import Primitives
import Testing

/// A storm's ledger with one queue and one consumer, and short words for what happens.
private struct Story {
    var ledger = StormLedger(run: 1, queues: 2, start: .zero)
    var now = Instant.zero

    mutating func open(queue: Int = 0) -> UInt32 { ledger.open(publisher: 0, queue: queue, at: now) }

    mutating func send(_ connection: UInt32, confirmed: Bool = true) -> StormLedger.Send {
        let stamp = ledger.send(on: connection, at: now)
        let send = StormLedger.Send(connection: stamp.publisher, sequence: stamp.sequence)
        if confirmed { ledger.confirm(send, at: now) }
        return send
    }

    @discardableResult
    mutating func deliver(
        _ send: StormLedger.Send, redelivered: Bool = false, queue: Int = 0, consumer: Int = 0, acked: Bool = true
    ) -> StormLedger.Send? {
        let stamp = MessageStamp(run: 1, publisher: send.connection, sequence: send.sequence, time: now)
        let found = ledger.deliver(stamp, queue: queue, consumer: consumer, redelivered: redelivered, at: now)
        if acked, let found { ledger.acknowledge(found) }
        return found
    }
}

@Suite struct StormLedgerTests {
    @Test func everythingDeliveredOnceInOrderIsClean() {
        var story = Story()
        let connection = story.open()
        let sends = (0..<100).map { _ in story.send(connection) }
        #expect(story.ledger.owed == 100)
        for send in sends { #expect(story.deliver(send) == send) }
        let counts = story.ledger.integrity
        #expect(counts.isClean && counts.confirmed == 100 && counts.deliveries == 100)
        #expect(story.ledger.owed == 0 && story.ledger.notes.isEmpty && story.ledger.lostNames.isEmpty)
    }

    @Test func aConfirmedSendThatNeverComesIsLost() {
        var story = Story()
        let connection = story.open()
        let sends = (0..<3).map { _ in story.send(connection) }
        story.deliver(sends[0])
        story.deliver(sends[2])
        #expect(story.ledger.integrity.lost == 1)
        #expect(story.ledger.lostNames.count == 1 && story.ledger.lostNames[0].contains("never delivered: send 1 "))
    }

    @Test func whatIsGivenBackAndDoesNotComeAgainIsLost() {
        var story = Story()
        let send = story.send(story.open())
        story.deliver(send, acked: false)
        #expect(story.ledger.integrity.lost == 1 && story.ledger.lostNames[0].contains("given back"))
        story.deliver(send, redelivered: true)
        #expect(story.ledger.integrity.isClean && story.ledger.owed == 0)
    }

    @Test func theUnconfirmedMayComeOrNot() {
        var story = Story()
        let connection = story.open()
        let sends = (0..<2).map { _ in story.send(connection, confirmed: false) }
        story.deliver(sends[1])
        #expect(story.ledger.integrity.isClean && story.ledger.owed == 0)
        // The confirm may come behind the ack.
        story.ledger.confirm(sends[1], at: .zero)
        #expect(story.ledger.owed == 0)
        story.ledger.confirm(sends[0], at: .zero)
        #expect(story.ledger.integrity.lost == 1)
    }

    @Test func eachSendExplainsOneUnflaggedDelivery() {
        var story = Story()
        // The same message on two connections: two sends.
        let first = story.send(story.open(), confirmed: false)
        let second = story.send(story.open())
        story.deliver(first)
        story.deliver(second)
        #expect(story.ledger.integrity.isClean)
        story.deliver(second)
        #expect(story.ledger.integrity.duplicatesUnexplained == 1)
        #expect(story.ledger.notes.count == 1 && story.ledger.notes[0].contains("delivered again, unflagged"))
    }

    @Test func theFlagExplainsARepetition() {
        var story = Story()
        let send = story.send(story.open())
        story.deliver(send, acked: false)
        story.deliver(send, redelivered: true)
        story.deliver(send, redelivered: true)
        #expect(story.ledger.integrity.isClean && story.ledger.redeliveries == 2)
    }

    @Test func orderIsJudgedPerConnectionAndConsumer() {
        var story = Story()
        let (left, right) = (story.open(), story.open())
        let a = (0..<4).map { _ in story.send(left) }
        let b = (0..<2).map { _ in story.send(right) }
        for send in [b[0], a[0], b[1], a[1]] { story.deliver(send) }
        story.deliver(a[3], consumer: 1)
        story.deliver(a[2])
        #expect(story.ledger.integrity.reordered == 0)
        let late = (0..<2).map { _ in story.send(right) }
        story.deliver(late[1])
        story.deliver(late[0])
        #expect(story.ledger.integrity.reordered == 1)
        #expect(story.ledger.notes.last?.contains("behind a later one: send 2 of connection 1") == true)
    }

    @Test func anAckThatWasTakenOverHolds() {
        var story = Story()
        let send = story.send(story.open())
        story.deliver(send)
        // Not certain yet: the consumer's node may have died with the ack.
        story.deliver(send, redelivered: true)
        #expect(story.ledger.undone == 0)
        story.ledger.settle(send)
        story.deliver(send, redelivered: true)
        #expect(story.ledger.undone == 1)
        #expect(story.ledger.notes.last?.contains("back after its ack") == true)
    }

    @Test func strangersAndDamageAreCounted() {
        var story = Story()
        let send = story.send(story.open(queue: 1))
        #expect(story.deliver(send, queue: 0) == nil)
        #expect(story.ledger.foreign == 1)
        #expect(story.deliver(StormLedger.Send(connection: 9, sequence: 0)) == nil)
        #expect(story.ledger.foreign == 2)
        #expect(story.deliver(StormLedger.Send(connection: 0, sequence: 1), queue: 1) == nil)
        #expect(story.ledger.deliver(nil, queue: 1, consumer: 0, redelivered: false, at: .zero) == nil)
        #expect(story.ledger.corrupt == 2 && story.ledger.integrity.corrupt == 2)
        #expect(!story.ledger.integrity.isClean)
    }

    @Test func theLongestSilenceOfAQueueIsFound() {
        var story = Story()
        let connections = [story.open(queue: 0), story.open(queue: 1)]
        for (milliseconds, queue) in [(0, 0), (0, 1), (10, 0), (300, 1), (310, 0), (320, 1)] {
            story.now = .zero + .milliseconds(UInt64(milliseconds))
            _ = story.send(connections[queue])
        }
        let longest = story.ledger.endRound(at: .zero + .milliseconds(330))
        #expect(longest.queue == 0 || longest.queue == 1)
        #expect(longest.gap.length == .milliseconds(300))
        #expect(story.ledger.endRound(at: nil).gap.length == .zero)
        // One that goes on counts.
        let open = story.ledger.endRound(at: .zero + .milliseconds(810))
        #expect(open.queue == 0 && open.gap.length == .milliseconds(500))
        #expect(open.gap.began == .zero + .milliseconds(310))
    }

    /// Random histories that a correct queue could have made are clean, and each planted lie is found.
    @Test(arguments: 1...30 as ClosedRange<UInt64>)
    func lossesDuplicatesAndSwapsAreFoundInRandomHistories(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var story = Story()
        var queue: [StormLedger.Send] = []
        for _ in 0..<5 {
            let connection = story.open()
            for _ in 0..<100 { queue.append(story.send(connection, confirmed: !random.oneIn(9))) }
        }
        // What was given back comes again, flagged, at once or later.
        func tell(_ order: [StormLedger.Send]) -> StormLedger {
            var story = story
            var random = random
            var returned: [StormLedger.Send] = []
            for send in order {
                let isAcked = !random.oneIn(6)
                story.deliver(send, acked: isAcked)
                if !isAcked { returned.append(send) }
                if random.oneIn(10) { while let back = returned.popLast() { story.deliver(back, redelivered: true) } }
            }
            while let back = returned.popLast() { story.deliver(back, redelivered: true) }
            return story.ledger
        }
        #expect(tell(queue).integrity.isClean)
        let place = Int(random.next(below: 99)) + 100 * Int(random.next(below: 5))
        var lie = queue
        lie.swapAt(place, place + 1)
        #expect(tell(lie).integrity.reordered == 1)
        lie = queue
        lie.insert(queue[place], at: place + Int(random.next(below: 20)) + 1 < queue.count ? place + 1 : queue.count)
        #expect(tell(lie).integrity.duplicatesUnexplained == 1)
        lie = queue
        let confirmed = story.ledger.integrity.confirmed
        lie.remove(at: place)
        let isOwed = tell(lie).integrity.lost == 1
        story.ledger.confirm(queue[place], at: .zero)
        #expect(isOwed == (story.ledger.integrity.confirmed == confirmed))
    }
}

@Suite struct StormSubscriptionTests {
    private func send(_ number: UInt64) -> StormLedger.Send { StormLedger.Send(connection: 0, sequence: number) }

    @Test func thePrefetchTellsWhichAcksWereTakenOver() {
        var subscription = StormSubscription(prefetch: 3)
        for number in 0..<3 as Range<UInt64> { #expect(subscription.deliver(send(number)) == nil) }
        #expect(subscription.acknowledge(1) == send(0))
        #expect(subscription.acknowledge(1) == nil)
        subscription.giveBack(2)
        #expect(subscription.acknowledge(3) == send(2))
        #expect(subscription.deliver(send(3)) == send(0))
        #expect(subscription.deliver(send(4)) == nil)
        #expect(subscription.deliver(send(5)) == send(2))
        #expect(subscription.excess == 0)
        #expect(subscription.acknowledge(4) == send(3))
        #expect(subscription.close() == [send(3)])
    }

    @Test func moreThanThePrefetchShows() {
        var subscription = StormSubscription(prefetch: 2)
        for number in 0..<3 as Range<UInt64> { #expect(subscription.deliver(send(number)) == nil) }
        #expect(subscription.excess == 1)
    }
}
