import NIOCore
import NIOPosix
import PeerLink
import Primitives

/// A peer made of nothing but a socket and the handshake, which can die without a farewell.
final class FakePeer: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var handshake: PeerHandshake
    private var reader = PeerFrameReader(limit: PeerFrame.maximumPayload)
    private let kind: PeerConnectionKind
    private let opened: EventLoopPromise<Void>

    init(_ parameters: PeerHandshake.Parameters, opened: EventLoopPromise<Void>) {
        handshake = PeerHandshake(dialling: NodeID(2), parameters)
        kind = parameters.kind
        self.opened = opened
    }

    /// Connects to `port` of 127.0.0.2; the channel is returned once the handshake is done.
    static func connect(
        _ parameters: PeerHandshake.Parameters, port: UInt16, on loop: any EventLoop
    ) async throws -> any Channel {
        let opened = loop.makePromise(of: Void.self)
        let channel = try await ClientBootstrap(group: loop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(FakePeer(parameters, opened: opened))
                }
            }
            .connect(host: "127.0.0.2", port: Int(port)).get()
        try await opened.futureResult.get()
        return channel
    }

    func channelActive(context: ChannelHandlerContext) {
        var buffer = ByteBuffer(bytes: PeerPreamble.bytes(kind))
        buffer.writeBytes(handshake.start().output.toArray())
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let input = unwrapInboundIn(data)
        do {
            for frame in try read(Array(input.readableBytesView), step: max(input.readableBytes, 1), with: &reader) {
                guard frame.kind != .message, frame.kind != .farewell else { continue }
                var step = handshake.receive(frame)
                if case .authenticated = step.outcome { step = handshake.accept(bootstrap: Bytes("fake")) }
                context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: step.output.toArray())), promise: nil)
                switch step.outcome {
                case .established: opened.succeed()
                case .refused(let refusal), .refusedByPeer(let refusal): opened.fail(refusal)
                case .pending, .authenticated: break
                }
            }
        } catch {
            opened.fail(error)
        }
    }

    func channelInactive(context: ChannelHandlerContext) { opened.fail(ChannelError.eof) }
}
