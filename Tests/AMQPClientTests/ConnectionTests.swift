import AMQP
import AMQPClient
import NIOCore
import NIOEmbedded
import Primitives
import Testing

@Suite struct ConnectionTests {
    @Test func heartbeatsAreSentAndMissed() throws {
        let dialogue = try Dialogue(ClientSettings(heartbeat: 2))
        try dialogue.negotiate()
        _ = try dialogue.octets()
        var ended: ClientError?
        dialogue.connection.onClose = { ended = $0 }
        // Negotiation counts as traffic of the first tick, then one second without output.
        dialogue.loop.advanceTime(by: .milliseconds(1_500))
        #expect(try dialogue.octets() == FrameFormat.heartbeat)
        try dialogue.say(FrameFormat.heartbeat)
        dialogue.loop.advanceTime(by: .milliseconds(4_000))
        #expect(ended == nil)
        dialogue.loop.advanceTime(by: .milliseconds(500))
        #expect(ended == .heartbeatMissed && !dialogue.connection.isOpen && !dialogue.channel.isActive)
    }

    @Test func closingByTheServerReachesEverybody() throws {
        let (dialogue, channel) = try Dialogue.open()
        var log: [String] = []
        channel.onClose = { log.append("channel \($0)") }
        dialogue.connection.onClose = { log.append("connection \($0)") }
        channel.confirmSelect { log.append("call \($0)") }
        _ = try dialogue.heard()
        let close = ConnectionClose(replyCode: 320, replyText: "bye", classID: 0, methodID: 0)
        try dialogue.say(encoded(.connectionClose(close), channel: 0))
        let reason = ClientError.connectionClosed(CloseReason(code: 320, text: "bye"))
        #expect(
            log == ["call failure(\(String(reflecting: reason)))", "channel \(reason)", "connection \(reason)"]
                || log == [
                    "call \(Result<Void, ClientError>.failure(reason))", "channel \(reason)", "connection \(reason)",
                ])
        #expect(try dialogue.heard() == [Said(channel: 0, method: .connectionCloseOk(ConnectionCloseOk()))])
        var late: ClientError?
        dialogue.connection.openChannel { if case .failure(let error) = $0 { late = error } }
        #expect(late == reason)
    }

    @Test func closingInOrder() throws {
        let (dialogue, channel) = try Dialogue.open()
        var closed = false
        var channelEnd: ClientError?
        channel.onClose = { channelEnd = $0 }
        dialogue.connection.close { closed = true }
        let said = try dialogue.heard()
        #expect(said.count == 1 && said.first?.method.id == ConnectionClose.id)
        #expect(!closed)
        try dialogue.say(encoded(.connectionCloseOk(ConnectionCloseOk()), channel: 0))
        #expect(closed && channelEnd == .closed && !dialogue.channel.isActive)
    }

    @Test func lateAnswersEndTheConnection() throws {
        let (dialogue, channel) = try Dialogue.open(ClientSettings(heartbeat: 0, replyTimeoutMilliseconds: 2_000))
        var ended: ClientError?
        dialogue.connection.onClose = { ended = $0 }
        var called: ClientError?
        channel.confirmSelect { if case .failure(let error) = $0 { called = error } }
        dialogue.loop.advanceTime(by: .milliseconds(1_999))
        #expect(ended == nil)
        dialogue.loop.advanceTime(by: .milliseconds(501))
        #expect(ended == .timedOut("confirm.select") && called == ended)
    }

    @Test(arguments: [
        (bytes: [1, 0, 9, 0, 0, 0, 0, 0xCE], code: ReplyCode.channelError),
        (bytes: [9, 0, 0, 0, 0, 0, 0, 0xCE], code: .frameError),
        (bytes: [3, 0, 1, 0, 0, 0, 1, 0, 0xCE], code: .unexpectedFrame),
        (bytes: [2, 0, 1, 0, 0, 0, 1, 0, 0xCE], code: .syntaxError),
        (
            bytes: encoded(.queueDeclareOk(QueueDeclareOk(queue: "", messageCount: 0, consumerCount: 0)), channel: 1),
            code: .commandInvalid
        ),
        (bytes: encoded(.basicAck(BasicAck(deliveryTag: 1)), channel: 1), code: .preconditionFailed),
    ]) func violationsCloseWithACode(bytes: [UInt8], code: ReplyCode) throws {
        let (dialogue, _) = try Dialogue.open()
        var ended: ClientError?
        dialogue.connection.onClose = { ended = $0 }
        try dialogue.say(bytes)
        guard case .protocolViolation(let error) = ended else {
            Issue.record("\(String(describing: ended))")
            return
        }
        #expect(error.code == code)
        let said = try dialogue.heard()
        #expect(said.first?.method == .connectionClose(error.connectionClose))
    }

    @Test func blockedIsToldAndChannelNumbersComeBack() throws {
        let (dialogue, channel) = try Dialogue.open()
        var blocked: [String?] = []
        dialogue.connection.onBlocked = { blocked.append($0) }
        try dialogue.say(
            encoded(
                .connectionBlocked(ConnectionBlocked(reason: "disk")), .connectionUnblocked(ConnectionUnblocked()),
                channel: 0))
        #expect(blocked == ["disk", nil])

        var closed = false
        channel.close { if case .success = $0 { closed = true } }
        #expect(try dialogue.heard().map(\.method.id) == [ChannelClose.id])
        #expect(!channel.isOpen)
        try dialogue.say(encoded(.channelCloseOk(ChannelCloseOk()), channel: 1))
        #expect(closed)
        dialogue.connection.openChannel { _ in }
        #expect(try dialogue.heard() == [Said(channel: 1, method: .channelOpen(ChannelOpen()))])
    }

    @Test func crossingChannelCloses() throws {
        let (dialogue, channel) = try Dialogue.open()
        var result: Result<Void, ClientError>?
        channel.close { result = $0 }
        _ = try dialogue.heard()
        let close = ChannelClose(replyCode: 404, replyText: "gone", classID: 60, methodID: 40)
        try dialogue.say(encoded(.channelClose(close), channel: 1))
        guard case .failure(.channelClosed(let reason)) = result else {
            Issue.record("\(String(describing: result))")
            return
        }
        #expect(reason == CloseReason(code: 404, text: "gone", method: BasicPublish.id))
        #expect(try dialogue.heard().map(\.method.id) == [ChannelCloseOk.id])
        // The number is not free until our own close is answered.
        dialogue.connection.openChannel { _ in }
        #expect(try dialogue.heard() == [Said(channel: 2, method: .channelOpen(ChannelOpen()))])
        try dialogue.say(encoded(.channelCloseOk(ChannelCloseOk()), channel: 1))
        dialogue.connection.openChannel { _ in }
        #expect(try dialogue.heard() == [Said(channel: 1, method: .channelOpen(ChannelOpen()))])
    }
}
