import PeerLink
import Primitives
import Replication

extension FuzzTarget {
    /// What another node sends: an octet for the kind, then a stream of bytes, frames whose checksums are made here,
    /// a handshake, a heartbeat, or a message (octet for its kind, octet for its group, content).
    static let peer = FuzzTarget(name: "peer", maximumLength: 4_096, seeds: PeerSeeds.all) { input in
        var reader = InputReader(input)
        switch reader.byte() & 7 {
        case 0: PeerInput.stream(&reader)
        case 1: PeerInput.frames(&reader)
        case 2: PeerInput.handshake(&reader)
        case 3: PeerInput.heartbeats(&reader)
        case 4: PeerInput.records(reader.rest())
        default: PeerInput.message(&reader)
        }
    }
}

enum PeerInput {
    /// Bytes as they come, cut into reads of any size.
    static func stream(_ reader: inout InputReader) {
        let step = Int(reader.byte()) + 1
        consume(reader.rest(), step: step)
    }

    /// Frames with right checksums, so that what is behind them is reached: kind, flags, length, payload.
    static func frames(_ reader: inout InputReader) {
        let step = Int(reader.byte()) + 1
        var writer = ByteWriter()
        var count = 0
        while !reader.isAtEnd {
            let kind = PeerFrameKind(rawValue: reader.byte()) ?? .message
            let flags = reader.byte()
            let payload = reader.bytes(reader.word())
            PeerFrame(kind: kind, isContinued: flags & 1 != 0, hasTotal: flags & 2 != 0, payload: payload)
                .encode(into: &writer)
            count += 1
        }
        promise(consume(writer.take(), step: step) == count, "as many frames come out as were put in")
    }

    @discardableResult
    private static func consume(_ bytes: Bytes, step: Int) -> Int {
        var frames = PeerFrameReader(limit: 64 << 10)
        var assembler = PeerMessageAssembler(limit: 256 << 10)
        var isBroken = false
        var count = 0
        var start = 0
        while start < bytes.count {
            let piece = bytes[start..<min(start + step, bytes.count)]
            start += step
            let isWhole: Bool = piece.withUnsafeBytes { buffer in
                var offset = 0
                do throws(PeerFrameFailure) {
                    while let frame = try frames.next(buffer, at: &offset) {
                        count += 1
                        guard frame.kind == .message, !isBroken else { continue }
                        do throws(PeerFrameFailure) {
                            if let message = try assembler.add(frame) { payload(message) }
                        } catch {
                            isBroken = true
                        }
                    }
                    return true
                } catch {
                    return false
                }
            }
            if !isWhole { break }
        }
        return count
    }

    private static func payload(_ payload: Bytes) {
        var messages = PeerPayloadReader(payload)
        while let (kind, group, content) = try? messages.next() {
            PeerMessages.check(kind, group: group, content)
        }
    }

    static func message(_ reader: inout InputReader) {
        let kind = PeerMessageKind(rawValue: 1 + reader.byte() % 10) ?? .raft
        let group = GroupID(UInt64(reader.byte()))
        PeerMessages.check(kind, group: group, reader.rest())
    }

    // MARK: Handshake

    private static func parameters(_ node: UInt16) -> PeerHandshake.Parameters? {
        guard let secret = PeerSecret("sesame") else { return nil }
        return PeerHandshake.Parameters(
            identity: PeerIdentity(
                node: NodeID(node), store: StoreID(high: 1, low: UInt64(node)), incarnation: Incarnation(1)),
            cluster: ClusterID(high: 1, low: 2), kind: .data, secrets: [secret], peers: [NodeID(1), NodeID(2)],
            nonce: Bytes([UInt8](repeating: UInt8(node), count: 32)))
    }

    /// Two nodes open a connection; the input's bytes take the place of the payload of one of the frames.
    static func handshake(_ reader: inout InputReader) {
        guard let mine = parameters(1), let theirs = parameters(2) else { return }
        var place = Int(reader.byte() & 7)
        let kind = PeerFrameKind(rawValue: reader.byte())
        let forged = reader.rest()
        var sides = [PeerHandshake(dialling: NodeID(2), mine), PeerHandshake(accepting: theirs)]
        var outputs = sides.indices.map { sides[$0].start().output }
        var established = 0
        for turn in 0..<12 {
            let (from, to) = (turn % 2, 1 - turn % 2)
            var frames = PeerFrameReader(limit: PeerFrame.maximumWelcomePayload)
            let sent = outputs[from]
            outputs[from] = Bytes()
            sent.withUnsafeBytes { buffer in
                var offset = 0
                while var frame = try? frames.next(buffer, at: &offset) {
                    if place == 0 { frame = PeerFrame(kind: kind ?? frame.kind, payload: forged) }
                    place -= 1
                    promise(sides[to].frameLimit > 0, "there is a limit")
                    var step = sides[to].receive(frame)
                    if case .authenticated = step.outcome { step = sides[to].accept(bootstrap: Bytes("hello")) }
                    if case .established(_, let bootstrap) = step.outcome {
                        established += 1
                        _ = try? StoreReport(decoding: bootstrap)
                    }
                    outputs[to] = encoded {
                        $0.write(outputs[to])
                        $0.write(step.output)
                    }
                }
            }
        }
        promise(place < 0 || established == 2, "an undisturbed handshake succeeds")
    }

    // MARK: Small records

    /// Heartbeats that a detector hears, with the time that passes between them.
    static func heartbeats(_ reader: inout InputReader) {
        var now = Instant(nanoseconds: 1_000_000_000)
        var detector = NodeLiveness(
            configuration: LivenessConfiguration(), nodes: [NodeID(1), NodeID(2)], now: now)
        var verdicts: [LivenessVerdict] = []
        for _ in 0..<64 where !reader.isAtEnd {
            now = now + .milliseconds(UInt64(reader.byte()))
            let bytes = reader.bytes(46)
            let heartbeat = bytes.withUnsafeBytes { buffer -> Heartbeat? in
                var reader = ByteReader(buffer)
                return try? Heartbeat(decoding: &reader)
            }
            guard let heartbeat else { break }
            promise(encoded { heartbeat.encode(into: &$0) } == bytes, "a heartbeat is another one after a round trip")
            detector.heartbeat(heartbeat, now: now, into: &verdicts)
            detector.tick(now: now, into: &verdicts)
            _ = detector.nextDeadline(now: now)
        }
    }

    /// What stands in logs, handshakes and offers.
    static func records(_ bytes: Bytes) {
        if let descriptor = try? GroupDescriptor(decoding: bytes) {
            promiseRoundTrip(descriptor, "a descriptor", encode: { $0.encoded() }, decode: GroupDescriptor.init)
        }
        if let note = try? ReplicaNote(decoding: bytes) {
            promiseRoundTrip(note, "a note", encode: { $0.encoded() }, decode: ReplicaNote.init)
            _ = note.configurations(base: LogIndex(5)) { _ in Term(1) }
        }
        _ = try? StoreReport(decoding: bytes)
        _ = bytes.withUnsafeBytes { PeerPreamble.parse($0) }
    }
}
