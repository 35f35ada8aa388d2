import Primitives
import QuorumQueue
import Testing

/// Bytes that are no snapshot are refused, or are a machine that works; they never end the process.
struct SnapshotDamageTests {
    private func machine(seed: UInt64, entries: UInt64 = 120) -> QueueMachine {
        var stream = CommandStream(seed: seed)
        var machine = QueueMachine()
        var effects: [QueueEffect] = []
        for step in 1...entries { machine.apply(entry(step, stream.next()), into: &effects) }
        return machine
    }

    private func restored(_ bytes: [UInt8]) -> QueueMachine? {
        try? QueueMachine(snapshot: Bytes(bytes), settings: QueueSettings())
    }

    @Test func everyPartOfASnapshotIsRefused() {
        for seed in 0..<UInt64(5) {
            let whole = machine(seed: seed).snapshot.toArray()
            for length in whole.indices { #expect(restored(Array(whole[..<length])) == nil) }
            #expect(restored(whole) != nil)
            #expect(restored(whole + [0]) == nil)
        }
    }

    @Test func otherVersionsAreRefused() {
        var bytes = machine(seed: 1).snapshot.toArray()
        #expect(bytes[..<2] == [1, 1])
        bytes[0] = 2
        #expect(restored(bytes) == nil)
        bytes[0] = 1
        for version in [0, 2] as [UInt8] {
            bytes[1] = version
            #expect(restored(bytes) == nil)
            #expect(throws: DecodingFailure.invalid("machine version")) {
                try QueueSnapshotSummary(snapshot: Bytes(bytes))
            }
        }
    }

    @Test(arguments: 0..<UInt64(20)) func damagedSnapshotsNeverTrap(seed: UInt64) throws {
        let whole = machine(seed: seed, entries: 40 + seed * 12).snapshot.toArray()
        var random = SeededRandom(seed: seed ^ 0xdead)
        var accepted = 0
        for _ in 0..<1_000 {
            var bytes = whole
            for _ in 0..<1 + random.next(below: 3) {
                let at = Int(random.next(below: UInt64(bytes.count)))
                switch random.next(below: 6) {
                case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes[at] = random.oneIn(2) ? 0xff : 0
                case 2: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: at)
                case 3 where bytes.count > 1: bytes.remove(at: at)
                case 4 where random.oneIn(4): bytes.removeLast(bytes.count - max(1, at))
                default: bytes[at] ^= 1 << UInt8(random.next(below: 8))
                }
            }
            _ = try? QueueSnapshotSummary(snapshot: Bytes(bytes))
            guard var machine = restored(bytes) else { continue }
            accepted += 1
            // What was accepted is a state like any other.
            let again = try QueueMachine(snapshot: machine.snapshot, settings: QueueSettings())
            try #require(again.snapshot == machine.snapshot)
            let live = machine.liveIndices
            try #require(zip(live, live.dropFirst()).allSatisfy { $0.upperBound.next < $1.lowerBound })
            try work(&machine, seed: random.next())
        }
        // Most damage is noticed without a checksum; times, tags and counts of deliveries can be any.
        #expect(accepted < 500)
        #expect(accepted > 0)
    }

    /// Serves, returns and closes everything that a damaged snapshot brought along.
    private func work(_ machine: inout QueueMachine, seed: UInt64) throws {
        var stream = CommandStream(seed: seed)
        var effects: [QueueEffect] = []
        let index = machine.appliedIndex.rawValue
        guard index < 1 << 40 else { return }
        for step in 1...UInt64(4) { machine.apply(entry(index + step, stream.next()), into: &effects) }
        let nodes = machine.gatewayNodes
        var leaders: [Command] = nodes.map { .gatewayDown($0.node) }
        leaders += nodes.map { .gatewayUp($0.node, $0.incarnation) }
        leaders += nodes.map { .gatewayDown($0.node) } + nodes.map { .gatewayExpired($0.node) }
        machine.apply(entry(index + 5, leaders), into: &effects)
        try #require(machine.sessionCount == 0)
        try #require(machine.messagesUnacknowledged == 0)
        try #require(machine.consumerCount == 0)
    }

    /// Each is a snapshot but for one fact that no machine can have.
    @Test func impossibleStatesAreRefused() throws {
        var queue = Dialogue()
        let id = session(1)
        _ = queue.say(
            .session(id, 1), .open, .attach(consumer: 1, ConsumerOptions(prefetch: 2)), .enqueue(7))
        let bytes = queue.machine.snapshot.toArray()
        // Head: format, machine, index 1, time 1, 5 ready, 2 held, 1 session, 1 consumer; then no faults, one node.
        #expect(bytes[..<10] == [1, 1, 1, 1, 5, 2, 1, 1, 0, 1])
        for (at, value) in [(2, 0), (4, 4), (5, 3), (6, 0), (6, 2), (7, 0), (7, 2), (9, 0), (9, 2)] {
            var changed = bytes
            changed[at] = UInt8(value)
            #expect(restored(changed) == nil, "byte \(at)")
        }
        // Tail: no turn, nothing returned, one stretch: entry 1, ordinal 2, 5 messages, 1 entry.
        #expect(bytes.suffix(7) == [0, 0, 1, 1, 2, 5, 1])
        for (place, value) in [(1, 0), (1, 2), (2, 0), (2, 4), (2, 6), (3, 0), (3, 1), (4, 0), (4, 2), (5, 2)] {
            var changed = bytes
            changed[bytes.count - place] = UInt8(value)
            #expect(restored(changed) == nil, "byte \(place) from the end")
        }
    }
}
