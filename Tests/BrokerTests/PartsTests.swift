import AMQP
import Broker
import Primitives
import Testing
import Topology

@Suite struct PartsTests {
    // MARK: Confirms

    @Test func ledgerAnswersEveryPublishOnce() {
        var random = SeededRandom(seed: 5)
        for _ in 0..<200 {
            var ledger = ConfirmLedger()
            var waiting: [UInt64] = []
            var refused: Set<UInt64> = []
            var answered: [UInt64: Bool] = [:]
            func drain() {
                ledger.drain { answer in
                    let tags =
                        answer.multiple
                        ? (1...answer.tag).filter { answered[$0] == nil } : [answer.tag]
                    for tag in tags {
                        #expect(answered[tag] == nil)
                        answered[tag] = answer.isAck
                    }
                }
            }
            for _ in 0..<50 {
                switch random.next(below: 4) {
                case 0:
                    let targets = Int(random.next(below: 3))
                    let tag = ledger.publish(targets: targets)
                    for _ in 0..<targets { waiting.append(tag) }
                case 1 where !waiting.isEmpty:
                    let tag = waiting.remove(at: Int(random.next(below: UInt64(waiting.count))))
                    if random.oneIn(4) {
                        ledger.refuse(tag)
                        refused.insert(tag)
                    }
                    ledger.applied(tag...tag)
                case 2: drain()
                default: break
                }
                for (tag, _) in answered { #expect(!waiting.contains(tag)) }
            }
            for tag in waiting { ledger.applied(tag...tag) }
            drain()
            #expect(answered.count == Int(ledger.next - 1))
            #expect(ledger.unconfirmed == 0)
            for (tag, isAck) in answered { #expect(isAck == !refused.contains(tag)) }
        }
    }

    @Test func publishRunsFindTheirTags() {
        var runs = PublishRuns()
        for sequence in 1...5 as ClosedRange<UInt64> { runs.append(sequence: sequence, tag: sequence + 10) }
        runs.append(sequence: 9, tag: 16)
        #expect(runs.tag(of: 3) == 13 && runs.tag(of: 9) == 16 && runs.tag(of: 7) == nil)
        var tags: [ClosedRange<UInt64>] = []
        runs.applied(through: 2) { tags.append($0) }
        runs.applied(through: 8) { tags.append($0) }
        runs.applied(through: 100) { tags.append($0) }
        #expect(tags == [11...12, 13...15, 16...16])
        #expect(runs.isEmpty)
    }

    // MARK: Acknowledgements

    @Test func unackedRingMatchesANaiveOne() {
        var random = SeededRandom(seed: 9)
        var ring = UnackedRing()
        var naive: [UInt64: (UInt32, UInt64)] = [:]
        var numbers: [UInt64] = [1, 1, 1]
        for _ in 0..<5_000 {
            switch random.next(below: 5) {
            case 0, 1:
                let source = Int(random.next(below: 3))
                let tag = ring.append(source: UInt32(source), number: numbers[source])
                naive[tag] = (UInt32(source), numbers[source])
                numbers[source] += 1
            case 2:
                let tag = ring.skip()
                #expect(naive[tag] == nil)
            default:
                let multiple = random.oneIn(3)
                let tag = random.next(below: ring.next + 2)
                var taken: [(UInt32, UInt64)] = []
                let isKnown = ring.take(tag: tag, multiple: multiple) { source, range in
                    for number in range { taken.append((source, number)) }
                }
                let expected: [UInt64]
                if multiple && tag == 0 {
                    expected = naive.keys.sorted()
                } else if naive[tag] == nil {
                    expected = []
                    #expect(!isKnown)
                } else {
                    expected = multiple ? naive.keys.filter { $0 <= tag }.sorted() : [tag]
                }
                #expect(taken.count == expected.count)
                for (got, tag) in zip(taken, expected) {
                    #expect(got.0 == naive[tag]?.0 && got.1 == naive[tag]?.1)
                    naive[tag] = nil
                }
            }
            #expect(ring.count == naive.count)
        }
    }

    // MARK: Formats

    @Test func envelopesComeBackAsTheyWent() throws {
        var head = EnvelopeHead()
        Bytes("exchange").withUnsafeBytes { exchange in
            Bytes("key").withUnsafeBytes { head.begin(exchange: exchange, routingKey: $0) }
        }
        Bytes("props").withUnsafeBytes { head.finish(properties: $0) }
        let message = Bytes("body").withUnsafeBytes { head.message(body: $0) }
        try message.withUnsafeBytes { buffer in
            let envelope = try Envelope(buffer)
            #expect(String(decoding: envelope.exchange, as: UTF8.self) == "exchange")
            #expect(String(decoding: envelope.routingKey, as: UTF8.self) == "key")
            #expect(String(decoding: envelope.properties, as: UTF8.self) == "props")
            #expect(String(decoding: envelope.body, as: UTF8.self) == "body")
        }
        for count in 0..<message.count - 4 {
            #expect(throws: DecodingFailure.self) {
                try message[0..<count].withUnsafeBytes { _ = try Envelope($0) }
            }
        }
    }

    @Test func gatewayMessagesSurviveTheWire() throws {
        let queue = TransientID(77)
        let messages: [GatewayMessage] = [
            .publish(queue: queue, channel: 3, sequence: 9, message: Bytes("m")),
            .published(queue: queue, channel: 3, through: 9),
            .attach(request: 1, queue: queue, channel: 3, consumer: 4, window: 0, exclusive: true),
            .detach(queue: queue, channel: 3, consumer: 4),
            .window(queue: queue, channel: 3, consumer: 4, window: 12),
            .settle(queue: queue, channel: 3, consumer: 4, numbers: 1...300),
            .giveBack(queue: queue, channel: 3, consumer: 4, numbers: 5...5, counted: true),
            .get(request: 2, queue: queue, channel: 3), .purge(request: 3, queue: queue),
            .counts(request: 4, queue: queue), .channelGone(queue: queue, channel: 3),
            .deliver(channel: 3, consumer: 4, number: 1, deliveryCount: 2, redelivered: true, message: Bytes("m")),
            .reply(request: 1, .ok), .reply(request: 1, .refused), .reply(request: 1, .gone),
            .reply(request: 1, .empty), .reply(request: 1, .purged(8)),
            .reply(
                request: 1,
                .got(number: 1, deliveryCount: 0, redelivered: false, remaining: 5, message: Bytes("m"))),
            .reply(request: 1, .counts(QueueCounts(ready: 1, unacknowledged: 2, consumers: 3))),
        ]
        for message in messages {
            var writer = ByteWriter()
            message.encode(into: &writer)
            let bytes = writer.take()
            let decoded = try bytes.withUnsafeBytes { buffer in
                var reader = ByteReader(buffer)
                let decoded = try GatewayMessage(decoding: &reader)
                #expect(reader.isAtEnd)
                return decoded
            }
            var again = ByteWriter()
            decoded.encode(into: &again)
            #expect(again.take() == bytes)
            for count in 0..<bytes.count {
                #expect(throws: DecodingFailure.self) {
                    try bytes[0..<count].withUnsafeBytes { buffer in
                        var reader = ByteReader(buffer)
                        _ = try GatewayMessage(decoding: &reader)
                    }
                }
            }
        }
    }

    @Test func garbageFromABrokerIsIgnored() {
        let cluster = FakeCluster(nodes: 2)
        var random = SeededRandom(seed: 3)
        for _ in 0..<2_000 {
            var bytes = (0..<Int(random.next(below: 40))).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            if !bytes.isEmpty { bytes[0] = GatewayMessage.version }
            if bytes.count > 1 { bytes[1] = UInt8(random.next(below: 14)) }
            cluster[1].broker.gatewayMessage(from: NodeID(2), Bytes(bytes))
        }
        cluster.run()
        #expect(cluster[1].broker.transientQueueSnapshots().isEmpty)
    }
}
