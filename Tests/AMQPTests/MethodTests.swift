import AMQP
import Primitives
import Testing

@Suite struct MethodTests {
    @Test func everyMethodIsThereOnce() {
        #expect(Set(everyMethod.map(\.id)).count == 66)
        #expect(Set(everyMethod.map(\.name)).count == 66)
        #expect(
            Set(everyMethod.filter(\.hasContent).map(\.name)) == [
                "basic.publish", "basic.return", "basic.deliver", "basic.get-ok",
            ])
    }

    @Test func everyMethodComesBack() throws {
        for original in everyMethod {
            let wire = written { original.encodeFrame(channel: 0x1234, into: &$0) }
            let frame = try #require(try frames(wire).first)
            #expect(frame.type == .method && frame.channel == 0x1234)
            #expect(try method(frame.payload) == original)
        }
    }

    @Test func everyTruncationAndExtensionIsASyntaxError() {
        for original in everyMethod {
            let payload = Array(written { original.encodeFrame(channel: 1, into: &$0) }.dropFirst(7).dropLast())
            for cut in 0..<payload.count {
                #expect(throws: AMQPError.self) { try method(Array(payload[..<cut])) }
            }
            let error = #expect(throws: AMQPError.self) { try method(payload + [0]) }
            #expect(error?.code == .syntaxError && error?.scope == .connection && error?.method == original.id)
        }
    }

    @Test func unknownMethodsAreCommandInvalid() {
        let error = #expect(throws: AMQPError.self) { try method(bytes("003c 0099")) }
        #expect(error?.code == .commandInvalid && error?.method == MethodID(classID: 60, methodID: 0x99))
    }

    @Test func structDecodesOnlyItsOwnId() throws {
        let ack = Array(written { $0.writeAck(channel: 1, deliveryTag: 7, multiple: true) }.dropFirst(7).dropLast())
        try ack.withUnsafeBytes { payload throws in
            #expect(try BasicAck(payload: payload) == BasicAck(deliveryTag: 7, multiple: true))
            let error = #expect(throws: AMQPError.self) { try BasicNack(payload: payload) }
            #expect(error?.code == .commandInvalid)
        }
    }

    @Test func shortStringsMustBeUTF8() {
        // queue.purge of a queue whose name is the octet ff
        let error = #expect(throws: AMQPError.self) { try method(bytes("0032 001e 0000 01ff 00")) }
        #expect(error?.code == .syntaxError)
    }

    @Test func longReplyTextsAreCutAtACharacter() throws {
        let error = AMQPError(.notFound, String(repeating: "é", count: 200), method: QueueDeclare.id)
        let wire = written { error.channelClose.encodeFrame(channel: 1, into: &$0) }
        guard case .channelClose(let close) = try method(try frames(wire)[0].payload) else {
            Issue.record("not channel.close")
            return
        }
        #expect(close.replyText.utf8.count == 254)
        #expect(close.replyText.hasPrefix("NOT_FOUND - éé") && close.replyText.hasSuffix("é"))
        #expect(close.classID == 50 && close.methodID == 10 && close.replyCode == 404)
    }

    @Test func replyCodesKnowTheirScope() {
        #expect(ReplyCode.allCases.count == 19)
        #expect(AMQPError(.notFound, "").scope == .channel)
        #expect(AMQPError(.notAllowed, "").scope == .connection)
        #expect(AMQPError(.notAllowed, "", scope: .channel).scope == .channel)
        #expect(AMQPError(.preconditionFailed, "x").replyText == "PRECONDITION_FAILED - x")
        #expect(ReplyCode(rawValue: 505)?.name == "UNEXPECTED_FRAME")
    }
}
