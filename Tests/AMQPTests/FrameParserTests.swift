import AMQP
import Primitives
import Testing

@Suite struct FrameParserTests {
    func next(_ input: [UInt8], limit: UInt32 = 8192) throws(AMQPError) -> Frame? {
        let parser = FrameParser(maximumFrameSize: limit)
        var offset = 0
        return try Bytes(input).withUnsafeBytes { buffer throws(AMQPError) in try parser.next(buffer, at: &offset) }
    }

    func frameError(_ input: [UInt8], limit: UInt32 = 8192) -> Bool {
        do throws(AMQPError) {
            _ = try next(input, limit: limit)
            return false
        } catch {
            return error.code == .frameError && error.scope == .connection
        }
    }

    @Test func octetByOctet() throws {
        let wire = written { writer in
            for method in everyMethod { method.encodeFrame(channel: 5, into: &writer) }
            writer.writeHeartbeat()
        }
        let whole = try frames(wire)
        #expect(whole.count == everyMethod.count + 1)
        let parser = FrameParser()
        var pending: [UInt8] = []
        var found: [OwnedFrame] = []
        for octet in wire {
            pending.append(octet)
            var offset = 0
            try pending.withUnsafeBytes { buffer in
                if let frame = try parser.next(buffer, at: &offset) {
                    found.append(
                        OwnedFrame(type: frame.type, channel: frame.channel, payload: Array(buffer[frame.payload])))
                } else {
                    #expect(offset == 0)
                }
            }
            pending.removeFirst(offset)
        }
        #expect(pending.isEmpty && found == whole)
    }

    @Test func sizeIsRefusedBeforeThePayloadIsThere() throws {
        #expect(frameError(bytes("01 0001 00001ff9")))
        #expect(try next(bytes("01 0001 00001ff8")) == nil)
        #expect(frameError(bytes("03 0001 ffffffff"), limit: 131_072))
        #expect(try next(bytes("03 0001 fffffff7"), limit: 0) == nil)
    }

    @Test func wrongOctetsAreFrameErrors() {
        #expect(frameError(bytes("01 0001 00000001 00 cf")))
        #expect(frameError(bytes("04 0001 00000000 ce")))
        #expect(frameError(bytes("47")))
        #expect(frameError(bytes("08 0001 00000000 ce")))
        #expect(frameError(bytes("08 0000 00000001 00 ce")))
    }

    @Test func protocolHeaders() {
        func match(_ octets: [UInt8]) -> ProtocolHeader.Match { octets.withUnsafeBytes { ProtocolHeader.match($0) } }
        for cut in 0..<8 { #expect(match(Array(ProtocolHeader.octets[..<cut])) == .incomplete) }
        #expect(match(ProtocolHeader.octets) == .accepted)
        #expect(match(ProtocolHeader.octets + [1, 0]) == .accepted)
        #expect(match(Array("AMQP".utf8) + [1, 1, 0, 9]) == .accepted)
        #expect(match(Array("AMQP".utf8) + [0, 1, 0, 0]) == .refused)
        #expect(match(Array("AMQP".utf8) + [0, 0, 9, 2]) == .refused)
        #expect(match(Array("GET / HTTP".utf8)) == .refused)
        #expect(match(Array("G".utf8)) == .refused)
    }

    @Test func contentMustComeInOrder() throws {
        var content = ContentProgress()
        try content.method(hasContent: true)
        #expect(!content.isIdle)
        #expect(throws: AMQPError.unexpectedFrame("method frame inside a content")) {
            try content.method(hasContent: false)
        }
        #expect(throws: AMQPError.unexpectedFrame("body frame without its header")) { try content.body(count: 1) }
        #expect(try content.header(bodySize: 5) == false)
        #expect(throws: AMQPError.unexpectedFrame("content header frame without its method")) {
            try content.header(bodySize: 5)
        }
        #expect(try content.body(count: 4) == false)
        #expect(throws: AMQPError.frame("body longer than its header says")) { try content.body(count: 2) }
        #expect(try content.body(count: 1) == true)
        #expect(content.isIdle)
        try content.method(hasContent: true)
        #expect(try content.header(bodySize: 0) == true)
    }
}
