import Logging
package import NIOCore
import Primitives

/// The socket of one client's connection: parses in place, keeps the beginning of an unfinished frame, holds reading.
package final class ClientHandler: ChannelDuplexHandler, ConnectionTransport {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// Bytes of write buffer that are kept.
    private static let keptBuffer = 1 << 20

    private let broker: BrokerLoop
    private var connection: ClientConnection?
    private var context: ChannelHandlerContext?
    /// What `ClientConnection.receive` left over: less than one frame.
    private var rest: ByteBuffer?
    private var isReading = true
    /// NIO asked to read while reading was held.
    private var owesRead = false
    private var isClosing = false

    package init(broker: BrokerLoop) { self.broker = broker }

    // MARK: Channel events

    package func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    package func channelActive(context: ChannelHandlerContext) {
        let peer = context.channel.remoteAddress
        let local = context.channel.localAddress
        let endpoints = ConnectionEndpoints(
            peerHost: peer?.ipAddress ?? "unknown", peerPort: peer?.port ?? 0, host: local?.ipAddress ?? "unknown",
            port: local?.port ?? 0, isLoopback: ClientHandler.isLoopback(peer))
        connection = broker.accept(transport: self, endpoints: endpoints)
        if connection == nil { context.close(promise: nil) }
        context.fireChannelActive()
    }

    private static func isLoopback(_ address: SocketAddress?) -> Bool {
        guard let host = address?.ipAddress else { return false }
        return host == "::1" || host.hasPrefix("127.") || host.hasPrefix("::ffff:127.")
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        guard let connection, !isClosing else { return }
        while var whole = rest {
            // The unfinished frame is completed and nothing more, so that all others are parsed where they are.
            rest = nil
            let count = min(whole.withUnsafeReadableBytes { connection.wanted(after: $0) }, buffer.readableBytes)
            buffer.readWithUnsafeReadableBytes { bytes in
                whole.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
                return count
            }
            let consumed = whole.withUnsafeReadableBytes { connection.receive($0) }
            whole.moveReaderIndex(forwardBy: consumed)
            if whole.readableBytes > 0 { rest = whole }
            if buffer.readableBytes == 0 { return }
        }
        let consumed = buffer.withUnsafeReadableBytes { connection.receive($0) }
        buffer.moveReaderIndex(forwardBy: consumed)
        guard buffer.readableBytes > 0 else { return }
        // Copied out, so that a few bytes do not keep a whole read buffer.
        var left = context.channel.allocator.buffer(capacity: max(buffer.readableBytes * 2, 2_048))
        left.writeBuffer(&buffer)
        rest = left
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        // Often in the middle of a write of ours: what follows has to wait for the next flush.
        if context.channel.isWritable { connection?.becameWritable() }
        context.fireChannelWritabilityChanged()
    }

    package func channelInactive(context: ChannelHandlerContext) {
        // Often in the middle of a write of ours: a socket that was reset is closed by the write that finds it out.
        if let connection {
            let bound = NIOLoopBound(connection, eventLoop: context.eventLoop)
            context.eventLoop.execute { bound.value.disconnected() }
        }
        connection = nil
        context.fireChannelInactive()
    }

    package func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        broker.logger.debug("socket error: \(error)", metadata: ["connection": "\(connection?.endpoints.name ?? "")"])
        context.close(promise: nil)
    }

    package func read(context: ChannelHandlerContext) {
        if isReading {
            context.read()
        } else {
            owesRead = true
        }
    }

    // MARK: ConnectionTransport

    package func write(_ bytes: UnsafeRawBufferPointer) {
        guard let context, !isClosing else { return }
        broker.outgoing.clear(minimumCapacity: bytes.count)
        broker.outgoing.writeBytes(bytes)
        context.writeAndFlush(wrapOutboundOut(broker.outgoing), promise: nil)
        if bytes.count > ClientHandler.keptBuffer { broker.outgoing = ByteBuffer() }
    }

    package var isWritable: Bool { context?.channel.isWritable ?? false }

    package func setReading(_ isOn: Bool) {
        isReading = isOn
        guard isOn, owesRead, let context else { return }
        owesRead = false
        context.read()
    }

    package func close() {
        guard let context, !isClosing else { return }
        isClosing = true
        // Behind everything written: an empty write completes when all before it has.
        let promise = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(wrapOutboundOut(context.channel.allocator.buffer(capacity: 0)), promise: promise)
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        // A client that does not read would never let go of what is written to it.
        let patience = TimeAmount.nanoseconds(Int64(clamping: broker.configuration.closeTimeout.nanoseconds))
        let limit = context.eventLoop.scheduleTask(in: patience) { bound.value.close(promise: nil) }
        promise.futureResult.whenComplete { _ in
            limit.cancel()
            bound.value.close(promise: nil)
        }
    }
}
