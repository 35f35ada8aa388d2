import Primitives
import QuorumQueue
import Testing

struct CommandTests {
    static let all: [Command] = [
        .session(session(300, node: 2, shard: 3, incarnation: 4), firstSequence: 1, lowWater: 0), .open,
        .enqueue(EnqueueRun(count: 2, length: 5, priority: 9, expiration: 300, checksumsOffset: 0)),
        .enqueue(EnqueueRun(count: 1, length: 5, checksumsOffset: 0)),
        .enqueue(EnqueueRun(count: 1, length: 0, checksumsOffset: 0)),
        .attach(
            consumer: 1,
            ConsumerOptions(prefetch: 200, autoAck: true, exclusive: true, priority: -5, tag: "ctag-ü")),
        .detach(consumer: 130), .setPrefetch(consumer: 1, 0), .settle(consumer: 1, 1...1),
        .return(consumer: 0, 5...1_000, counted: true), .return(consumer: 7, 5...6, counted: false),
        .discard(consumer: 1, 9...9), .get(autoAck: true), .get(autoAck: false), .purge, .close,
        .gatewayDown(NodeID(3)), .gatewayUp(NodeID(3), Incarnation(70_000)), .gatewayExpired(NodeID(258)),
        .detachUnknown(ConsumerID(session: session(9), number: 4)), .tick,
    ]

    static func batch(_ commands: [Command]) -> CommandBatch {
        var encoder = CommandEncoder()
        for command in commands { encoder.add(command) }
        return encoder.take()
    }

    static func read(_ headers: Bytes) throws(DecodingFailure) -> [Command] {
        try headers.withUnsafeBytes { buffer throws(DecodingFailure) in
            var reader = CommandReader(buffer)
            var commands: [Command] = []
            while let command = try reader.next() { commands.append(command) }
            return commands
        }
    }

    @Test func everyCommandSurvivesTheRoundTrip() throws {
        let batch = Self.batch(Self.all)
        let commands = try Self.read(batch.headers).map { command in
            guard case .enqueue(var run) = command else { return command }
            run.checksumsOffset = 0
            return .enqueue(run)
        }
        #expect(commands == Self.all)
        #expect(batch.commandCount == 21)
        try CommandReader.validate(batch, origin: .leader, checksums: true)
    }

    /// The format is written to disks and spoken between versions: these bytes must never change.
    @Test func theFormatIsFixed() {
        let bytes = Self.batch(Self.all).headers.toArray()
        let hex = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        #expect(hex == Self.golden)
    }

    @Test func everyTruncationIsRefused() throws {
        let batch = Self.batch(Self.all)
        var boundaries: Set<Int> = [0]
        batch.headers.withUnsafeBytes { buffer in
            var reader = CommandReader(buffer)
            while (try? reader.next()) != nil { boundaries.insert(reader.offset) }
        }
        for length in 0..<batch.headers.count where !boundaries.contains(length) {
            #expect(throws: DecodingFailure.self) { try Self.read(batch.headers[0..<length]) }
        }
        #expect(boundaries.count == Self.all.count + 1)
    }

    @Test func equalMessagesShareAHeader() throws {
        let first = Self.batch([.session(session(1), 1), .open, .enqueue(1_000, length: 64)])
        #expect(first.headers.count < 1_000 * 4 + 32)
        let runs = try Self.read(first.headers).filter { if case .enqueue = $0 { true } else { false } }
        #expect(runs.count == 1)
        var encoder = CommandEncoder()
        encoder.session(session(1), firstSequence: 2, lowWater: 0)
        for _ in 0..<4_097 { encoder.enqueue(length: 0) { _ in } }
        let isFull = encoder.isFull
        #expect(isFull)
        let lengths = try Self.read(encoder.take().headers).map(\.count)
        #expect(lengths == [0, 4_096, 1])
        let isEmpty = encoder.isEmpty && encoder.commandCount == 0
        #expect(isEmpty)
    }

    @Test func concatenatedBatchesAreABatch() throws {
        let a = Self.batch([.session(session(1), 5), .enqueue(3, length: 2), .purge])
        let b = Self.batch([.session(session(2, node: 2), 9), .enqueue(1, length: 7), .enqueue(2, length: 2)])
        let both = CommandBatch(
            headers: Bytes(a.headers.toArray() + b.headers.toArray()),
            bodies: Bytes(a.bodies.toArray() + b.bodies.toArray()), commandCount: a.commandCount + b.commandCount)
        try CommandReader.validate(both, origin: .leader, checksums: true)
        let table = MessageTable(entry(1, both))
        #expect(table.count == 6)
        #expect((0..<6).map { table[$0]?.range } == [0..<2, 2..<4, 4..<6, 6..<13, 13..<15, 15..<17])
        #expect(table[6] == nil && table[-1] == nil)
        var bodies: [Bytes] = []
        #expect(table.append(2..<4, of: both.bodies, to: &bodies))
        #expect(bodies.map { $0.toArray() } == [[2, 2], [0, 0, 0, 0, 0, 0, 0]])
        #expect(!table.append(5..<7, of: both.bodies, to: &bodies))
        #expect(bodies.count == 2)
    }

    @Test func whatMayNotBeProposedIsRefused() throws {
        let node = CommandOrigin.gateway(NodeID(1))
        func refuses(_ commands: [Command], origin: CommandOrigin = node) -> Bool {
            (try? CommandReader.validate(Self.batch(commands), origin: origin, checksums: true)) == nil
        }
        let header = Command.session(session(1), 2)
        #expect(!refuses([header, .purge]))
        #expect(refuses([.session(session(1, node: 2), 2), .purge]))
        #expect(refuses([.gatewayDown(NodeID(1))]))
        #expect(!refuses([.gatewayDown(NodeID(1))], origin: .leader))
        #expect(refuses([header, .open]))
        #expect(refuses([.session(session(1), 1), .purge]))
        #expect(refuses([header] + (0..<4_097).map { _ in .purge }))
        #expect(refuses([.session(session(1), CommandLimits.number), .enqueue(2)]))
        func refuses(_ batch: CommandBatch) -> Bool {
            (try? CommandReader.validate(batch, origin: node, checksums: true)) == nil
        }
        let good = Self.batch([header, .enqueue(2)])
        var bad = good
        bad.commandCount += 1
        #expect(refuses(bad))
        bad = good
        bad.bodies = Bytes(good.bodies.toArray() + [0])
        #expect(refuses(bad))
        bad.bodies = good.bodies[0..<good.bodies.count - 1]
        #expect(refuses(bad))
        bad.bodies = Bytes([9] + good.bodies.toArray().dropFirst())
        #expect(refuses(bad))
        #expect((try? CommandReader.validate(bad, origin: node, checksums: false)) != nil)
        // Session commands need a header of their own batch: a leader's command ends the one before.
        let pieces = [Self.batch([header]), Self.batch([.tick]), Self.batch([header, .purge])]
        let headers = Bytes(
            pieces[0].headers.toArray() + pieces[1].headers.toArray()
                + pieces[2].headers.toArray().suffix(1))
        #expect(refuses(CommandBatch(headers: headers, bodies: Bytes(), commandCount: 2)))
    }

    @Test func outcomesAndIdsSurviveTheRoundTrip() throws {
        let outcomes: [Outcome] = [
            .rejected(.full), .purged(1 << 40), .getEmpty, .got(number: 300, remaining: 0),
            .consumerRefused(.exclusive), .consumerRefused(.duplicate), .consumerRefused(.limit),
        ]
        let consumer = ConsumerID(session: session(1 << 61, node: 65_535, shard: 9, incarnation: .max), number: .max)
        var writer = ByteWriter()
        for outcome in outcomes { outcome.encode(into: &writer) }
        consumer.encode(into: &writer)
        let bytes = writer.take()
        try bytes.withUnsafeBytes { buffer throws(DecodingFailure) in
            var reader = ByteReader(buffer)
            for outcome in outcomes { #expect(try Outcome(decoding: &reader) == outcome) }
            #expect(try ConsumerID(decoding: &reader) == consumer)
            #expect(reader.isAtEnd)
        }
    }

    static let golden =
        "010200030004000000ac02010002040302000500000009ac022b3aaee4f89826030400010005000000e6d4faa20400010000"
        + "00000000000000050103c801fbffffff07637461672dc3bc0682010701000801010009010005e30709000705010a0109000b"
        + "010b000c0320030021030070110100220201230100000001000000090424"
}
