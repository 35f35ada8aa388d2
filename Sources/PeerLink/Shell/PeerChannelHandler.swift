import NIOCore
import Primitives

/// One data connection: parses frames in place as they arrive, and gathers what is sent until the flush.
final class PeerChannelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Phase {
        case handshake(PeerHandshake)
        case open(AuthenticatedPeer)
        case closed
    }

    /// A buffer is given to the channel at this size, so that none grows by copying; the flush writes them together.
    private static let bufferSize = 256 << 10
    /// Chunks encoded and not taken by the socket: what a large message costs beside itself.
    private static let chunkWindow = 4

    private unowned let owner: PeerLinks
    /// Whom we dialled; nil for an accepted connection.
    let target: NodeID?
    let startedAt = MonotonicClock.now()
    private var phase: Phase
    private var reader = PeerFrameReader(limit: PeerFrame.maximumUnauthenticatedPayload)
    private var assembler: PeerMessageAssembler
    private var farewell: PeerFarewell?
    private var trouble: String?
    private var timeout: Scheduled<Void>?
    private var context: ChannelHandlerContext?
    private var pending = ByteBuffer()
    /// Bytes of `pending` and of what was written since the last flush.
    private var unflushed = 0
    /// A message too large for one frame, and what was sent behind it.
    private var backlog = PeerBacklog()
    private var chunksOut = 0
    /// The backlog was above the high-water mark, and has not fallen to half of it.
    private var isHeldUp = false
    private(set) var bytesSent: UInt64 = 0
    private(set) var bytesReceived: UInt64 = 0

    init(owner: PeerLinks, target: NodeID?, handshake: PeerHandshake, messageLimit: Int) {
        self.owner = owner
        self.target = target
        phase = .handshake(handshake)
        assembler = PeerMessageAssembler(limit: messageLimit)
    }

    /// The authenticated far side of an open connection.
    var peer: AuthenticatedPeer? {
        if case .open(let peer) = phase { return peer }
        return nil
    }

    var remoteHost: String? { context?.channel.remoteAddress?.ipAddress }

    // MARK: - Sending

    /// Bytes that wait for the socket.
    var bufferedBytes: Int {
        guard let context else { return 0 }
        let written = try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)
        return pending.readableBytes + backlog.byteCount + (written ?? 0)
    }

    /// Whether more than the high-water mark waits.
    var isBackedUp: Bool {
        guard let context else { return false }
        return !context.channel.isWritable || isHeldUp
            || pending.readableBytes > owner.configuration.limits.backedUpBytes
    }

    /// Gathers one message: `payload` and then `parts`, `count` bytes together. What is large leaves in chunks, as the
    /// socket takes them, and what comes behind it waits for its turn.
    func send(_ payload: Bytes, _ parts: [Bytes], count: Int) {
        if backlog.isEmpty && count <= PeerFrame.wholeMessage {
            encode([payload] + parts, count: count, isContinued: false, total: nil)
            if pending.readableBytes >= PeerChannelHandler.bufferSize { writePending() }
            return
        }
        backlog.append(payload, parts, count: count)
        if backlog.byteCount > owner.configuration.limits.backedUpBytes { isHeldUp = true }
        feed()
    }

    /// Encodes from the backlog while few chunks wait for the socket.
    private func feed() {
        while chunksOut < PeerChannelHandler.chunkWindow, !backlog.isEmpty {
            while pending.readableBytes < PeerFrame.chunkSize,
                let piece = backlog.next(announcesTotal: announcesTotal)
            {
                encode(piece.parts, count: piece.count, isContinued: piece.isContinued, total: piece.total)
            }
            writePending(isChunk: true)
        }
    }

    private var announcesTotal: Bool {
        if case .open(let peer) = phase { return peer.version >= 2 }
        return false
    }

    /// The socket has taken a chunk.
    private func chunkLeft() {
        chunksOut -= 1
        guard case .open(let peer) = phase, let context else { return }
        feed()
        flush()
        guard isHeldUp, backlog.byteCount <= owner.configuration.limits.backedUpBytes / 2 else { return }
        isHeldUp = false
        if context.channel.isWritable { owner.delegate?.linkDrained(peer.identity.node) }
    }

    private func encode(_ parts: [Bytes], count: Int, isContinued: Bool, total: Int?) {
        let size = PeerFrame.headerSize + count + (total == nil ? 0 : PeerMessageAssembler.totalSize)
        pending.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { space in
            let frame = UnsafeMutableRawBufferPointer(rebasing: space[0..<size])
            var offset = PeerFrame.headerSize
            if let total {
                frame.storeBytes(of: UInt32(total).littleEndian, toByteOffset: offset, as: UInt32.self)
                offset += PeerMessageAssembler.totalSize
            }
            for part in parts { PeerChannelHandler.copy(part, into: frame, at: &offset) }
            PeerFrame.seal(frame, kind: .message, isContinued: isContinued, hasTotal: total != nil)
            return size
        }
        unflushed += size
    }

    private static func copy(_ bytes: Bytes, into frame: UnsafeMutableRawBufferPointer, at offset: inout Int) {
        bytes.withUnsafeBytes {
            UnsafeMutableRawBufferPointer(rebasing: frame[offset..<offset + bytes.count]).copyMemory(from: $0)
        }
        offset += bytes.count
    }

    /// Gives the channel what was gathered, and returns it.
    @discardableResult
    private func writePending(isChunk: Bool = false) -> ByteBuffer {
        let gathered = pending
        pending = ByteBuffer()
        guard let context, gathered.readableBytes > 0 else { return gathered }
        bytesSent += UInt64(gathered.readableBytes)
        var promise: EventLoopPromise<Void>?
        if isChunk {
            chunksOut += 1
            let loop = context.eventLoop.assumeIsolated()
            let left = context.eventLoop.makePromise(of: Void.self)
            // The socket's success is reported from within a write or flush; what follows comes after it.
            left.futureResult.assumeIsolated().whenComplete { _ in loop.execute { self.chunkLeft() } }
            promise = left
        }
        context.write(wrapOutboundOut(gathered), promise: promise)
        return gathered
    }

    /// Hands everything gathered to the socket with one system call.
    func flush() {
        guard unflushed > 0 else { return }
        unflushed = 0
        var gathered = writePending()
        context?.flush()
        // The memory is reused, in place if the socket has taken everything.
        if pending.capacity == 0 && gathered.capacity <= 2 * PeerChannelHandler.bufferSize {
            gathered.clear()
            pending = gathered
        }
    }

    private func write(_ bytes: Bytes) {
        guard let context, !bytes.isEmpty else { return }
        var buffer = context.channel.allocator.buffer(capacity: bytes.count)
        bytes.withUnsafeBytes { _ = buffer.writeBytes($0) }
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    }

    // MARK: - Closing

    /// Ends the connection from this side. The owner is not called any more.
    func close(_ farewell: PeerFarewell?) {
        if case .open = phase, let farewell {
            writePending()
            var writer = ByteWriter()
            PeerFrame(kind: .farewell, payload: farewell.encode()).encode(into: &writer)
            write(writer.take())
        }
        phase = .closed
        backlog = PeerBacklog()
        timeout?.cancel()
        context?.close(promise: nil)
    }

    /// The connection is of no use: tells the owner and closes.
    private func fail(_ reason: LinkDownReason, text: String) {
        let phase = phase
        close(.closing)
        switch phase {
        case .handshake: owner.handshakeFailed(self, text)
        case .open(let peer): owner.linkLost(self, peer, reason)
        case .closed: break
        }
    }

    // MARK: - Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        let limit = owner.configuration.limits.handshakeTimeout
        timeout = context.eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(Int64(limit.nanoseconds))) {
            if case .handshake = self.phase { self.fail(.closed, text: "the handshake took too long") }
        }
        if context.channel.isActive { begin() }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timeout?.cancel()
        self.context = nil
    }

    func channelActive(context: ChannelHandlerContext) { begin() }

    private var isBegun = false

    private func begin() {
        guard !isBegun, case .handshake(var handshake) = phase else { return }
        isBegun = true
        let step = handshake.start()
        phase = .handshake(handshake)
        if target != nil { write(Bytes(PeerPreamble.bytes(.data))) }
        write(step.output)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        bytesReceived += UInt64(buffer.readableBytes)
        var failure: PeerFrameFailure?
        buffer.withUnsafeReadableBytes { input in
            do throws(PeerFrameFailure) {
                try process(input)
            } catch {
                failure = error
            }
        }
        if let failure { fail(.malformed(failure), text: "bytes that are no frames: \(failure)") }
    }

    private func process(_ input: UnsafeRawBufferPointer) throws(PeerFrameFailure) {
        let delegate = owner.delegate
        var offset = 0
        while let frame = try reader.next(input, at: &offset) {
            switch phase {
            case .open(let peer): try receive(frame, from: peer, delegate)
            case .handshake(var handshake):
                let step = handshake.receive(frame)
                phase = .handshake(handshake)
                advance(step)
            case .closed: return
            }
        }
    }

    private func receive(
        _ frame: consuming PeerFrame, from peer: AuthenticatedPeer, _ delegate: (any PeerLinksDelegate)?
    ) throws(PeerFrameFailure) {
        switch frame.kind {
        case .message:
            if let message = try assembler.add(frame) { delegate?.received(message, from: peer.identity.node) }
        case .farewell:
            do throws(DecodingFailure) {
                farewell = try PeerFarewell(decoding: frame.payload)
            } catch {
                throw .payload(error)
            }
        default:
            throw .unexpected(frame.kind)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if case .open(let peer) = phase { owner.delegate?.receivedAll(from: peer.identity.node) }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        // It may come from inside a flush; the delegate hears of it afterwards.
        guard case .open = phase, context.channel.isWritable, !isHeldUp else { return }
        context.eventLoop.assumeIsolated().execute {
            if case .open(let peer) = self.phase { self.owner.delegate?.linkDrained(peer.identity.node) }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        trouble = "\(error)"
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        switch farewell {
        case .stopping: fail(.stopping, text: "the peer stops")
        case .closing: fail(.closedByPeer, text: "closed by the peer")
        case nil:
            let text = trouble ?? "closed by the peer"
            fail(.reset(text), text: text)
        }
    }

    // MARK: - Handshake

    private func advance(_ step: HandshakeStep) {
        guard case .handshake(var handshake) = phase else { return }
        var step = step
        if case .authenticated(let peer) = step.outcome {
            if let refusal = owner.refusal(of: peer, on: self) {
                step = handshake.refuse(refusal)
            } else {
                step = handshake.accept(bootstrap: owner.bootstrap)
            }
            phase = .handshake(handshake)
        }
        reader.limit = handshake.frameLimit
        write(step.output)
        switch step.outcome {
        case .pending, .authenticated: break
        case .established(let peer, let bootstrap):
            phase = .open(peer)
            reader.limit = PeerFrame.maximumPayload
            timeout?.cancel()
            owner.linkOpened(self, peer, bootstrap: bootstrap)
        case .refused(let refusal): fail(.closed, text: "refused: \(refusal)")
        case .refusedByPeer(let refusal):
            if refusal.code == .notAdmitted || refusal.code == .retired { owner.notAdmitted(refusal) }
            fail(.closed, text: "refused by the peer: \(refusal)")
        }
    }
}
