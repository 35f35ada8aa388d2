import AMQP
import Broker
import NIOCore
import NIOEmbedded
import Primitives
import QuorumQueue
import Testing

@Suite struct ClientHandlerTests {
    private let cluster: FakeCluster
    private let channel: EmbeddedChannel

    init() throws {
        var configuration = BrokerConfiguration()
        configuration.loopbackUsers = []
        cluster = FakeCluster(configuration: configuration)
        channel = EmbeddedChannel(handler: ClientHandler(broker: cluster[1].broker))
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 5_672)).wait()
    }

    /// Everything written to the socket since.
    private func output() throws -> [UInt8] {
        cluster.run()
        var bytes: [UInt8] = []
        while let buffer = try channel.readOutbound(as: ByteBuffer.self) { bytes += buffer.readableBytesView }
        return bytes
    }

    /// What a client says from the protocol header to `count` publishes to the queue `q`.
    private func conversation(publishes count: Int, size: Int) -> [UInt8] {
        var writer = ByteWriter()
        writer.write(ProtocolHeader.octets)
        Method.connectionStartOk(ConnectionStartOk(clientProperties: [:], response: Bytes("\0guest\0guest")))
            .encodeFrame(channel: 0, into: &writer)
        Method.connectionTuneOk(ConnectionTuneOk(frameMax: 8_192)).encodeFrame(channel: 0, into: &writer)
        Method.connectionOpen(ConnectionOpen()).encodeFrame(channel: 0, into: &writer)
        Method.channelOpen(ChannelOpen()).encodeFrame(channel: 1, into: &writer)
        Method.queueDeclare(QueueDeclare(queue: "q")).encodeFrame(channel: 1, into: &writer)
        for number in 0..<count {
            Method.basicPublish(BasicPublish(routingKey: "q")).encodeFrame(channel: 1, into: &writer)
            let body = Bytes([UInt8](repeating: UInt8(truncatingIfNeeded: number), count: size))
            BasicProperties().encoded().withUnsafeBytes { properties in
                body.withUnsafeBytes {
                    writer.writeContent(channel: 1, properties: properties, body: $0, frameMax: 8_192)
                }
            }
        }
        return writer.take().toArray()
    }

    @Test(arguments: [1, 3, 7, 8, 9, 100, 4_096, 65_536])
    func takesInputHoweverItIsCut(_ size: Int) throws {
        let bytes = conversation(publishes: 20, size: size > 9 ? 20_000 : 100)
        var start = 0
        while start < bytes.count {
            let end = min(start + size, bytes.count)
            try channel.writeInbound(ByteBuffer(bytes: bytes[start..<end]))
            cluster.run()
            start = end
        }
        #expect(cluster.queue("q")?.machine.messagesReady == 20)
        #expect(try output().count > 100)
        #expect(channel.isActive)
    }

    @Test func closesTheSocketBehindTheLastWord() throws {
        try channel.writeInbound(ByteBuffer(string: "HELO there"))
        #expect(try output() == ProtocolHeader.octets)
        channel.embeddedEventLoop.run()
        #expect(!channel.isActive)
        #expect(cluster[1].broker.connectionSnapshots().isEmpty)
    }

    /// A socket whose other side does not read: nothing is ever written.
    private final class FullSocket: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer
        private var promises: [EventLoopPromise<Void>] = []

        func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
            if let promise { promises.append(promise) }
        }

        func handlerRemoved(context: ChannelHandlerContext) {
            for promise in promises { promise.fail(ChannelError.ioOnClosedChannel) }
        }
    }

    @Test func aClientThatDoesNotReadIsNotWaitedForWithoutEnd() throws {
        try channel.pipeline.syncOperations.addHandler(FullSocket(), position: .first)
        try channel.writeInbound(ByteBuffer(string: "HELO there"))
        _ = try output()
        let limit = TimeAmount.nanoseconds(Int64(BrokerConfiguration().closeTimeout.nanoseconds))
        channel.embeddedEventLoop.advanceTime(by: limit - .milliseconds(1))
        #expect(channel.isActive)
        channel.embeddedEventLoop.advanceTime(by: .milliseconds(1))
        #expect(!channel.isActive)
        channel.embeddedEventLoop.run()
        #expect(cluster[1].broker.connectionSnapshots().isEmpty)
    }

    @Test func forgetsAClientThatHangsUp() throws {
        try channel.writeInbound(ByteBuffer(bytes: conversation(publishes: 1, size: 10)))
        _ = try output()
        #expect(cluster[1].broker.connectionSnapshots().map(\.state) == ["running"])
        #expect(cluster[1].broker.channelSnapshots().map(\.published) == [1])
        try channel.close().wait()
        channel.embeddedEventLoop.run()
        #expect(cluster[1].broker.connectionSnapshots().isEmpty)
        #expect(cluster[1].broker.channelSnapshots().isEmpty)
    }

    /// A socket that was reset is closed by the very write that finds it out.
    @Test func aWriteThatEndsTheConnectionIsSurvived() throws {
        let reset = ResetOnWrite()
        try channel.pipeline.syncOperations.addHandler(reset, position: .first)
        try channel.writeInbound(ByteBuffer(bytes: conversation(publishes: 1, size: 10)))
        _ = try output()
        #expect(cluster[1].broker.connectionSnapshots().map(\.state) == ["running"])
        reset.isReset = true
        var writer = ByteWriter()
        Method.basicGet(BasicGet(queue: "q")).encodeFrame(channel: 1, into: &writer)
        Method.basicConsume(BasicConsume(queue: "q")).encodeFrame(channel: 1, into: &writer)
        try channel.writeInbound(ByteBuffer(bytes: writer.take().toArray()))
        cluster.run()
        channel.embeddedEventLoop.run()
        cluster.run()
        #expect(!channel.isActive)
        #expect(cluster[1].broker.connectionSnapshots().isEmpty)
        #expect(cluster.queue("q")?.machine.messagesReady == 1)
    }
}

/// A socket whose peer has reset it.
private final class ResetOnWrite: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer
    var isReset = false

    func flush(context: ChannelHandlerContext) {
        if isReset { context.close(promise: nil) } else { context.flush() }
    }
}
