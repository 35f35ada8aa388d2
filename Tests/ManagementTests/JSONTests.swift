import AMQP
import Foundation
import Management
import Primitives
import Testing
import Topology

@Suite struct JSONTests {
    private func decode(_ text: String) throws -> JSON { try JSONDecoder().decode(JSON.self, from: Data(text.utf8)) }

    @Test(arguments: [
        "null", "true", "-7", "9223372036854775807", "1.5", "[]", "{}", #"["a",[1,null],{"b":false}]"#,
        #"{"a":{"b":[1,2]},"c":"d"}"#,
    ])
    func roundTrips(text: String) throws { #expect(try decode(text).description == text) }

    @Test func escapesWhatTextsMayNotHold() throws {
        let text = "quote \" slash / back \\ line \n tab \t bell \u{7} é 😀"
        let written = JSON.string(text).description
        #expect(written == #""quote \" slash / back \\ line \n tab \t bell \u0007 é 😀""#)
        #expect(try decode(written) == .string(text))
    }

    @Test func writesNoNumberThatJSONDoesNotHave() throws {
        #expect(JSON.number(.infinity).description == "null")
        let encoded = try JSONEncoder().encode([JSON.number(.nan), JSON.number(0.5)])
        #expect(String(decoding: encoded, as: UTF8.self) == "[null,0.5]")
    }

    @Test func showsArguments() {
        let arguments: TopologyArguments = [
            "x-max-length": .int(5), "x-match": .string("all"), "list": .list([.bool(true), .void]),
            "table": .table(["ratio": .double(bits: (0.25).bitPattern)]), "raw": .bytes(Bytes([0x61, 0xff])),
        ]
        #expect(
            JSON(arguments).description
                == #"{"list":[true,null],"raw":"a\#u{fffd}","table":{"ratio":0.25},"x-match":"all","x-max-length":5}"#)
    }

    @Test func showsClientProperties() {
        let table: FieldTable = [
            "product": "pika", "capabilities": .table(["basic.nack": true]), "price": .decimal(scale: 2, value: 314),
            "small": .int8(-1), "product ": .void,
        ]
        #expect(
            JSON(table).description
                == #"{"capabilities":{"basic.nack":true},"price":3.14,"product":"pika","product ":null,"small":-1}"#)
    }

    @Test func takesTheFirstOfFieldsThatRepeat() {
        let table = FieldTable([FieldTable.Field("a", 1), FieldTable.Field("a", 2)])
        #expect(JSON(table) == .object(["a": .integer(1)]))
    }

    @Test func becomesAFieldTable() throws {
        let table = try decode(#"{"x-max-length":5,"b":[true,null,1.5],"t":{"s":"x"}}"#).fieldTable
        #expect(
            table == [
                "b": .array([true, .void, .double(1.5)]), "t": .table(["s": "x"]), "x-max-length": .int64(5),
            ])
        #expect(try decode("[1]").fieldTable == nil)
    }
}
