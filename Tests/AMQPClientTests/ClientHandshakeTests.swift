import AMQP
import AMQPClient
import NIOCore
import NIOEmbedded
import Primitives
import Testing

@Suite struct ClientHandshakeTests {
    @Test func negotiatesAndOpens() throws {
        let dialogue = try Dialogue(ClientSettings(user: "u", password: "p", virtualHost: "v", heartbeat: 7))
        #expect(try dialogue.octets() == ProtocolHeader.octets)
        try dialogue.say(encoded(Dialogue.start, channel: 0))
        let startOk = try #require(try dialogue.heard().first)
        guard case .connectionStartOk(let answer) = startOk.method else {
            Issue.record("\(startOk)")
            return
        }
        #expect(answer.mechanism == "PLAIN" && answer.response == Bytes("\0u\0p"))
        try dialogue.say(
            encoded(.connectionTune(ConnectionTune(channelMax: 0, frameMax: 9000, heartbeat: 60)), channel: 0))
        #expect(
            try dialogue.heard() == [
                Said(
                    channel: 0,
                    method: .connectionTuneOk(
                        ConnectionTuneOk(channelMax: 65535, frameMax: 9000, heartbeat: 7))),
                Said(channel: 0, method: .connectionOpen(ConnectionOpen(virtualHost: "v"))),
            ])
        #expect(dialogue.opened == nil)
        try dialogue.say(encoded(.connectionOpenOk(ConnectionOpenOk()), channel: 0))
        #expect(try dialogue.opened?.get() === dialogue.connection)
        #expect(dialogue.connection.isOpen && dialogue.connection.frameMax == 9000)
        #expect(dialogue.connection.serverProperties["product"] == "fake")
    }

    func failure(_ dialogue: Dialogue) -> ClientError? {
        if case .failure(let error) = dialogue.opened { error } else { nil }
    }

    @Test func refusalsAreTyped() throws {
        let dialogue = try Dialogue()
        try dialogue.say(encoded(Dialogue.start, channel: 0))
        let close = ConnectionClose(replyCode: 403, replyText: "ACCESS_REFUSED - x", classID: 0, methodID: 0)
        try dialogue.say(encoded(.connectionClose(close), channel: 0))
        #expect(failure(dialogue) == .refused(CloseReason(code: 403, text: "ACCESS_REFUSED - x")))
        #expect(try dialogue.octets().suffix(12) == encoded(.connectionCloseOk(ConnectionCloseOk()), channel: 0))
        #expect(!dialogue.channel.isActive)
    }

    @Test func anotherVersionIsARefusal() throws {
        let dialogue = try Dialogue()
        try dialogue.say(Array("AMQP".utf8) + [3, 1, 0, 0])
        #expect(failure(dialogue) == .refused(CloseReason(code: 0, text: "the server speaks another version of AMQP")))
    }

    @Test func noPlainIsARefusal() throws {
        let dialogue = try Dialogue()
        let start = ConnectionStart(serverProperties: [:], mechanisms: Bytes("EXTERNAL"))
        try dialogue.say(encoded(.connectionStart(start), channel: 0))
        guard case .refused = failure(dialogue) else {
            Issue.record("\(String(describing: dialogue.opened))")
            return
        }
    }

    @Test func silenceTimesOut() throws {
        let dialogue = try Dialogue(ClientSettings(connectTimeoutMilliseconds: 5_000))
        dialogue.loop.advanceTime(by: .milliseconds(4_999))
        #expect(dialogue.opened == nil)
        dialogue.loop.advanceTime(by: .milliseconds(1))
        #expect(failure(dialogue) == .timedOut("the handshake"))
    }

    @Test func aSocketClosedByTheServerIsALoss() throws {
        let dialogue = try Dialogue()
        dialogue.channel.close(promise: nil)
        dialogue.loop.run()
        #expect(failure(dialogue) == .connectionLost("closed by the peer"))
    }

    @Test func methodsOutOfOrderAreViolations() throws {
        let dialogue = try Dialogue()
        try dialogue.say(encoded(.connectionTune(ConnectionTune()), channel: 0))
        guard case .protocolViolation(let error) = failure(dialogue) else {
            Issue.record("\(String(describing: dialogue.opened))")
            return
        }
        #expect(error.code == .commandInvalid)
    }
}
