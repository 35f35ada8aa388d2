import AMQP
import Primitives
import Testing

/// Garbage must end in a typed error or a value, never in a trap; the seeds make a failure repeatable.
@Suite struct FuzzTests {
    @Test func randomOctetsAsFrames() {
        var random = SeededRandom(seed: 1)
        for _ in 0..<20_000 {
            var input = randomBytes(Int(random.next(below: 64)), &random)
            if !input.isEmpty && random.oneIn(2) { input[0] = UInt8(1 + random.next(below: 3)) }
            if input.count > 7 && random.oneIn(2) {
                input.replaceSubrange(3..<7, with: [0, 0, 0, UInt8(input.count - 8)])
            }
            if input.count > 7 { input[input.count - 1] = FrameFormat.endOctet }
            _ = try? frames(input, maximumFrameSize: 8192)
        }
    }

    @Test func damagedMethods() {
        var random = SeededRandom(seed: 2)
        let payloads = everyMethod.map { method in
            Array(written { method.encodeFrame(channel: 1, into: &$0) }.dropFirst(7).dropLast())
        }
        var refused = 0
        for _ in 0..<15_000 {
            var payload = payloads[Int(random.next(below: UInt64(payloads.count)))]
            let flips = 1 + random.next(below: 3)
            for _ in 0..<flips where payload.count > 4 {
                payload[4 + Int(random.next(below: UInt64(payload.count - 4)))] = UInt8(
                    truncatingIfNeeded: random.next())
            }
            do throws(AMQPError) {
                let decoded = try method(payload)
                // What decodes must encode and decode to itself.
                let again = Array(written { decoded.encodeFrame(channel: 1, into: &$0) }.dropFirst(7).dropLast())
                let twice = Array(written { encodeAgain(again, into: &$0) }.dropFirst(7).dropLast())
                #expect(twice == again)
            } catch {
                refused += 1
                #expect(error.code == .syntaxError && error.scope == .connection)
            }
        }
        #expect(refused > 500)
    }

    private func encodeAgain(_ payload: [UInt8], into writer: inout ByteWriter) {
        guard let decoded = try? method(payload) else {
            Issue.record("does not decode a second time")
            return
        }
        decoded.encodeFrame(channel: 1, into: &writer)
    }

    @Test func randomTables() {
        var random = SeededRandom(seed: 3)
        let letters = Array("tbBsuIilLfdDSxATFV".utf8)
        var accepted = 0
        for _ in 0..<15_000 {
            var fields: [UInt8] = []
            for _ in 0...random.next(below: 3) {
                fields += [0, letters[Int(random.next(below: UInt64(letters.count)))]]
                fields += random.oneIn(2) ? [0, 0, 0, 1, 0x56] : randomBytes(Int(random.next(below: 9)), &random)
            }
            let wire = [0, 0, 0, UInt8(fields.count)] + fields
            wire.withUnsafeBytes { buffer in
                var reader = ByteReader(buffer)
                let decoded = try? reader.readFieldTable()
                let valid = (try? FieldTable.validate(fields: UnsafeRawBufferPointer(rebasing: buffer[4...]))) != nil
                #expect(valid == (decoded != nil))
                if decoded != nil { accepted += 1 }
            }
        }
        #expect(accepted > 500)
    }
}
