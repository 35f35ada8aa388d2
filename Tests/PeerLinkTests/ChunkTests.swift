import PeerLink
import Primitives
import Testing

/// Large messages: cut into chunks, put together again, and what is refused on the way.
@Suite struct ChunkTests {
    private func pattern(_ count: Int, seed: UInt8 = 0) -> Bytes {
        Bytes((0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) &+ seed })
    }

    /// Everything that the backlog holds, as frames.
    private func frames(_ backlog: inout PeerBacklog, announcesTotal: Bool) -> [PeerFrame] {
        var frames: [PeerFrame] = []
        while let piece = backlog.next(announcesTotal: announcesTotal) {
            var writer = ByteWriter()
            if let total = piece.total { writer.write(UInt32(total)) }
            for part in piece.parts { writer.write(part) }
            let payload = writer.take()
            #expect(payload.count == piece.count + (piece.total == nil ? 0 : PeerMessageAssembler.totalSize))
            frames.append(
                PeerFrame(
                    kind: .message, isContinued: piece.isContinued, hasTotal: piece.total != nil, payload: payload))
        }
        return frames
    }

    @Test("what is cut is put together again, in order, whatever the parts", arguments: [true, false])
    func roundTrip(announcesTotal: Bool) throws {
        let chunk = PeerFrame.chunkSize
        let whole = PeerFrame.wholeMessage
        let messages: [[Bytes]] = [
            [pattern(whole + 1)], [Bytes("small")], [Bytes()], [pattern(whole), Bytes()],
            [pattern(5), Bytes(), pattern(chunk - 5, seed: 1), pattern(whole, seed: 2), Bytes()],
            [Bytes(), pattern(3 * chunk), pattern(whole - 3 * chunk), pattern(1)], [pattern(whole + chunk, seed: 3)],
        ]
        var backlog = PeerBacklog()
        for parts in messages {
            backlog.append(parts[0], Array(parts.dropFirst()), count: parts.reduce(0) { $0 + $1.count })
        }
        let total = messages.joined().reduce(0) { $0 + $1.count }
        #expect(backlog.byteCount == total)
        let frames = frames(&backlog, announcesTotal: announcesTotal)
        #expect(backlog.isEmpty && backlog.byteCount == 0)
        #expect(frames.allSatisfy { $0.payload.count <= whole && (!$0.isContinued || $0.payload.count <= chunk + 4) })
        #expect(frames.count { $0.hasTotal } == (announcesTotal ? 4 : 0))

        var reader = PeerFrameReader(limit: PeerFrame.maximumPayload)
        var assembler = PeerMessageAssembler(limit: 8 << 20)
        var result: [Bytes] = []
        for frame in try read(encode(frames), step: 100_000, with: &reader) {
            if let message = try assembler.add(frame) { result.append(message) }
        }
        let expected = messages.map { parts in
            var writer = ByteWriter()
            for part in parts { writer.write(part) }
            return writer.take()
        }
        #expect(result == expected)
    }

    private func chunk(_ total: UInt32? = nil, _ count: Int, isContinued: Bool) -> PeerFrame {
        var writer = ByteWriter()
        if let total { writer.write(total) }
        writer.write([UInt8](repeating: 0, count: count))
        return PeerFrame(
            kind: .message, isContinued: isContinued, hasTotal: total != nil, payload: writer.take())
    }

    @Test("a length beyond the limit is refused with the first chunk, however large it claims to be")
    func announcedTooLong() {
        for total in [11, 1 << 20, UInt32.max] {
            var assembler = PeerMessageAssembler(limit: 10)
            #expect(throws: PeerFrameFailure.messageTooLong(limit: 10)) {
                _ = try assembler.add(chunk(total, 1, isContinued: true))
            }
        }
    }

    @Test("chunks that do not add up are refused")
    func sums() throws {
        var short = PeerMessageAssembler(limit: 10)
        #expect(try short.add(chunk(8, 3, isContinued: true)) == nil)
        #expect(throws: PeerFrameFailure.chunks) { _ = try short.add(chunk(nil, 4, isContinued: false)) }

        var long = PeerMessageAssembler(limit: 10)
        #expect(try long.add(chunk(8, 3, isContinued: true)) == nil)
        #expect(throws: PeerFrameFailure.chunks) { _ = try long.add(chunk(nil, 6, isContinued: true)) }

        var first = PeerMessageAssembler(limit: 10)
        #expect(throws: PeerFrameFailure.chunks) { _ = try first.add(chunk(2, 3, isContinued: true)) }
    }

    @Test("a length is told once, by the first of several chunks")
    func placement() throws {
        var twice = PeerMessageAssembler(limit: 10)
        #expect(try twice.add(chunk(8, 3, isContinued: true)) == nil)
        #expect(throws: PeerFrameFailure.chunks) { _ = try twice.add(chunk(8, 3, isContinued: true)) }

        var late = PeerMessageAssembler(limit: 10)
        #expect(try late.add(chunk(nil, 3, isContinued: true)) == nil)
        #expect(throws: PeerFrameFailure.chunks) { _ = try late.add(chunk(8, 3, isContinued: true)) }

        var alone = PeerMessageAssembler(limit: 10)
        #expect(throws: PeerFrameFailure.chunks) { _ = try alone.add(chunk(3, 3, isContinued: false)) }

        var cut = PeerMessageAssembler(limit: 10)
        let stub = PeerFrame(kind: .message, isContinued: true, hasTotal: true, payload: Bytes([1, 0, 0]))
        #expect(throws: PeerFrameFailure.chunks) { _ = try cut.add(stub) }
    }

    @Test("random sequences of chunks never trap and never make a message beyond the limit")
    func fuzz() {
        var random = SeededRandom(seed: 5)
        for _ in 0..<2_000 {
            var assembler = PeerMessageAssembler(limit: 64)
            for _ in 0..<20 {
                let total = random.oneIn(3) ? UInt32(random.next(below: 100)) : nil
                let frame = chunk(total, Int(random.next(below: 40)), isContinued: !random.oneIn(3))
                do throws(PeerFrameFailure) {
                    if let message = try assembler.add(frame) { #expect(message.count <= 64) }
                } catch {
                    break
                }
            }
        }
    }
}
