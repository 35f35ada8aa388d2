import AMQP
import AMQPClient
import NIOCore
import NIOPosix
import Primitives
import Testing

@Suite struct LoopbackTests {
    @Test func publishConfirmConsumeAckOverASocket() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let server = try await ScriptedServer(group: group)
        // The scripted server sends no heartbeats, and the test may take long beside others.
        let settings = ClientSettings(port: server.port, heartbeat: 0)
        let connection = try await AMQPConnection.connect(settings, on: group.next())
        let channel = try await connection.openChannel()
        #expect(try await channel.declareQueue("q").queue == "q")
        try await channel.qos(prefetchCount: 100)
        try await channel.confirmSelect()
        let (stream, continuation) = AsyncStream.makeStream(of: Message.self)
        _ = try await channel.consume("q") { delivery in
            continuation.yield(Message(delivery))
            channel.ack(delivery.deliveryTag)
        }
        #expect(try await channel.get("other") == nil)

        let route = try PublishRoute(routingKey: "q")
        var received: [Bytes] = []
        var incoming = stream.makeAsyncIterator()
        for round in 0..<20 {
            let body = Bytes([UInt8](repeating: UInt8(round), count: 20_000))
            #expect(try await channel.publishConfirmed(route, body: body))
            if let message = await incoming.next() { received.append(message.body) }
        }
        #expect(received == (0..<20).map { Bytes([UInt8](repeating: UInt8($0), count: 20_000)) })

        await #expect(throws: ClientError.self) { try await channel.recover() }
        await #expect(throws: ClientError.self) { try await channel.declareQueue("q") }
        let another = try await connection.openChannel()
        #expect(try await another.deleteQueue("q") == 0)
        await connection.close()
        await #expect(throws: ClientError.closed) { try await connection.openChannel() }
        try await server.channel.close().get()
        try await group.shutdownGracefully()
    }

    @Test func refusalsOverASocket() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let server = try await ScriptedServer(group: group)
        let settings = ClientSettings(port: server.port, password: "wrong")
        let refused = await #expect(throws: ClientError.self) {
            try await AMQPConnection.connect(settings, on: group.next())
        }
        guard case .refused(let reason) = refused else {
            Issue.record("\(String(describing: refused))")
            return
        }
        #expect(reason.code == 403)
        let port = server.port
        try await server.channel.close().get()
        let failed = await #expect(throws: ClientError.self) {
            try await AMQPConnection.connect(ClientSettings(port: port), on: group.next())
        }
        guard case .connectFailed = failed else {
            Issue.record("\(String(describing: failed))")
            return
        }
        try await group.shutdownGracefully()
    }
}
