import AMQP
import NIOCore
import NIOPosix
import Primitives

/// A server on the loopback interface that plays a queue: one list of bodies, confirmed and delivered as they come.
final class ScriptedServer: Sendable {
    let channel: any Channel
    var port: Int { channel.localAddress?.port ?? 0 }

    init(group: any EventLoopGroup) async throws {
        channel = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ScriptedSession())
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }
}

/// One client of the scripted server.
private final class ScriptedSession: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var input: [UInt8] = []
    private var sawHeader = false
    private var published: UInt64 = 0
    private var waiting: [[UInt8]] = []
    private var consumer: String?
    private var delivered: UInt64 = 0
    private var unacknowledged = 0

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        input += Array(unwrapInboundIn(data).readableBytesView)
        if !sawHeader {
            guard input.count >= 8 else { return }
            guard Array(input.prefix(8)) == ProtocolHeader.octets else {
                context.close(promise: nil)
                return
            }
            input.removeFirst(8)
            sawHeader = true
            say(encoded(Dialogue.start, channel: 0), context)
        }
        var offset = 0
        guard let said = try? methods(input, from: &offset), complete(said) else { return }
        input.removeFirst(offset)
        for said in said.compactMap({ $0 }) { answer(said, context) }
        deliver(context)
    }

    /// Contents are taken whole: a publish whose body is not there yet waits for more input.
    private func complete(_ said: [Said?]) -> Bool {
        guard let last = said.last ?? nil, last.method.hasContent else { return true }
        return (last.body?.count ?? -1) >= ScriptedSession.bodySize
    }

    static let bodySize = 20_000

    private func answer(_ said: Said, _ context: ChannelHandlerContext) {
        switch said.method {
        case .connectionStartOk(let ok):
            guard ok.response == Bytes("\0guest\0guest") else {
                let refusal = AMQPError(.accessRefused, "no", scope: .connection)
                say(encoded(.connectionClose(refusal.connectionClose), channel: 0), context)
                return
            }
            say(
                encoded(.connectionTune(ConnectionTune(channelMax: 9, frameMax: 8192, heartbeat: 60)), channel: 0),
                context)
        case .connectionTuneOk, .connectionCloseOk, .channelCloseOk: break
        case .connectionOpen: say(encoded(.connectionOpenOk(ConnectionOpenOk()), channel: 0), context)
        case .connectionClose: say(encoded(.connectionCloseOk(ConnectionCloseOk()), channel: 0), context)
        case .channelOpen: say(encoded(.channelOpenOk(ChannelOpenOk()), channel: said.channel), context)
        case .confirmSelect: say(encoded(.confirmSelectOk(ConfirmSelectOk()), channel: said.channel), context)
        case .basicQos: say(encoded(.basicQosOk(BasicQosOk()), channel: said.channel), context)
        case .queueDeclare(let declare):
            let ok = QueueDeclareOk(
                queue: declare.queue, messageCount: UInt32(waiting.count), consumerCount: consumer == nil ? 0 : 1)
            say(encoded(.queueDeclareOk(ok), channel: said.channel), context)
        case .queueDelete:
            say(
                encoded(.queueDeleteOk(QueueDeleteOk(messageCount: UInt32(waiting.count))), channel: said.channel),
                context)
        case .basicConsume(let consume):
            consumer = consume.consumerTag
            say(
                encoded(.basicConsumeOk(BasicConsumeOk(consumerTag: consume.consumerTag)), channel: said.channel),
                context)
        case .basicGet: say(encoded(.basicGetEmpty(BasicGetEmpty()), channel: said.channel), context)
        case .basicPublish:
            published += 1
            waiting.append(said.body ?? [])
            say(encoded(.basicAck(BasicAck(deliveryTag: published)), channel: said.channel), context)
        case .basicAck(let ack): unacknowledged = Int(delivered - ack.deliveryTag)
        default:
            let close = AMQPError(.notImplemented, said.method.name, method: said.method.id, scope: .channel)
            say(encoded(.channelClose(close.channelClose), channel: said.channel), context)
        }
    }

    private func deliver(_ context: ChannelHandlerContext) {
        guard let consumer else { return }
        for body in waiting {
            delivered += 1
            unacknowledged += 1
            let deliver = BasicDeliver(consumerTag: consumer, deliveryTag: delivered, exchange: "", routingKey: "q")
            say(encoded(.basicDeliver(deliver), body: body, channel: 1, frameMax: 8192), context)
        }
        waiting = []
    }

    private func say(_ bytes: [UInt8], _ context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
    }
}
