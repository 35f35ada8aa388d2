import AMQP
import Primitives
import Testing

/// Frames as pika 1.4 writes them: an encoder that was not made here.
@Suite struct GoldenTests {
    @Test(
        arguments: [
            (
                "01000100000012003c00280000046c6f677305612e622e6301ce",
                1, Method.basicPublish(BasicPublish(exchange: "logs", routingKey: "a.b.c", mandatory: true))
            ),
            (
                "010003000000410032000a00000b7461736b5f7175657565310a0000002a0c782d71756575652d747970655300000006"
                    + "71756f72756d"
                    + "0c782d6d61782d6c656e67746849000186a0ce",
                3,
                .queueDeclare(
                    QueueDeclare(
                        queue: "task_queue1", durable: true, autoDelete: true,
                        arguments: ["x-queue-type": "quorum", "x-max-length": 100_000]))
            ),
            (
                "01000000000051000a000b0000002d0770726f647563745300000001780c6361706162696c6974696573460000000d0a"
                    + "62617369632e"
                    + "6e61636b740105504c41494e0000000c00677565737400677565737405656e5f5553ce",
                0,
                .connectionStartOk(
                    ConnectionStartOk(
                        clientProperties: ["product": "x", "capabilities": .table(["basic.nack": true])],
                        response: Bytes("\0guest\0guest")))
            ),
            (
                "0100000000000c000a001e07ff00020000003cce",
                0, .connectionTune(ConnectionTune(channelMax: 2047, frameMax: 131_072, heartbeat: 60))
            ),
            (
                "01ffff0000000d003c0078000001000000000001ce",
                65535, .basicNack(BasicNack(deliveryTag: 1 << 40, multiple: true, requeue: false))
            ),
            (
                "01000900000030001400280194254e4f545f464f554e44202d206e6f2071756575652027712720696e2076686f737420"
                    + "272f27003c0014"
                    + "ce",
                9,
                .channelClose(AMQPError(.notFound, "no queue 'q' in vhost '/'", method: BasicConsume.id).channelClose)
            ),
            (
                "0100020000001c003c003c0763746167312e30000000000000000701000568656c6c6fce",
                2,
                .basicDeliver(
                    BasicDeliver(
                        consumerTag: "ctag1.0", deliveryTag: 7, redelivered: true, exchange: "", routingKey: "hello"))
            ),
        ] as [(String, UInt16, Method)])
    func methods(wire: String, channel: UInt16, expected: Method) throws {
        let frame = try #require(try frames(bytes(wire)).first)
        #expect(frame.channel == channel)
        #expect(try method(frame.payload) == expected)
        #expect(hex(written { expected.encodeFrame(channel: channel, into: &$0) }) == wire)
    }

    static let header =
        "020001000000b4003c00000000000000003039fffc0a746578742f706c61696e057574662d380000006c01735300000002c3a9016949ff"
        + "fffffb016c6c000001000000000001627401016e560161410000001453000000017849000000014600000004016b7400"
        + "01744600000008"
        + "02696e46000000000262797800000002ff0002747354000000005e0d5da503646563440200"
        + "00013a020501630172053630303030016d000000006553f10001740567756573740361707002636cce"

    static var properties: BasicProperties {
        var properties = BasicProperties()
        properties.contentType = "text/plain"
        properties.contentEncoding = "utf-8"
        properties.headers = [
            "s": "é", "i": -5, "l": .int64(1 << 40), "b": true, "n": .void,
            "a": .array(["x", 1, .table(["k": false])]),
            "t": .table(["in": .table([:])]), "by": .bytes(Bytes([0xff, 0])), "ts": .timestamp(1_577_934_245),
            "dec": .decimal(scale: 2, value: 314),
        ]
        properties.deliveryMode = 2
        properties.priority = 5
        properties.correlationID = "c"
        properties.replyTo = "r"
        properties.expiration = "60000"
        properties.messageID = "m"
        properties.timestamp = 1_700_000_000
        properties.type = "t"
        properties.userID = "guest"
        properties.appID = "app"
        properties.clusterID = "cl"
        return properties
    }

    @Test func contentHeaderWithEveryProperty() throws {
        let frame = try #require(try frames(bytes(Self.header)).first)
        #expect(frame.type == .header)
        try frame.payload.withUnsafeBytes { payload throws in
            let header = try ContentHeader(payload: payload)
            #expect(header.bodySize == 12345 && header.classID == 60)
            #expect(try BasicProperties(decoding: header.properties) == Self.properties)
            #expect(Self.properties.encoded() == Bytes(copying: header.properties))
        }
    }

    @Test func bodyAndHeartbeat() throws {
        #expect(
            try frames(bytes("0300010000000568656c6c6fce")) == [
                OwnedFrame(type: .body, channel: 1, payload: Array("hello".utf8))
            ])
        #expect(written { $0.writeHeartbeat() } == bytes("08000000000000ce"))
    }
}
