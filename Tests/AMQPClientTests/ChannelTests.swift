import AMQP
import AMQPClient
import NIOCore
import NIOEmbedded
import Primitives
import Testing

@Suite struct ChannelTests {
    static func deliver(_ tag: UInt64, consumer: String = "c") -> Method {
        .basicDeliver(BasicDeliver(consumerTag: consumer, deliveryTag: tag, exchange: "x", routingKey: "k"))
    }

    /// An open channel with a consumer "c" on it, whose messages gather in the list.
    final class Consuming {
        let dialogue: Dialogue
        let channel: AMQPChannel
        var messages: [Message] = []
        var cancelled = false

        init() throws {
            (dialogue, channel) = try Dialogue.open()
            channel.consume(
                "q", options: ConsumeOptions(consumerTag: "c"), deliver: { self.messages.append(Message($0)) },
                cancelled: { self.cancelled = true }, completion: { _ in })
            #expect(try dialogue.heard().map(\.method) == [.basicConsume(BasicConsume(queue: "q", consumerTag: "c"))])
            try dialogue.say(encoded(.basicConsumeOk(BasicConsumeOk(consumerTag: "c")), channel: 1))
        }
    }

    /// A socket that drains within a write says so in it, and whoever listens writes more at once.
    @Test func whatIsWrittenWithinAWriteLeavesOnceAndBehindIt() throws {
        let (dialogue, channel) = try Dialogue.open()
        try dialogue.channel.pipeline.syncOperations.addHandler(DrainsInFlush(), position: .first)
        let route = try PublishRoute(exchange: "x", routingKey: "k")
        var left: UInt8 = 3
        dialogue.connection.onWritabilityChanged = { _ in
            guard left > 0 else { return }
            left -= 1
            _ = [left].withUnsafeBytes { channel.publish(route, body: $0) }
            channel.flush()
        }
        _ = [UInt8(9)].withUnsafeBytes { channel.publish(route, body: $0) }
        channel.flush()
        #expect(try dialogue.heard().compactMap(\.body) == [[9], [2], [1], [0]])
    }

    @Test func publishesLeaveInOneWriteAndConfirmsComeAsRuns() throws {
        let (dialogue, channel) = try Dialogue.open()
        channel.confirmSelect { _ in }
        _ = try dialogue.heard()
        try dialogue.say(encoded(.confirmSelectOk(ConfirmSelectOk()), channel: 1))
        var confirmed: [ClosedRange<UInt64>] = []
        var refused: [ClosedRange<UInt64>] = []
        channel.onConfirm = { run, positive in
            if positive { confirmed.append(run) } else { refused.append(run) }
        }
        let route = try PublishRoute(exchange: "x", routingKey: "k", mandatory: true)
        for round in 1...6 {
            #expect([UInt8(round)].withUnsafeBytes { channel.publish(route, body: $0) } == UInt64(round))
        }
        dialogue.loop.run()
        let written = try #require(try dialogue.channel.readOutbound(as: ByteBuffer.self))
        #expect(try dialogue.channel.readOutbound(as: ByteBuffer.self) == nil)
        var offset = 0
        #expect(
            try methods(Array(written.readableBytesView), from: &offset)
                == (1...6).map {
                    Said(
                        channel: 1,
                        method: .basicPublish(BasicPublish(exchange: "x", routingKey: "k", mandatory: true)),
                        body: [$0])
                })
        try dialogue.say(
            encoded(
                .basicAck(BasicAck(deliveryTag: 2)), .basicNack(BasicNack(deliveryTag: 3)),
                .basicAck(BasicAck(deliveryTag: 5, multiple: true)), channel: 1))
        #expect(confirmed == [2...2, 1...1, 4...5] && refused == [3...3])
        #expect(channel.unconfirmedCount == 1)
    }

    @Test func aCallbackMayPublishAndAck() throws {
        let (dialogue, channel) = try Dialogue.open()
        let route = try PublishRoute(routingKey: "echo")
        channel.consume(
            "q", options: ConsumeOptions(consumerTag: "c"),
            deliver: { delivery in
                channel.publish(route, body: delivery.body)
                channel.ack(delivery.deliveryTag, multiple: true)
            }, completion: { _ in })
        _ = try dialogue.heard()
        try dialogue.say(
            encoded(.basicConsumeOk(BasicConsumeOk(consumerTag: "c")), channel: 1)
                + encoded(Self.deliver(1), body: [1], channel: 1) + encoded(Self.deliver(2), body: [2], channel: 1))
        let publish = Method.basicPublish(BasicPublish(exchange: "", routingKey: "echo"))
        #expect(
            try dialogue.heard() == [
                Said(channel: 1, method: publish, body: [1]),
                Said(channel: 1, method: .basicAck(BasicAck(deliveryTag: 1, multiple: true))),
                Said(channel: 1, method: publish, body: [2]),
                Said(channel: 1, method: .basicAck(BasicAck(deliveryTag: 2, multiple: true))),
            ])
    }

    @Test(arguments: [1, 2, 3, 7, 64, 5_000, 1_000_000])
    func deliveriesArriveWholeHoweverTheyAreCut(piece: Int) throws {
        let consuming = try Consuming()
        let bodies: [[UInt8]] = [
            [], [1, 2, 3], [UInt8](repeating: 7, count: 300), (0..<20_000).map { UInt8($0 % 251) },
        ]
        var properties = BasicProperties()
        properties.headers = ["n": 1]
        var wire: [UInt8] = []
        for (index, body) in bodies.enumerated() {
            wire += encoded(
                Self.deliver(UInt64(index + 1)), properties: properties, body: body, channel: 1, frameMax: 8192)
        }
        for start in stride(from: 0, to: wire.count, by: piece) {
            try consuming.dialogue.say(Array(wire[start..<min(start + piece, wire.count)]))
        }
        #expect(consuming.messages.map { $0.body.toArray() } == bodies)
        #expect(consuming.messages.map(\.deliveryTag) == [1, 2, 3, 4])
        #expect(
            consuming.messages.allSatisfy { $0.properties == properties && $0.exchange == "x" && $0.routingKey == "k" })
    }

    @Test func contentsOfTwoChannelsMayInterleave() throws {
        let consuming = try Consuming()
        let dialogue = consuming.dialogue
        var second: AMQPChannel?
        dialogue.connection.openChannel { second = try? $0.get() }
        _ = try dialogue.heard()
        try dialogue.say(encoded(.channelOpenOk(ChannelOpenOk()), channel: 2))
        var others: [[UInt8]] = []
        second?.consume(
            "q", options: ConsumeOptions(consumerTag: "c"), deliver: { others.append(Array($0.body)) },
            completion: { _ in })
        _ = try dialogue.heard()
        try dialogue.say(encoded(.basicConsumeOk(BasicConsumeOk(consumerTag: "c")), channel: 2))
        let first = encoded(Self.deliver(1), body: [1], channel: 1)
        let methodLength = encoded(Self.deliver(1), channel: 1).count
        try dialogue.say(
            Array(first[..<methodLength]) + encoded(Self.deliver(1), body: [2], channel: 2)
                + Array(first[methodLength...]))
        #expect(consuming.messages.map { $0.body.toArray() } == [[1]] && others == [[2]])
    }

    @Test func tooLargeABodyIsRefusedAtItsHeader() throws {
        let (dialogue, channel) = try Dialogue.open(ClientSettings(maximumBodySize: 10))
        var ended: ClientError?
        dialogue.connection.onClose = { ended = $0 }
        channel.consume("q", options: ConsumeOptions(consumerTag: "c"), deliver: { _ in }, completion: { _ in })
        try dialogue.say(encoded(Self.deliver(1), body: [UInt8](repeating: 0, count: 11), channel: 1))
        guard case .protocolViolation(let error) = ended else {
            Issue.record("\(String(describing: ended))")
            return
        }
        #expect(error.code == .contentTooLarge)
    }

    @Test func returnsAndServerCancels() throws {
        let consuming = try Consuming()
        var returned: [String] = []
        consuming.channel.onReturn = { reason, message in
            returned.append(
                "\(reason.replyCode) \(message.exchange) \(message.routingKey) \(String(decoding: message.body))")
        }
        let back = BasicReturn(replyCode: 312, replyText: "NO_ROUTE", exchange: "x", routingKey: "k")
        try consuming.dialogue.say(encoded(.basicReturn(back), body: Array("hi".utf8), channel: 1))
        #expect(returned == ["312 x k hi"])
        try consuming.dialogue.say(encoded(.basicCancel(BasicCancel(consumerTag: "c")), channel: 1))
        #expect(consuming.cancelled)
        #expect(try consuming.dialogue.heard().map(\.method) == [.basicCancelOk(BasicCancelOk(consumerTag: "c"))])
        try consuming.dialogue.say(encoded(Self.deliver(1), body: [1], channel: 1))
        #expect(consuming.messages.isEmpty)
    }

    @Test func aChannelClosedByTheServerLeavesTheOthers() throws {
        let (dialogue, channel) = try Dialogue.open()
        var ended: ClientError?
        channel.onClose = { ended = $0 }
        let close = ChannelClose(replyCode: 404, replyText: "NOT_FOUND - x", classID: 60, methodID: 40)
        try dialogue.say(encoded(.channelClose(close), channel: 1))
        #expect(ended == .channelClosed(CloseReason(code: 404, text: "NOT_FOUND - x", method: BasicPublish.id)))
        #expect(try dialogue.heard().map(\.method.id) == [ChannelCloseOk.id])
        let route = try PublishRoute(routingKey: "k")
        #expect([1].withUnsafeBytes { channel.publish(route, body: $0) } == 0)
        #expect(try dialogue.heard().isEmpty)
        #expect(dialogue.connection.isOpen)
    }

    @Test func longNamesAreRefusedHere() {
        #expect(throws: ClientError.invalid("name of more than 255 octets")) {
            try PublishRoute(routingKey: String(repeating: "x", count: 256))
        }
    }
}

/// Every flush drains the socket.
private final class DrainsInFlush: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    func flush(context: ChannelHandlerContext) {
        context.flush()
        context.fireChannelWritabilityChanged()
    }
}
