public import AMQP
public import NIOCore
import Primitives

/// One connection to a broker. It lives on its event loop.
///
/// Everything that is not `async` must be called on `eventLoop`, and every callback comes there. Output gathers in one
/// buffer and leaves in one write: at the end of the read cycle, else of the loop's tick, or with `flush()`.
public final class AMQPConnection: @unchecked Sendable {
    enum State {
        case connecting
        case negotiating
        case open
        case closing
        case closed(ClientError)
    }

    /// Where the connection lives.
    public let eventLoop: any EventLoop
    /// As given.
    public let settings: ClientSettings

    var state = State.connecting
    var channel: (any Channel)?
    var handshake: ClientHandshake
    var parser: FrameParser
    /// Octets of an incomplete frame.
    var input = ByteBuffer()
    var output = ByteBuffer()
    var isReading = false
    var isFlushScheduled = false
    var heartbeats = HeartbeatMonitor(heartbeatSeconds: 0)
    var housekeeping: RepeatedTask?
    var handshakeTimeout: Scheduled<Void>?
    /// By number; 0 is never used.
    var channels: [AMQPChannel?] = [nil]
    package var openCompletion: ((Result<AMQPConnection, ClientError>) -> Void)?
    var closeCompletions: [() -> Void] = []
    /// What of a half-open connection is worth telling: the reason of `connection.close` before the socket closed.
    var failure: ClientError?

    /// Called once when an open connection ends, after its channels' `onClose`.
    public var onClose: ((ClientError) -> Void)?
    /// `connection.blocked` with its reason, nil for unblocked.
    public var onBlocked: ((String?) -> Void)?
    /// The socket takes output again, or no longer.
    public var onWritabilityChanged: ((Bool) -> Void)?

    package init(settings: ClientSettings, eventLoop: any EventLoop) {
        self.settings = settings
        self.eventLoop = eventLoop
        handshake = ClientHandshake(settings: settings)
        parser = FrameParser(maximumFrameSize: settings.frameMax)
    }

    /// Channels can be opened and used.
    public var isOpen: Bool { if case .open = state { true } else { false } }
    /// False while the socket's output backs up: publishers should wait for `onWritabilityChanged`.
    public var isWritable: Bool { channel?.isWritable ?? false }
    /// What the server said of itself: product, version, cluster name.
    public var serverProperties: FieldTable { handshake.agreement.serverProperties }
    /// The negotiated frame limit in octets.
    public var frameMax: UInt32 { handshake.agreement.frameMax }

    /// Writes what has gathered.
    public func flush() {
        eventLoop.assertInEventLoop()
        guard output.readableBytes > 0, let channel else { return }
        heartbeats.sent = true
        // Whoever hears within the write that the socket takes more may gather and write more.
        var written = output
        output = ByteBuffer()
        channel.writeAndFlush(written, promise: nil)
        guard output.capacity == 0 else { return }
        // Keeps the memory when the socket took all of it at once.
        written.clear(minimumCapacity: 4096)
        output = written
    }

    /// Output was appended: it leaves with the read cycle under way, else with the tick.
    func setNeedsFlush() {
        guard !isReading && !isFlushScheduled else { return }
        isFlushScheduled = true
        eventLoop.execute {
            self.isFlushScheduled = false
            self.flush()
        }
    }

    func send(_ method: Method, channel: UInt16) {
        var writer = ByteWriter(capacity: 128)
        method.encodeFrame(channel: channel, into: &writer)
        writer.withUnsafeBytes { _ = output.writeBytes($0) }
        setNeedsFlush()
    }

    /// Opens a channel.
    ///
    /// - Throws: any `ClientError`; `invalid` when all numbers are taken.
    public func openChannel(_ completion: @escaping (Result<AMQPChannel, ClientError>) -> Void) {
        eventLoop.assertInEventLoop()
        guard case .open = state else {
            completion(.failure(endReason))
            return
        }
        guard let number = freeNumber() else {
            completion(.failure(.invalid("no free channel number")))
            return
        }
        let opened = AMQPChannel(connection: self, number: number)
        channels[Int(number)] = opened
        opened.call(.channelOpen(ChannelOpen()), expecting: ChannelOpenOk.id) { result, _ in
            completion(result.map { _ in opened })
        }
    }

    private func freeNumber() -> UInt16? {
        if let index = channels.indices.dropFirst().first(where: { channels[$0] == nil }) { return UInt16(index) }
        guard channels.count <= Int(handshake.agreement.channelMax) else { return nil }
        channels.append(nil)
        return UInt16(channels.count - 1)
    }

    /// Closes in order: `connection.close`, the answer, the socket. Calls that wait fail with `closed`.
    public func close(_ completion: @escaping () -> Void = {}) {
        eventLoop.assertInEventLoop()
        switch state {
        case .closed: completion()
        case .closing: closeCompletions.append(completion)
        case .open:
            closeCompletions.append(completion)
            state = .closing
            failure = .closed
            send(
                .connectionClose(ConnectionClose(replyCode: 200, replyText: "bye", classID: 0, methodID: 0)), channel: 0
            )
        case .connecting, .negotiating:
            closeCompletions.append(completion)
            end(.closed)
        }
    }

    /// Drops the socket at once, as a client that dies would.
    public func abort() {
        eventLoop.assertInEventLoop()
        end(.closed)
    }

    var endReason: ClientError { if case .closed(let error) = state { error } else { failure ?? .closed } }

    /// The connection is over: everybody who waits learns why.
    func end(_ error: ClientError) {
        if case .closed = state { return }
        let wasOpen: Bool
        switch state {
        case .open, .closing: wasOpen = true
        default: wasOpen = false
        }
        flush()
        state = .closed(error)
        housekeeping?.cancel()
        handshakeTimeout?.cancel()
        let ended = channels
        channels = [nil]
        for channel in ended { channel?.end(error) }
        channel?.close(promise: nil)
        if let completion = openCompletion {
            openCompletion = nil
            completion(.failure(error))
        }
        if wasOpen { onClose?(error) }
        let waiting = closeCompletions
        closeCompletions = []
        for completion in waiting { completion() }
        // Callbacks tend to hold what holds this connection.
        onClose = nil
        onBlocked = nil
        onWritabilityChanged = nil
    }
}
