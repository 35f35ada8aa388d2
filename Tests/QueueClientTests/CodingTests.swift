import Primitives
import QueueClient
import QuorumQueue
import Testing

private func encoded(_ message: ClientMessage) -> Bytes {
    var writer = ByteWriter()
    message.encode(into: &writer)
    return writer.take()
}

private func encoded(_ message: LeaderMessage) -> Bytes {
    var writer = ByteWriter()
    message.encode(into: &writer)
    return writer.take()
}

private func someBatch(_ body: (inout CommandEncoder) -> Void) -> CommandBatch {
    var encoder = CommandEncoder()
    let id = SessionID(gateway: gateway, incarnation: Incarnation(1), number: 5)
    encoder.session(id, firstSequence: 2, lowWater: 1)
    encoder.enqueue(length: 3) { $0.copyBytes(from: "abc".utf8) }
    body(&encoder)
    return encoder.take()
}

private let clientMessages: [ClientMessage] = [
    .commands(
        CommandMessage(gateway: gateway, epoch: 1 << 40, number: 3, batchID: 1 << 33, batch: someBatch { $0.purge() })),
    .resume(
        ResumeRequest(
            gateway: gateway, incarnation: Incarnation(4), epoch: 9,
            sessions: [
                ResumedSession(number: 1, answered: 0, lastSequence: 1, consumers: []),
                ResumedSession(
                    number: 300, answered: 5, lastSequence: 1_000,
                    consumers: [
                        ResumedConsumer(number: 0, received: 0), ResumedConsumer(number: 7, received: 1 << 50),
                    ]),
            ])),
    .status(gateway: gateway, requestID: 77),
]

private let leaderMessages: [LeaderMessage] = [
    .notLeader(epoch: 3, term: Term(4), hint: nil), .notLeader(epoch: 0, term: Term(1 << 40), hint: NodeID(3)),
    .resumeNeeded(epoch: 12), .groupGone, .status(requestID: 1, ready: 1 << 40, unacknowledged: 2, consumers: 3),
    .resumed(
        ResumeReply(
            epoch: 5, term: Term(6), acceptedThrough: 7,
            sessions: [SessionProgress(number: 1, lastApplied: nil), SessionProgress(number: 2, lastApplied: 300)],
            unlisted: [SessionProgress(number: 9, lastApplied: 1)])),
    .events(
        LeaderEvents(
            epoch: 5, number: 2, gateway: gateway, incarnation: Incarnation(3),
            events: [
                .outcome(session: 1, sequence: 2, .got(number: 3, remaining: 4)), .refused(session: 1, .limit),
                .outOfSequence(session: 2, expected: 8), .sessionClosed(session: 3), deliver(4, 0, 1, ["body"]),
                deliver(4, 9, 1 << 40, ["", "bb", "", "cccc"], redelivered: true), deliver(4, 9, 5, [""]),
                .applied(session: 4, through: 1 << 33),
            ])),
]

@Suite struct CodingTests {
    @Test(arguments: clientMessages.indices)
    func clientMessagesSurviveTheLink(_ place: Int) throws {
        let bytes = encoded(clientMessages[place])
        let message = try ClientMessage(decoding: bytes, from: gateway.node)
        #expect(describe(message) == describe(clientMessages[place]))
        #expect(encoded(message) == bytes)
        #expect(throws: DecodingFailure.self) { try ClientMessage(decoding: bytes, from: NodeID(2)) }
        for count in 0..<bytes.count {
            #expect(throws: DecodingFailure.self) { try ClientMessage(decoding: bytes[0..<count], from: gateway.node) }
        }
    }

    @Test(arguments: leaderMessages.indices)
    func leaderMessagesSurviveTheLink(_ place: Int) throws {
        let bytes = encoded(leaderMessages[place])
        let message = try LeaderMessage(decoding: bytes)
        #expect("\(message)".count > 0)
        #expect(encoded(message) == bytes)
        for count in 0..<bytes.count {
            #expect(throws: DecodingFailure.self) { try LeaderMessage(decoding: bytes[0..<count]) }
        }
    }

    @Test func bodiesOfADeliveryAreTheSameBehindTheLink() throws {
        let event = deliver(4, 9, 5, ["", "bb", "", "cccc"], redelivered: true)
        let sent = LeaderEvents(epoch: 1, number: 1, gateway: gateway, incarnation: Incarnation(1), events: [event])
        guard case .events(let events) = try LeaderMessage(decoding: encoded(.events(sent))),
            case .deliver(4, 9, 5, 0, true, let bodies) = events.events.first
        else {
            Issue.record("another message")
            return
        }
        #expect(bodies.map { String(decoding: $0) } == ["", "bb", "", "cccc"])
    }

    @Test func aNodeSpeaksOnlyForItsOwnSessionsAndNeverForTheLeader() {
        func decode(_ batch: CommandBatch, as gateway: GatewayID) throws {
            let message = CommandMessage(gateway: gateway, epoch: 1, number: 1, batchID: 1, batch: batch)
            _ = try ClientMessage(decoding: encoded(.commands(message)), from: gateway.node)
        }
        #expect(throws: Never.self) { try decode(someBatch { _ in }, as: gateway) }
        #expect(throws: DecodingFailure.self) {
            try decode(someBatch { _ in }, as: GatewayID(node: NodeID(2), shard: 0))
        }
        #expect(throws: DecodingFailure.self) { try decode(someBatch { $0.gatewayExpired(NodeID(1)) }, as: gateway) }
        let honest = someBatch { _ in }
        let miscounted = CommandBatch(headers: honest.headers, bodies: honest.bodies, commandCount: 2)
        #expect(throws: DecodingFailure.self) { try decode(miscounted, as: gateway) }
    }

    @Test func damagedMessagesAreRefusedOrReadButNeverTrapped() {
        var random = SeededRandom(seed: 11)
        var refused = 0
        let all = clientMessages.map(encoded) + leaderMessages.map(encoded)
        for _ in 0..<20_000 {
            var bytes = all[Int(random.next(below: UInt64(all.count)))].toArray()
            for _ in 0...random.next(below: 3) {
                bytes[Int(random.next(below: UInt64(bytes.count)))] = UInt8(truncatingIfNeeded: random.next())
            }
            if (try? ClientMessage(decoding: Bytes(bytes), from: gateway.node)) == nil { refused += 1 }
            if (try? LeaderMessage(decoding: Bytes(bytes))) == nil { refused += 1 }
        }
        #expect(refused > 20_000 / 2)
    }

    @Test func bodiesAreFoundInAnEntry() {
        let batch = someBatch {
            $0.enqueue(length: 0) { _ in }
            $0.enqueue(length: 2) { $0.copyBytes(from: "de".utf8) }
        }
        let table = MessageTable(headers: batch.headers, bodiesLength: batch.bodies.count)
        func bodies(_ range: Range<Int>) -> [String]? {
            MessageBodies(range, of: table, in: batch.bodies).map { $0.map { String(decoding: $0) } }
        }
        #expect(bodies(0..<3) == ["abc", "", "de"])
        #expect(bodies(2..<3) == ["de"])
        #expect(bodies(1..<2) == [""])
        #expect(bodies(0..<0) == nil)
        #expect(bodies(2..<4) == nil)
    }
}
