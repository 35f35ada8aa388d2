import AMQP
import NIOCore
import Primitives

extension AMQPConnection {
    func socketReady(_ channel: any Channel) {
        if case .closed = state {
            channel.close(promise: nil)
            return
        }
        self.channel = channel
        state = .negotiating
        output = channel.allocator.buffer(capacity: 4096)
        output.writeBytes(ProtocolHeader.octets)
        flush()
        handshakeTimeout = eventLoop.scheduleTask(in: .milliseconds(settings.connectTimeoutMilliseconds)) {
            self.end(.timedOut("the handshake"))
        }
        housekeeping = eventLoop.scheduleRepeatedTask(
            initialDelay: .milliseconds(HeartbeatMonitor.tickMilliseconds),
            delay: .milliseconds(HeartbeatMonitor.tickMilliseconds)
        ) { _ in self.tick() }
    }

    private func tick() {
        switch heartbeats.tick() {
        case .fine: break
        case .send:
            output.writeBytes(FrameFormat.heartbeat)
            flush()
        case .expired:
            end(.heartbeatMissed)
            return
        }
        guard settings.replyTimeoutMilliseconds > 0 else { return }
        let now = eventLoop.now
        for channel in channels {
            if let late = channel?.overdue(at: now) {
                end(.timedOut(late))
                return
            }
        }
    }

    /// Octets arrived. Whole frames are handled where they lie; the rest waits.
    func received(_ buffer: ByteBuffer) {
        isReading = true
        heartbeats.received = true
        var buffer = buffer
        if input.readableBytes > 0 {
            input.writeBuffer(&buffer)
            buffer = input
            input = ByteBuffer()
        }
        var offset = 0
        do throws(ClientError) {
            try buffer.withUnsafeReadableBytesTyped { bytes throws(ClientError) in
                try self.handleFrames(bytes, from: &offset)
            }
        } catch {
            fail(error)
            return
        }
        buffer.moveReaderIndex(forwardBy: offset)
        if buffer.readableBytes > 0 {
            // A slice would pin the large buffer it came in, and appending to it would copy it anyway.
            input = ByteBuffer(bytes: buffer.readableBytesView)
        }
    }

    func readCycleEnded() {
        isReading = false
        flush()
    }

    private func fail(_ error: ClientError) {
        if case .protocolViolation(let cause) = error {
            send(.connectionClose(cause.connectionClose), channel: 0)
        }
        end(failure ?? error)
    }

    private func handleFrames(_ bytes: UnsafeRawBufferPointer, from offset: inout Int) throws(ClientError) {
        while true {
            if case .closed = state { return }
            guard let frame = try next(bytes, from: &offset) else { return }
            let payload = UnsafeRawBufferPointer(rebasing: bytes[frame.payload])
            switch frame.type {
            case .heartbeat: break
            case .method where frame.channel == 0:
                try handleConnectionMethod(payload)
            case .method, .header, .body:
                let index = Int(frame.channel)
                guard index < channels.count, let channel = channels[index] else {
                    throw .protocolViolation(.channel("frame for channel \(index), which is not open"))
                }
                try violations { () throws(AMQPError) in
                    try channel.handle(frame, payload: payload, in: bytes, offset: &offset)
                }
            }
        }
    }

    private func next(_ bytes: UnsafeRawBufferPointer, from offset: inout Int) throws(ClientError) -> Frame? {
        do throws(AMQPError) {
            return try parser.next(bytes, at: &offset)
        } catch {
            if !handshake.isDone && bytes.count - offset >= 4 && bytes[offset..<offset + 4].elementsEqual("AMQP".utf8) {
                throw .refused(CloseReason(code: 0, text: "the server speaks another version of AMQP"))
            }
            throw .protocolViolation(error)
        }
    }

    private func violations(_ body: () throws(AMQPError) -> Void) throws(ClientError) {
        do throws(AMQPError) {
            try body()
        } catch {
            throw .protocolViolation(error)
        }
    }

    private func handleConnectionMethod(_ payload: UnsafeRawBufferPointer) throws(ClientError) {
        let method: Method
        do throws(AMQPError) {
            method = try Method(payload: payload)
        } catch {
            throw .protocolViolation(error)
        }
        if !handshake.isDone {
            try negotiate(method)
            return
        }
        switch method {
        case .connectionClose(let close):
            send(.connectionCloseOk(ConnectionCloseOk()), channel: 0)
            end(.connectionClosed(CloseReason(close)))
        case .connectionCloseOk:
            end(failure ?? .closed)
        case .connectionBlocked(let blocked): onBlocked?(blocked.reason)
        case .connectionUnblocked: onBlocked?(nil)
        default:
            throw .protocolViolation(
                AMQPError(.commandInvalid, "\(method.name) on an open connection", method: method.id))
        }
    }

    private func negotiate(_ method: Method) throws(ClientError) {
        if case .connectionClose = method { send(.connectionCloseOk(ConnectionCloseOk()), channel: 0) }
        for answer in try handshake.receive(method) {
            send(answer, channel: 0)
            if case .connectionTuneOk(let tuned) = answer {
                parser.maximumFrameSize = tuned.frameMax
                heartbeats = HeartbeatMonitor(heartbeatSeconds: tuned.heartbeat)
            }
        }
        guard handshake.isDone else { return }
        state = .open
        handshakeTimeout?.cancel()
        let completion = openCompletion
        openCompletion = nil
        completion?(.success(self))
    }
}

extension ByteBuffer {
    /// `withUnsafeReadableBytes` that keeps the error's type.
    fileprivate func withUnsafeReadableBytesTyped(
        _ body: (UnsafeRawBufferPointer) throws(ClientError) -> Void
    ) throws(ClientError) {
        let result = withUnsafeReadableBytes { bytes -> Result<Void, ClientError> in
            do throws(ClientError) {
                return .success(try body(bytes))
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }
}

/// Hands the socket's events to the connection.
final class ConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let connection: AMQPConnection

    init(_ connection: AMQPConnection) { self.connection = connection }

    func channelActive(context: ChannelHandlerContext) { connection.socketReady(context.channel) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { connection.received(unwrapInboundIn(data)) }

    func channelReadComplete(context: ChannelHandlerContext) { connection.readCycleEnded() }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        connection.onWritabilityChanged?(context.channel.isWritable)
    }

    func channelInactive(context: ChannelHandlerContext) {
        connection.end(connection.failure ?? .connectionLost("closed by the peer"))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        connection.end(connection.failure ?? .connectionLost("\(error)"))
        context.close(promise: nil)
    }
}
