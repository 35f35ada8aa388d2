import PeerLink
import Primitives
import Testing

/// Feeds `bytes` to `reader` in pieces of `step` bytes and returns the frames that come out.
func read(_ bytes: [UInt8], step: Int, with reader: inout PeerFrameReader) throws(PeerFrameFailure) -> [PeerFrame] {
    var frames: [PeerFrame] = []
    var start = 0
    while start < bytes.count {
        let piece = Bytes(Array(bytes[start..<min(start + step, bytes.count)]))
        start += step
        try piece.withUnsafeBytes { buffer throws(PeerFrameFailure) in
            var offset = 0
            while let frame = try reader.next(buffer, at: &offset) { frames.append(frame) }
        }
    }
    return frames
}

func encode(_ frames: [PeerFrame]) -> [UInt8] {
    var writer = ByteWriter()
    for frame in frames { frame.encode(into: &writer) }
    return writer.take().toArray()
}

@Suite struct FrameTests {
    static let frames = [
        PeerFrame(kind: .message, payload: Bytes("first")),
        PeerFrame(kind: .message, payload: Bytes()),
        PeerFrame(kind: .message, isContinued: true, payload: Bytes([UInt8](repeating: 7, count: 300))),
        PeerFrame(kind: .farewell, payload: Bytes([1])),
    ]

    @Test("frames survive any split of the stream", arguments: 1...40)
    func splits(step: Int) throws {
        var reader = PeerFrameReader(limit: 1_000)
        let result = try read(encode(FrameTests.frames), step: step, with: &reader)
        #expect(result.map(\.kind) == FrameTests.frames.map(\.kind))
        #expect(result.map(\.payload) == FrameTests.frames.map(\.payload))
        #expect(result.map(\.isContinued) == [false, false, true, false])
        let isAtBoundary = reader.isAtBoundary
        #expect(isAtBoundary)
    }

    @Test("no flipped bit goes unnoticed")
    func flips() {
        let bytes = encode([PeerFrame(kind: .message, payload: Bytes("a payload of some bytes"))])
        for index in bytes.indices {
            for bit in 0..<8 {
                var damaged = bytes
                damaged[index] ^= 1 << UInt8(bit)
                var reader = PeerFrameReader(limit: 1_000)
                let frames = try? read(damaged, step: bytes.count, with: &reader)
                // A length that grew waits for the rest, which cannot have the right checksum either.
                #expect((frames ?? []).isEmpty, "byte \(index), bit \(bit)")
            }
        }
    }

    @Test("a length beyond the limit is refused with the header alone")
    func limit() throws {
        let bytes = encode([PeerFrame(kind: .message, payload: Bytes([UInt8](repeating: 1, count: 101)))])
        var reader = PeerFrameReader(limit: 100)
        #expect(throws: PeerFrameFailure.tooLong(length: 101, limit: 100)) {
            _ = try read(Array(bytes[0..<12]), step: 12, with: &reader)
        }
        var huge = bytes
        huge[3] = 0xff
        var other = PeerFrameReader(limit: PeerFrame.maximumPayload)
        #expect(throws: PeerFrameFailure.self) { _ = try read(huge, step: 5, with: &other) }
    }

    @Test("random bytes never become a frame and never trap")
    func fuzz() {
        var random = SeededRandom(seed: 11)
        for _ in 0..<2_000 {
            let count = Int(random.next(below: 200))
            var bytes: [UInt8] = []
            for _ in 0..<count { bytes.append(UInt8(truncatingIfNeeded: random.next())) }
            // Half of them have a plausible header.
            if count > 12 && random.oneIn(2) {
                bytes[1...3] = [0, 0, 0]
                bytes[8] = UInt8(random.next(below: 8))
                bytes[9...11] = [0, 0, 0]
            }
            var reader = PeerFrameReader(limit: 4_096)
            let step = Int(random.next(below: 20)) + 1
            let frames = try? read(bytes, step: step, with: &reader)
            #expect((frames ?? []).isEmpty)
        }
    }

    @Test("chunks become one message, within the bound")
    func chunks() throws {
        var assembler = PeerMessageAssembler(limit: 10)
        func chunk(_ text: String, _ isContinued: Bool) -> PeerFrame {
            PeerFrame(kind: .message, isContinued: isContinued, payload: Bytes(text))
        }
        #expect(try assembler.add(chunk("whole", false)) == Bytes("whole"))
        #expect(try assembler.add(chunk("abc", true)) == nil)
        #expect(try assembler.add(chunk("def", true)) == nil)
        #expect(try assembler.add(chunk("g", false)) == Bytes("abcdefg"))
        #expect(try assembler.add(chunk("0123456789", false)) == Bytes("0123456789"))
        #expect(try assembler.add(chunk("012345", true)) == nil)
        #expect(throws: PeerFrameFailure.messageTooLong(limit: 10)) { _ = try assembler.add(chunk("6789x", false)) }
    }

    @Test("a heartbeat round-trips, ignores what later versions append, and refuses every truncation")
    func heartbeat() throws {
        let heartbeat = Heartbeat(
            node: NodeID(3), incarnation: Incarnation(9), sequence: 1 << 40, sentAt: Instant(nanoseconds: 77),
            diskAge: .milliseconds(5), loopAge: .seconds(2), digest: .max)
        var writer = ByteWriter()
        heartbeat.encode(into: &writer)
        let bytes = writer.take().toArray()
        func decode(_ bytes: [UInt8]) throws(DecodingFailure) -> Heartbeat {
            try Bytes(bytes).withUnsafeBytes { buffer throws(DecodingFailure) in
                var reader = ByteReader(buffer)
                return try Heartbeat(decoding: &reader)
            }
        }
        #expect(try decode(bytes) == heartbeat)
        #expect(try decode(bytes + [1, 2, 3]) == heartbeat)
        for count in 0..<bytes.count {
            #expect(throws: DecodingFailure.truncated) { _ = try decode(Array(bytes[0..<count])) }
        }
    }

    @Test("only the preamble opens a connection")
    func preamble() {
        func parse(_ bytes: [UInt8]) -> PeerConnectionKind? { bytes.withUnsafeBytes { PeerPreamble.parse($0) } }
        #expect(parse(PeerPreamble.bytes(.data)) == .data)
        #expect(parse(PeerPreamble.bytes(.heartbeat)) == .heartbeat)
        #expect(parse(Array("AMQP".utf8) + [0, 0, 9, 1]) == nil)
        #expect(parse(Array(PeerPreamble.bytes(.data).dropLast())) == nil)
        #expect(parse(Array("WARRENP".utf8) + [9]) == nil)
    }
}
