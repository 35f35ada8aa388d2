import Primitives
import QuorumQueue
import Testing

extension QueueMachine {
    var snapshot: Bytes {
        var writer = ByteWriter()
        encodeSnapshot(into: &writer)
        return writer.take()
    }
}

/// A machine restored from a snapshot is the machine that it was taken of.
struct SnapshotTests {
    /// A snapshot at random points, of the machine that read the log or of one that began with a snapshot itself; from
    /// then on both have the same entries. What a snapshot forgets shows at once, as other bytes, or later, as other
    /// effects.
    @Test(arguments: 1_000..<UInt64(1_040)) func aRestoredMachineGoesOnAlike(seed: UInt64) throws {
        var stream = CommandStream(seed: seed)
        var random = SeededRandom(seed: seed ^ 0x5afe)
        // Tight limits show what is counted anew.
        let settings =
            seed % 2 == 0
            ? QueueSettings() : QueueSettings(sessionLimit: 4, consumerLimit: 3, defaultPrefetch: 9, outcomeLimit: 6)
        var original = QueueMachine(settings: settings)
        var restored = QueueMachine(settings: settings)
        for step in 1...UInt64(300) {
            if random.oneIn(7) {
                let source = random.oneIn(2) ? original : restored
                restored = try QueueMachine(snapshot: source.snapshot, settings: settings)
                try #require(restored.snapshot == source.snapshot)
                try #require(restored.summary == source.summary)
                try #require(restored.time == source.time)
                try #require(restored.ignoredCount == source.ignoredCount)
                try #require(restored.consumerStatus == source.consumerStatus)
                try #require(restored.suspendedNodes == source.suspendedNodes)
            }
            var next = entry(step, stream.next())
            if seed % 4 == 3 && random.oneIn(20) { next = Self.damaged(next, &random) }
            var effects: [[QueueEffect]] = [[], []]
            original.apply(next, into: &effects[0])
            restored.apply(next, into: &effects[1])
            try #require(effects[0] == effects[1], "seed \(seed) entry \(step)")
            try #require(original.snapshot == restored.snapshot, "seed \(seed) entry \(step)")
            try #require(original.stateHash() == restored.stateHash())
            try #require(original.liveMessages() == restored.liveMessages())
            try #require(original.liveIndices == Self.ranges(original.liveMessages()))
            let size = original.snapshot.count
            try #require((size / 4...size * 4).contains(original.approximateSnapshotSize))
        }
        #expect(original.messagesReady + original.messagesUnacknowledged > 0)
    }

    /// The entry with a byte of its headers changed.
    private static func damaged(_ good: Entry, _ random: inout SeededRandom) -> Entry {
        var headers = good.headers.toArray()
        headers[Int(random.next(below: UInt64(headers.count)))] = UInt8(truncatingIfNeeded: random.next())
        return entry(
            good.index.rawValue, CommandBatch(headers: Bytes(headers), bodies: good.bodies, commandCount: 0))
    }

    /// The indices of messages in ascending order, as ranges; one at a time.
    static func ranges(_ messages: [MessageID]) -> [ClosedRange<LogIndex>] {
        var ranges: [ClosedRange<LogIndex>] = []
        for message in messages {
            if let last = ranges.last, message.index.rawValue <= last.upperBound.rawValue + 1 {
                ranges[ranges.count - 1] = last.lowerBound...message.index
            } else {
                ranges.append(message.index...message.index)
            }
        }
        return ranges
    }

    /// The random streams restore machines in every state that a snapshot could get wrong.
    @Test func theStreamsVisitWhatASnapshotHolds() throws {
        var seen: [String: Int] = [:]
        for seed in 1_000..<UInt64(1_040) {
            var stream = CommandStream(seed: seed)
            var machine = QueueMachine()
            var effects: [QueueEffect] = []
            for step in 1...UInt64(300) {
                machine.apply(entry(step, stream.next()), into: &effects)
                let status = machine.consumerStatus
                if status.contains(where: \.options.exclusive) { seen["exclusive", default: 0] += 1 }
                if status.contains(where: { !$0.isActive }) { seen["suspended", default: 0] += 1 }
                if machine.messagesReady == 0 && status.count > 2 { seen["waiting in turn", default: 0] += 1 }
                let sessions = (1...UInt16(3)).flatMap { machine.sessions(of: NodeID($0)) }
                if sessions.contains(where: { !machine.outcomes(of: $0, after: 0).isEmpty }) {
                    seen["outcomes", default: 0] += 1
                }
                let known = sessions.flatMap { machine.consumers(of: $0) }
                if known.contains(where: { $0.number == 0 }) { seen["got", default: 0] += 1 }
                let attached = Set(status.map(\.id))
                if known.contains(where: { $0.number != 0 && !attached.contains($0) }) {
                    seen["detached", default: 0] += 1
                }
                let held = known.flatMap { machine.deliveries(to: $0, after: 0) }
                if held.contains(where: { $0.deliveryCount > 0 }) { seen["returned", default: 0] += 1 }
            }
        }
        let states = ["exclusive", "suspended", "waiting in turn", "outcomes", "got", "detached", "returned"]
        for state in states { #expect(seen[state, default: 0] > 100, "\(state)") }
    }

    /// The highest session ever opened, and the newest incarnation heard of, outlive the sessions.
    @Test func whatIsGoneStaysGone() throws {
        var queue = Dialogue()
        let gone = session(5)
        _ = queue.say(.session(gone, 1), .open, .enqueue(1), .close)
        _ = queue.say(.session(session(1, node: 2), 1), .open, .close)
        _ = queue.say(.gatewayUp(NodeID(2), Incarnation(2)), .gatewayUp(NodeID(3), Incarnation(4)))
        queue.machine = try QueueMachine(snapshot: queue.machine.snapshot, settings: QueueSettings())
        #expect(queue.machine.sessionCount == 0)
        #expect(queue.say(.session(gone, 1), .open, .enqueue(1)) == [.refused(gone, .stale)])
        #expect(queue.say(.session(gone, 2), .enqueue(1)) == [.refused(gone, .unknown)])
        for old in [session(9, node: 2), session(1, node: 3, incarnation: 3)] {
            #expect(queue.say(.session(old, 1), .open) == [.refused(old, .stale)])
        }
        for new in [session(6), session(1, node: 2, incarnation: 2), session(1, node: 3, incarnation: 4)] {
            #expect(queue.say(.session(new, 1), .open) == [.applied(new, through: 1)])
        }
        #expect(queue.machine.messagesReady == 1)
    }

    /// Stretches of one shape that were never joined in memory are one run in a snapshot, as they are in a machine that
    /// has them from a snapshot.
    @Test func theBytesDoNotDependOnHowRunsCameAbout() throws {
        var queue = Dialogue()
        let id = session(1)
        _ = queue.say(.session(id, 1), .open, .enqueue(4))
        // One of these four is known already: the new ones are ordinals 1 to 3.
        for entry in 0..<UInt64(5) { _ = queue.say(.session(id, 5 + entry * 3), .enqueue(4)) }
        let last = try #require(queue.machine.lastApplied(id))
        _ = queue.say(.session(id, last + 1), .get(autoAck: false))
        #expect(queue.machine.messagesReady == 18)
        // The get took ordinal 0 of entry 1. One stretch: at index 1, ordinal 1, 3 messages, 6 entries.
        #expect(queue.machine.snapshot.toArray().suffix(5) == [1, 1, 1, 3, 6])
        var other = queue
        other.machine = try QueueMachine(snapshot: queue.machine.snapshot, settings: QueueSettings())
        for number in 0..<UInt64(6) {
            let commands: [Command] = [
                .session(id, last + 2 + number * 4), .get(autoAck: false), .enqueue(1), .enqueue(2),
            ]
            #expect(queue.say(commands) == other.say(commands))
            #expect(queue.machine.snapshot == other.machine.snapshot)
            other.machine = try QueueMachine(snapshot: other.machine.snapshot, settings: QueueSettings())
        }
    }

    /// A snapshot costs bytes by the run: a backlog of equal entries is one.
    @Test func aBacklogIsSmall() throws {
        var queue = Dialogue()
        let id = session(1)
        _ = queue.say(.session(id, 1), .open)
        for number in 0..<UInt64(4_000) { _ = queue.say(.session(id, 2 + number * 250), .enqueue(250, length: 0)) }
        #expect(queue.machine.messagesReady == 1_000_000)
        #expect(queue.machine.snapshot.count < 80)
        #expect(queue.machine.liveIndices == [LogIndex(2)...LogIndex(4_001)])
        let restored = try QueueMachine(snapshot: queue.machine.snapshot, settings: QueueSettings())
        #expect(restored.messagesReady == 1_000_000)
        // Unequal ones are a run each.
        var sequence: UInt64 = 1_000_002
        for number in 0..<4_000 {
            let count = 1 + number % 7
            _ = queue.say(.session(id, sequence), .enqueue(count, length: 0))
            sequence += UInt64(count)
        }
        #expect(queue.machine.snapshot.count < 80 + 4_000 * 5)
        #expect(queue.machine.liveIndices == [LogIndex(2)...LogIndex(8_001)])
    }

    @Test func liveIndicesFollowWhatIsHeld() {
        var queue = Dialogue()
        let id = session(1)
        _ = queue.say(.session(id, 1), .open, .attach(consumer: 1, ConsumerOptions(prefetch: 6)))
        #expect(queue.machine.liveIndices.isEmpty)
        for number in 0..<UInt64(5) { _ = queue.say(.session(id, 3 + number * 2), .enqueue(2)) }
        #expect(queue.machine.liveIndices == [LogIndex(2)...LogIndex(6)])
        // Half of entry 3 keeps it; all of entry 2 is gone, and 4 goes to the last of its messages.
        _ = queue.say(.session(id, 13), .settle(consumer: 1, 1...3))
        _ = queue.say(.session(id, 14), .settle(consumer: 1, 5...6))
        #expect(queue.machine.liveIndices == [LogIndex(3)...LogIndex(3), LogIndex(5)...LogIndex(6)])
        _ = queue.say(.session(id, 15), .return(consumer: 1, 4...4, counted: true))
        #expect(queue.machine.liveIndices == [LogIndex(3)...LogIndex(3), LogIndex(5)...LogIndex(6)])
        _ = queue.say(.session(id, 16), .close)
        #expect(queue.machine.liveIndices == [LogIndex(3)...LogIndex(3), LogIndex(5)...LogIndex(6)])
    }

    @Test func theHeadTellsWhatASnapshotHolds() throws {
        var queue = Dialogue()
        let id = session(1)
        _ = queue.say(
            .session(id, 1), .open, .attach(consumer: 1, ConsumerOptions(prefetch: 2)), .enqueue(7))
        let summary = try QueueSnapshotSummary(snapshot: queue.machine.snapshot)
        #expect(summary == queue.machine.summary)
        #expect(summary.appliedIndex == LogIndex(1))
        #expect(summary.time == WallTime(milliseconds: 1))
        #expect(summary.version == 1)
        #expect(summary.messagesReady == 5)
        #expect(summary.messagesUnacknowledged == 2)
        #expect(summary.sessionCount == 1)
        #expect(summary.consumerCount == 1)
    }

    /// A tag of bytes that are not UTF-8 takes three times the room once it is text.
    @Test func theLongestTagComesBack() throws {
        var queue = Dialogue()
        let id = session(1)
        let tag = String(repeating: "\u{fffd}", count: CommandLimits.tag)
        var encoder = CommandEncoder()
        encoder.session(id, firstSequence: 1, lowWater: 0)
        encoder.open()
        encoder.attach(consumer: 1, options: ConsumerOptions(tag: String(repeating: "x", count: CommandLimits.tag)))
        let batch = encoder.take()
        let headers = Bytes(batch.headers.toArray().map { $0 == UInt8(ascii: "x") ? 0xff : $0 })
        var effects: [QueueEffect] = []
        queue.machine.apply(
            entry(1, CommandBatch(headers: headers, bodies: batch.bodies, commandCount: 2)), into: &effects)
        #expect(queue.machine.consumerStatus.map(\.options.tag) == [tag])
        let restored = try QueueMachine(snapshot: queue.machine.snapshot, settings: QueueSettings())
        #expect(restored.consumerStatus == queue.machine.consumerStatus)
    }
}
