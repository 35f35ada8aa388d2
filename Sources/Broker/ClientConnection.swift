package import AMQP
import Logging
import Primitives

/// One client's connection: frames in, frames out, no socket. Its bytes come through `receive` and leave through the
/// transport when the loop flushes.
package final class ClientConnection {
    package enum Stage: Sendable {
        /// Waiting for the protocol header.
        case header
        /// From `connection.start` to `connection.open`.
        case handshake
        case open
        /// Our `connection.close` is out: only its answer matters.
        case closing
        case closed
    }

    /// Bytes of output that are written without waiting for the flush: the copy is then still in the cache, and the
    /// client can begin.
    static let spillSize = 128 << 10
    /// Output memory that is kept from flush to flush, in bytes.
    private static let keptOutput = 512 << 10
    /// Time without output after which that memory is given back.
    private static let outputRest = Interval.seconds(2)

    /// Unique on this node in this incarnation.
    package let id: UInt64
    let broker: BrokerLoop
    let transport: any ConnectionTransport
    package let endpoints: ConnectionEndpoints
    let connectedAt: Instant

    package internal(set) var stage = Stage.header
    var handshake: Handshake
    var parser = FrameParser()
    /// The stream can no longer be cut into frames: what still comes is thrown away.
    private var hasLostFraming = false
    private var closingSince = Instant.zero

    package internal(set) var user = ""
    /// Whether the user may publish in another's name.
    var isImpersonator = false
    package internal(set) var vhost = ""
    package internal(set) var tuning: ConnectionTuning
    var capabilities: ClientCapabilities { handshake.capabilities }
    package var clientProperties: FieldTable { handshake.clientProperties }

    /// By number; 0 is never used.
    private var channels: [ClientChannel?] = []
    package private(set) var channelCount = 0

    /// Frames for the client, not yet handed to the transport.
    var output = ByteWriter()
    private var holdsOutputMemory = false
    /// Listed in `BrokerLoop.dirtyConnections`.
    var isDirty = false
    /// Auto-acknowledged deliveries written to `output` and not settled.
    var autoAcks: [DeliverySource] = []
    /// Channels with confirms to write.
    var confirming: [ClientChannel] = []
    /// Queues too far behind to read more publishes, and channels with too many frames kept back.
    private var readingHolds = 0
    /// Channels that receive a large body which has room.
    var bodiesWithRoom = 0
    /// Not read because of an alarm.
    private(set) var isAlarmed = false
    private(set) var lastReceived: Instant
    private var lastSent: Instant
    /// Exclusive queues were declared: the topology must hear of the end.
    var ownsExclusiveQueues = false

    init(
        id: UInt64, broker: BrokerLoop, transport: any ConnectionTransport, endpoints: ConnectionEndpoints,
        now: Instant
    ) {
        self.id = id
        self.broker = broker
        self.transport = transport
        self.endpoints = endpoints
        connectedAt = now
        lastReceived = now
        lastSent = now
        tuning = ConnectionTuning(
            frameMax: broker.configuration.frameMax, channelMax: broker.configuration.channelMax,
            heartbeat: broker.configuration.heartbeatSeconds)
        handshake = Handshake(offer: tuning)
    }

    // MARK: Input

    /// Takes what the socket brought, from the first unconsumed byte on.
    ///
    /// - Returns: how many bytes are done with; the rest is the beginning of a frame and must come again with more.
    package func receive(_ buffer: UnsafeRawBufferPointer) -> Int {
        lastReceived = broker.now
        if hasLostFraming || stage == .closed { return buffer.count }
        var offset = 0
        if stage == .header {
            switch ProtocolHeader.match(buffer) {
            case .incomplete: return 0
            case .refused:
                refuseProtocol(buffer)
                return buffer.count
            case .accepted:
                offset = ProtocolHeader.octets.count
                stage = .handshake
                send(.connectionStart(Handshake.start(configuration: broker.configuration)), channel: 0)
            }
        }
        do throws(AMQPError) {
            while let frame = try parser.next(buffer, at: &offset) {
                try take(frame, UnsafeRawBufferPointer(rebasing: buffer[frame.payload]))
                if stage == .closed { return buffer.count }
            }
        } catch {
            if error.code == .frameError { hasLostFraming = true }
            fail(error)
            if hasLostFraming || stage == .closed { return buffer.count }
        }
        return offset
    }

    /// How many bytes must follow `rest`, the beginning of a frame, before `receive` can do anything with it; at least
    /// 1.
    package func wanted(after rest: UnsafeRawBufferPointer) -> Int {
        guard stage != .header else { return max(1, ProtocolHeader.octets.count - rest.count) }
        guard rest.count >= FrameFormat.headerLength else { return FrameFormat.headerLength - rest.count }
        let size = Int(UInt32(bigEndian: rest.loadUnaligned(fromByteOffset: 3, as: UInt32.self)))
        return max(1, min(size, Int(tuning.frameMax)) + FrameFormat.overhead - rest.count)
    }

    private func refuseProtocol(_ buffer: UnsafeRawBufferPointer) {
        broker.logger.warning(
            "connection refused: not an AMQP 0-9-1 protocol header",
            metadata: ["connection": "\(endpoints.name)", "octets": "\(Array(buffer.prefix(8)))"])
        output.write(ProtocolHeader.octets)
        finish()
    }

    @inline(__always)
    private func take(_ frame: Frame, _ payload: UnsafeRawBufferPointer) throws(AMQPError) {
        let number = Int(frame.channel)
        if number != 0, number < channels.count, let channel = channels[number], stage == .open {
            do throws(AMQPError) {
                try channel.receive(frame.type, payload)
            } catch {
                guard error.scope == .channel else { throw error }
                channel.fail(error)
            }
        } else {
            try takeRare(frame, payload)
        }
    }

    private func takeRare(_ frame: Frame, _ payload: UnsafeRawBufferPointer) throws(AMQPError) {
        if frame.type == .heartbeat { return }
        if stage == .closing {
            if frame.channel == 0 && frame.type == .method { try takeWhileClosing(try Method(payload: payload)) }
            return
        }
        if frame.channel == 0 {
            guard frame.type == .method else { throw .unexpectedFrame("content on channel 0") }
            let method = try Method(payload: payload)
            if stage == .open { try takeOpen(method) } else { try takeHandshake(method) }
            return
        }
        guard stage == .open else { throw .channel("frame on channel \(frame.channel) before connection.open") }
        // A late answer to a close of ours that crossed one of the client's.
        if frame.type == .method && MethodID.peek(payload) == ChannelCloseOk.id { return }
        guard frame.type == .method, MethodID.peek(payload) == ChannelOpen.id else {
            throw .channel("expected 'channel.open' on channel \(frame.channel)")
        }
        _ = try ChannelOpen(payload: payload)
        try openChannel(frame.channel)
    }

    private func takeWhileClosing(_ method: Method) throws(AMQPError) {
        switch method {
        case .connectionCloseOk: finish()
        case .connectionClose:
            send(.connectionCloseOk(ConnectionCloseOk()), channel: 0)
            finish()
        default: break
        }
    }

    private func takeOpen(_ method: Method) throws(AMQPError) {
        switch method {
        case .connectionClose:
            tearDown()
            send(.connectionCloseOk(ConnectionCloseOk()), channel: 0)
            finish()
        case .connectionUpdateSecret:
            send(.connectionUpdateSecretOk(ConnectionUpdateSecretOk()), channel: 0)
        case .connectionBlocked, .connectionUnblocked, .connectionCloseOk: break
        default:
            guard method.id.classID == ConnectionClose.id.classID else {
                throw AMQPError(.channelError, "method on channel 0", method: method.id)
            }
            throw AMQPError(.commandInvalid, "unexpected method", method: method.id)
        }
    }

    // MARK: Channels

    private func openChannel(_ number: UInt16) throws(AMQPError) {
        guard number <= tuning.channelMax else {
            throw AMQPError(
                .notAllowed,
                "channel number \(number) is above the negotiated channel_max (\(tuning.channelMax))",
                method: ChannelOpen.id)
        }
        while channels.count <= Int(number) { channels.append(nil) }
        let channel = ClientChannel(number: number, serial: broker.nextSerial(), connection: self)
        channels[Int(number)] = channel
        channelCount += 1
        broker.register(channel)
        send(.channelOpenOk(ChannelOpenOk()), channel: number)
    }

    /// A channel has ended on both sides: its number may be opened again.
    func forget(_ channel: ClientChannel) {
        let number = Int(channel.number)
        guard number < channels.count, channels[number] === channel else { return }
        channels[number] = nil
        channelCount -= 1
    }

    /// The channels in order of their numbers.
    package var openChannels: [ClientChannel] { channels.compactMap { $0 } }

    // MARK: Output

    /// Appends a method frame.
    func send(_ method: Method, channel: UInt16) {
        method.encodeFrame(channel: channel, into: &output)
        markDirty()
    }

    /// Makes sure that the next flush looks at this connection.
    @inline(__always)
    func markDirty() {
        if !isDirty { broker.enlist(self) }
    }

    /// Hands everything over to the transport. Called by the loop's flush.
    func flush() {
        isDirty = false
        if !confirming.isEmpty {
            for channel in confirming { channel.writeConfirms() }
            confirming.removeAll(keepingCapacity: true)
        }
        spill()
        if stage == .closed {
            transport.close()
        } else {
            settleAutoAcks()
        }
    }

    /// Hands the output over to the transport.
    func spill() {
        guard !output.isEmpty else { return }
        output.withUnsafeBytes { transport.write($0) }
        if output.count > ClientConnection.keptOutput { output = ByteWriter() } else { output.removeAll() }
        holdsOutputMemory = true
        lastSent = broker.now
    }

    /// The socket keeps up again: the next flush settles what it took.
    package func becameWritable() {
        if !autoAcks.isEmpty { markDirty() }
    }

    /// The socket keeps up: what it took is settled.
    package func settleAutoAcks() {
        guard !autoAcks.isEmpty && transport.isWritable else { return }
        // A queue in this node's memory answers with the next deliveries, which list themselves again.
        var settling: [DeliverySource] = []
        swap(&settling, &autoAcks)
        for source in settling { source.settleWritten() }
        settling.removeAll(keepingCapacity: true)
        if autoAcks.isEmpty { swap(&settling, &autoAcks) }
    }

    // MARK: Reading

    /// Stops reading until as many `releaseReading` have come.
    func holdReading() {
        readingHolds += 1
        if readingHolds == 1 { transport.setReading(false) }
    }

    func releaseReading() {
        precondition(readingHolds > 0)
        readingHolds -= 1
        if readingHolds == 0 && stage != .closed { transport.setReading(true) }
    }

    /// The connection published under an alarm.
    func blockForAlarm(_ reason: String) {
        guard !isAlarmed else { return }
        isAlarmed = true
        holdReading()
        if capabilities.connectionBlocked {
            send(.connectionBlocked(ConnectionBlocked(reason: reason)), channel: 0)
        }
    }

    func alarmCleared() {
        guard isAlarmed else { return }
        isAlarmed = false
        releaseReading()
        if stage == .open && capabilities.connectionBlocked {
            send(.connectionUnblocked(ConnectionUnblocked()), channel: 0)
        }
    }

    // MARK: Ending

    /// Closes the connection for a reason.
    package func fail(_ error: AMQPError) {
        guard stage != .closed && stage != .closing else { return }
        broker.logger.warning(
            "connection closed: \(error.replyText)",
            metadata: ["connection": "\(endpoints.name)", "code": "\(error.code.rawValue)", "user": "\(user)"])
        let explains = stage == .open || (stage == .handshake && handshake.mayExplain)
        tearDown()
        guard explains else {
            finish()
            return
        }
        send(.connectionClose(error.connectionClose), channel: 0)
        stage = .closing
        closingSince = broker.now
        // The client's answer has to be read.
        alarmCleared()
    }

    /// The node stops.
    func shutDown(_ reason: String) { fail(AMQPError(.connectionForced, reason)) }

    /// The socket is gone.
    package func disconnected() {
        tearDown()
        stage = .closed
        output.removeAll()
        broker.forget(self)
    }

    /// Everything is said: the socket closes once it is written.
    func finish() {
        tearDown()
        stage = .closed
        markDirty()
    }

    private func tearDown() {
        guard stage == .open else { return }
        for channel in openChannels { channel.end() }
        channels.removeAll()
        channelCount = 0
        autoAcks.removeAll()
        confirming.removeAll()
        if ownsExclusiveQueues {
            ownsExclusiveQueues = false
            broker.connectionGone(id)
        }
    }

    // MARK: Time

    /// Heartbeats and time limits. Called about twice a second.
    func tick(now: Instant) {
        switch stage {
        case .header, .handshake:
            guard now - connectedAt > broker.configuration.handshakeTimeout else { return }
            broker.logger.warning("handshake timeout", metadata: ["connection": "\(endpoints.name)"])
            finish()
        case .closing:
            if now - closingSince > broker.configuration.closeTimeout { finish() }
        case .open:
            for channel in channels { channel?.tick(now: now) }
            if holdsOutputMemory && output.isEmpty && now - lastSent > ClientConnection.outputRest {
                holdsOutputMemory = false
                output = ByteWriter()
            }
            beat(now: now)
        case .closed: break
        }
    }

    /// The client counts as heard at `now`.
    func excuseSilence(_ now: Instant) { lastReceived = now }

    private func beat(now: Instant) {
        guard tuning.heartbeat > 0 else { return }
        let half = Interval.milliseconds(UInt64(tuning.heartbeat) * 500)
        if now - lastSent >= half {
            output.writeHeartbeat()
            markDirty()
        }
        // While we do not read, silence says nothing.
        if readingHolds > 0 { excuseSilence(now) }
        guard now - lastReceived > half * 4 else { return }
        broker.logger.warning(
            "missed heartbeats from client",
            metadata: ["connection": "\(endpoints.name)", "timeout": "\(tuning.heartbeat)s"])
        finish()
    }
}
