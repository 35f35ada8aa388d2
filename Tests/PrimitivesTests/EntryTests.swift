import Primitives
import Testing

@Suite struct EntryTests {
    private func entry(headers: [UInt8] = Array("head".utf8), bodies: [UInt8] = Array("body of it".utf8)) -> Entry {
        headers.withUnsafeBytes { headers in
            bodies.withUnsafeBytes { bodies in
                Entry(
                    kind: .commands, group: GroupID(0x0102_0304_0506_0708), index: LogIndex(0x1112), term: Term(0x21),
                    timestamp: WallTime(milliseconds: 1_700_000_000_000), headers: headers, bodies: bodies)
            }
        }
    }

    /// The format is on disks and on the wire: this text never changes.
    private static let golden =
        "0088c119" + "01" + "02" + "0000" + "04000000" + "0a000000" + "0807060504030201" + "1211000000000000"
        + "2100000000000000" + "0068e5cf8b010000" + "68656164" + "626f6479206f66206974"

    @Test func theFormatIsFrozen() {
        #expect(hex(entry().bytes) == EntryTests.golden)
        let empty = UnsafeRawBufferPointer(start: nil, count: 0)
        let noop = Entry(
            kind: .noop, group: .topology, index: LogIndex(1), term: Term(1), timestamp: .zero, headers: empty,
            bodies: empty)
        let golden =
            "82fd62d2" + "01" + "01" + "0000" + "00000000" + "00000000" + "0000000000000000" + "0100000000000000"
            + "0100000000000000" + "0000000000000000"
        #expect(hex(noop.bytes) == golden)
    }

    @Test func decodes() throws {
        let decoded = try Entry(Bytes(bytes(EntryTests.golden)))
        #expect(decoded.header == entry().header)
        #expect(decoded.header.kind == .commands)
        #expect(decoded.group == GroupID(0x0102_0304_0506_0708))
        #expect(decoded.index == LogIndex(0x1112) && decoded.term == Term(0x21))
        #expect(decoded.header.timestamp.milliseconds == 1_700_000_000_000)
        #expect(decoded.headers == Bytes("head") && decoded.bodies == Bytes("body of it"))
        #expect(decoded.header.encodedLength == decoded.bytes.count)
        #expect(decoded.isIntact)
    }

    @Test func everyTruncationIsRefused() {
        let all = bytes(EntryTests.golden)
        for count in 0..<all.count {
            #expect(throws: DecodingFailure.truncated) { try Entry(Bytes(Array(all[..<count]))) }
        }
        #expect(throws: DecodingFailure.invalid("entry length")) { try Entry(Bytes(all + [0])) }
    }

    /// Every flipped bit in front of the bodies is noticed; the bodies have checksums of their own in the headers.
    @Test func everyFlippedBitInFrontOfTheBodiesIsNoticed() {
        let all = bytes(EntryTests.golden)
        for bit in 0..<(EntryHeader.size + 4) * 8 {
            var damaged = all
            damaged[bit / 8] ^= 1 << (bit % 8)
            let isNoticed = (try? Entry(Bytes(damaged)))?.isIntact != true
            #expect(isNoticed, "bit \(bit)")
        }
        var body = all
        body[all.count - 1] ^= 1
        #expect((try? Entry(Bytes(body)))?.isIntact == true)
    }

    @Test func unknownVersionsKindsAndFlagsAreRefused() {
        for (place, value, field) in [
            (4, 2, "version"), (5, 0, "kind"), (5, 4, "kind"), (6, 1, "flags"), (7, 1, "flags"),
        ] {
            var changed = bytes(EntryTests.golden)
            changed[place] = UInt8(value)
            #expect(throws: DecodingFailure.invalid("entry \(field)")) { try Entry(Bytes(changed)) }
        }
    }

    @Test func lengthsAreCheckedBeforeTheyAreUsed() {
        for place in 8..<16 {
            var changed = bytes(EntryTests.golden)
            changed[place] = 0xff
            #expect(throws: DecodingFailure.self) { try Entry(Bytes(changed)) }
        }
    }

    @Test func aCompactedEntryStandsAlone() throws {
        let all = Bytes(bytes("00" + EntryTests.golden + "00"))
        let inside = try Entry(all[1..<all.count - 1])
        let alone = inside.compacted()
        #expect(alone.header == inside.header && alone.bytes == inside.bytes && alone.isIntact)
    }
}
