import AMQP
import Primitives
import Testing

@Suite struct FieldTableTests {
    static let everyType: FieldTable = [
        "t": true, "b": .int8(-128), "B": .uint8(255), "s": .int16(-32768), "u": .uint16(65535), "I": .int32(.min),
        "i": .uint32(.max), "l": .int64(.min), "f": .float(-1.5), "d": .double(.infinity),
        "D": .decimal(scale: 255, value: .max), "S": "text", "S2": .illFormedString(Bytes([0xc3, 0x28])),
        "x": .bytes(Bytes([0, 1, 2])), "A": .array([.void, .array([]), "é", .table(["q": 7])]), "T": .timestamp(.max),
        "F": .table(["": .void]), "V": .void,
    ]

    func decode(_ wire: [UInt8]) throws(DecodingFailure) -> FieldTable {
        try Bytes(wire).withUnsafeBytes { buffer throws(DecodingFailure) in
            var reader = ByteReader(buffer)
            let table = try reader.readFieldTable()
            guard reader.isAtEnd else { throw .invalid("rest") }
            return table
        }
    }

    func validates(_ wire: [UInt8]) -> Bool {
        wire.withUnsafeBytes { buffer in
            (try? FieldTable.validate(fields: UnsafeRawBufferPointer(rebasing: buffer[4...]))) != nil
        }
    }

    @Test func everyTypeComesBack() throws {
        let wire = written { $0.writeFieldTable(Self.everyType) }
        #expect(try decode(wire) == Self.everyType)
        #expect(validates(wire))
    }

    @Test func bothLettersForLongAreSigned() throws {
        // {"a": 'L' -1}
        #expect(try decode(bytes("0000000b 0161 4c ffffffffffffffff")) == ["a": .int64(-1)])
    }

    @Test func unknownLettersAreRefused() {
        #expect(throws: DecodingFailure.invalid("field type")) { try decode(bytes("00000004 0161 7a 00")) }
        #expect(!validates(bytes("00000004 0161 7a 00")))
    }

    @Test func lengthsBeyondTheInputAreRefused() {
        #expect(throws: DecodingFailure.truncated) { try decode(bytes("ffffffff 0161")) }
        #expect(throws: DecodingFailure.truncated) { try decode(bytes("00000007 0161 53 7fffffff")) }
        // an inner table may not reach beyond its outer one
        #expect(throws: DecodingFailure.truncated) { try decode(bytes("00000007 0161 46 00000001 00")) }
    }

    @Test func depthIsBounded() throws {
        func nested(_ levels: Int, arrays: Bool) -> FieldTable {
            var table: FieldTable = [:]
            for _ in 1..<levels { table = ["": arrays ? .array([.table(table)]) : .table(table)] }
            return table
        }
        for table in [
            nested(FieldTable.maximumDepth, arrays: false), nested(FieldTable.maximumDepth / 2, arrays: true),
        ] {
            let wire = written { $0.writeFieldTable(table) }
            #expect(try decode(wire) == table)
            #expect(validates(wire))
        }
        for table in [
            nested(FieldTable.maximumDepth + 1, arrays: false), nested(FieldTable.maximumDepth, arrays: true),
        ] {
            let wire = written { $0.writeFieldTable(table) }
            #expect(throws: DecodingFailure.invalid("field table: too deep")) { try decode(wire) }
            #expect(!validates(wire))
        }
    }

    @Test func subscriptKeepsOrderAndTheFirstOfEqualNames() {
        var table = FieldTable([.init("a", 1), .init("b", 2), .init("a", 3)])
        #expect(table["a"] == 1)
        table["b"] = "x"
        table["c"] = true
        #expect(table.fields.map(\.name) == ["a", "b", "a", "c"])
        table["a"] = nil
        #expect(table == ["b": "x", "c": true])
    }

    @Test func integersOfAnyWidthReadAsOne() {
        #expect(FieldValue.uint32(.max).integer == 4_294_967_295)
        #expect(FieldValue.int8(-1).integer == -1)
        #expect(FieldValue.string("1").integer == nil)
        #expect((5_000_000_000 as FieldValue) == .int64(5_000_000_000))
    }
}
