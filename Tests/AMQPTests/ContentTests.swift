import AMQP
import Primitives
import Testing

@Suite struct ContentTests {
    func withBuffers<R>(_ texts: [[UInt8]], _ body: ([UnsafeRawBufferPointer]) throws -> R) rethrows -> R {
        let copies = texts.map { Bytes($0) }
        func step(_ index: Int, _ buffers: [UnsafeRawBufferPointer]) throws -> R {
            guard index < copies.count else { return try body(buffers) }
            return try copies[index].withUnsafeBytes { try step(index + 1, buffers + [$0]) }
        }
        return try step(0, [])
    }

    /// Header size and body pieces of the content in `rest`.
    func content(_ rest: ArraySlice<OwnedFrame>) throws -> (size: UInt64, properties: [UInt8], body: [UInt8]) {
        let header = try #require(rest.first)
        var progress = ContentProgress()
        try progress.method(hasContent: true)
        return try header.payload.withUnsafeBytes { payload throws in
            let parsed = try ContentHeader(payload: payload)
            var done = try progress.header(bodySize: parsed.bodySize)
            var body: [UInt8] = []
            for frame in rest.dropFirst() {
                #expect(frame.type == .body && frame.channel == header.channel)
                done = try progress.body(count: frame.payload.count)
                body += frame.payload
            }
            #expect(done)
            return (parsed.bodySize, Array(parsed.properties), body)
        }
    }

    @Test(arguments: [0, 1, 4088, 8183, 8184, 8185, 16368, 16369, 100_000])
    func deliveriesSplitAtTheFrameLimit(length: Int) throws {
        let body = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let properties = GoldenTests.properties.encoded().toArray()
        let wire = withBuffers([Array("tag".utf8), Array("x".utf8), Array("k.é".utf8), properties, body]) { buffers in
            written {
                let delivery = DeliveryFrames(
                    channel: 7, consumerTag: buffers[0], deliveryTag: 99, redelivered: true, exchange: buffers[1],
                    routingKey: buffers[2], properties: buffers[3], body: buffers[4], frameMax: 8192)
                $0.write(delivery)
                #expect($0.count == delivery.byteCount)
            }
        }
        let parts = try frames(wire, maximumFrameSize: 8192)
        #expect(
            try method(parts[0].payload)
                == .basicDeliver(
                    BasicDeliver(
                        consumerTag: "tag", deliveryTag: 99, redelivered: true, exchange: "x", routingKey: "k.é")))
        #expect(parts.count == 2 + (length + 8183) / 8184)
        let found = try content(parts.dropFirst())
        #expect(found.size == UInt64(length) && found.body == body && found.properties == properties)
    }

    @Test func publishIsWrittenAndReadInPlace() throws {
        let wire = withBuffers([Array("ex".utf8), Array("key".utf8), [0x10, 0, 2], Array("hi".utf8)]) { buffers in
            written {
                $0.write(
                    PublishFrames(
                        channel: 1, exchange: buffers[0], routingKey: buffers[1], mandatory: true,
                        properties: buffers[2],
                        body: buffers[3], frameMax: 0))
            }
        }
        let parts = try frames(wire)
        #expect(
            try method(parts[0].payload)
                == .basicPublish(BasicPublish(exchange: "ex", routingKey: "key", mandatory: true)))
        try parts[0].payload.withUnsafeBytes { payload throws in
            #expect(MethodID.peek(payload) == BasicPublish.id)
            let arguments = try PublishArguments(payload: payload)
            #expect(arguments.exchange.elementsEqual("ex".utf8) && arguments.routingKey.elementsEqual("key".utf8))
            #expect(arguments.mandatory && !arguments.immediate)
        }
        let found = try content(parts.dropFirst())
        #expect(found.body == Array("hi".utf8) && found.properties == [0x10, 0, 2])
    }

    @Test func publishInPlaceAgreesWithTheGeneratedDecoder() {
        var random = SeededRandom(seed: 11)
        var agreed = 0
        for round in 0..<5_000 {
            let exchange = String(repeating: "e", count: Int(random.next(below: 4)))
            let publish = BasicPublish(exchange: exchange, routingKey: "é\(round)", mandatory: random.oneIn(2))
            var payload = Array(written { publish.encodeFrame(channel: 1, into: &$0) }.dropFirst(7).dropLast())
            if random.oneIn(2) {
                payload[4 + Int(random.next(below: UInt64(payload.count - 4)))] = UInt8(random.next(below: 256))
            }
            if random.oneIn(4) { payload.removeLast(Int(random.next(below: UInt64(payload.count - 4)))) }
            payload.withUnsafeBytes { buffer in
                let slow = try? BasicPublish(payload: buffer)
                let fast = try? PublishArguments(payload: buffer)
                #expect((slow == nil) == (fast == nil))
                guard let slow, let fast else { return }
                agreed += 1
                #expect(fast.exchange.elementsEqual(slow.exchange.utf8))
                #expect(fast.routingKey.elementsEqual(slow.routingKey.utf8))
                #expect(fast.mandatory == slow.mandatory && fast.immediate == slow.immediate)
            }
        }
        #expect(agreed > 1_200)
    }

    @Test func acknowledgementsMatchTheGeneratedEncoder() {
        for multiple in [false, true] {
            #expect(
                written { $0.writeAck(channel: 3, deliveryTag: 1 << 40, multiple: multiple) }
                    == written { BasicAck(deliveryTag: 1 << 40, multiple: multiple).encodeFrame(channel: 3, into: &$0) }
            )
            for requeue in [false, true] {
                let nack = BasicNack(deliveryTag: 5, multiple: multiple, requeue: requeue)
                #expect(
                    written { $0.writeNack(channel: 3, deliveryTag: 5, multiple: multiple, requeue: requeue) }
                        == written { nack.encodeFrame(channel: 3, into: &$0) })
            }
        }
    }

    @Test func contentHeadersOfOtherClassesAreRefused() {
        let error = #expect(throws: AMQPError.self) {
            try bytes("0032 0000 0000000000000001 0000").withUnsafeBytes { _ = try ContentHeader(payload: $0) }
        }
        #expect(error?.code == .commandInvalid)
        let short = #expect(throws: AMQPError.self) {
            try bytes("003c 0000 0000000000000001 00").withUnsafeBytes { _ = try ContentHeader(payload: $0) }
        }
        #expect(short?.code == .syntaxError)
    }
}
