import Logging
public import NIOCore
import NIOPosix

extension BrokerLoop {
    /// Listens for AMQP clients on `host:port`, on the broker's own event loop.
    ///
    /// - Returns: the listening channel; the future fails when the address cannot be bound.
    public func listen(host: String, port: Int) -> EventLoopFuture<any Channel> {
        let highWater = configuration.outputHighWater
        let broker = NIOLoopBound(self, eventLoop: eventLoop)
        return ServerBootstrap(group: eventLoop)
            .serverChannelOption(.backlog, value: 1_024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.writeBufferWaterMark, value: .init(low: highWater / 2, high: highWater))
            .childChannelOption(
                .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 2_048, initial: 8_192, maximum: 262_144)
            )
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ClientHandler(broker: broker.value))
                }
            }
            .bind(host: host, port: port)
            .map { channel in
                broker.value.listeners.append(channel)
                broker.value.logger.info("listening for AMQP clients", metadata: ["address": "\(host):\(port)"])
                return channel
            }
    }

    /// Stops taking new connections.
    public func stopListening() {
        for channel in listeners { channel.close(promise: nil) }
        listeners.removeAll()
    }

    /// Tells all clients that the node stops (320) and stops taking new ones. The sockets close once the clients have
    /// answered, or after `closeTimeout`.
    public func shutDown(reason: String = "broker forced connection closure with reason 'shutdown'") {
        stopListening()
        for connection in connections.values.sorted(by: { $0.id < $1.id }) {
            connection.shutDown(reason)
        }
    }
}
