public import NIOCore
import NIOPosix

extension AMQPConnection {
    /// Takes over a channel that is about to become active.
    package func attach(to channel: any Channel) throws {
        try channel.pipeline.syncOperations.addHandler(ConnectionHandler(self))
    }

    /// Connects, negotiates and opens the virtual host; `completion` comes on `eventLoop`.
    ///
    /// - Throws: `connectFailed`, `refused`, `timedOut`, `connectionLost` or `protocolViolation`.
    public static func connect(
        _ settings: ClientSettings, on eventLoop: any EventLoop,
        completion: @escaping @Sendable (Result<AMQPConnection, ClientError>) -> Void
    ) {
        eventLoop.execute {
            let connection = AMQPConnection(settings: settings, eventLoop: eventLoop)
            connection.openCompletion = completion
            ClientBootstrap(group: eventLoop)
                .connectTimeout(.milliseconds(settings.connectTimeoutMilliseconds))
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .channelOption(
                    .recvAllocator,
                    value: AdaptiveRecvByteBufferAllocator(minimum: 4096, initial: 16384, maximum: 262_144)
                )
                .channelOption(.writeBufferWaterMark, value: .init(low: 256 << 10, high: 1 << 20))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try connection.attach(to: channel)
                    }
                }
                .connect(host: settings.host, port: settings.port)
                .whenFailure { error in connection.end(.connectFailed("\(error)")) }
        }
    }

    /// Connects, negotiates and opens the virtual host.
    ///
    /// - Throws: as the other form.
    public static func connect(
        _ settings: ClientSettings, on eventLoop: any EventLoop
    ) async throws(ClientError) -> AMQPConnection {
        let result = await withCheckedContinuation { continuation in
            connect(settings, on: eventLoop) { continuation.resume(returning: $0) }
        }
        return try result.get()
    }

    /// Opens a channel.
    ///
    /// - Throws: any `ClientError`.
    public func openChannel() async throws(ClientError) -> AMQPChannel {
        let result = await withCheckedContinuation { continuation in
            eventLoop.execute { self.openChannel { continuation.resume(returning: $0) } }
        }
        return try result.get()
    }

    /// Closes in order and waits until the socket is closed too.
    public func close() async {
        await withCheckedContinuation { continuation in
            eventLoop.execute { self.close { continuation.resume() } }
        }
    }

    /// Sets the callbacks from outside of the loop.
    public func onLoop<R: Sendable>(_ body: @escaping @Sendable (AMQPConnection) -> R) async -> R {
        await withCheckedContinuation { continuation in
            eventLoop.execute { continuation.resume(returning: body(self)) }
        }
    }
}
