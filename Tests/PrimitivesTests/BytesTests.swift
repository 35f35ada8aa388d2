import Primitives
import Testing

@Suite struct BytesTests {
    @Test func slicesShareAndCompare() {
        let all = Bytes([1, 2, 3, 4, 5])
        let middle = all[1..<4]
        #expect(middle.toArray() == [2, 3, 4])
        #expect(middle[1..<3].toArray() == [3, 4])
        #expect(middle[2] == 4)
        #expect(middle == Bytes([2, 3, 4]))
        #expect(middle != Bytes([2, 3]))
        #expect(middle != Bytes([2, 3, 5]))
        #expect(middle.hashValue == Bytes([2, 3, 4]).hashValue)
        #expect(middle.compacted() == middle)
        let sharesStorage = all.withUnsafeBytes { whole in
            middle.withUnsafeBytes { whole.baseAddress.map { $0 + 1 } == $0.baseAddress }
        }
        #expect(sharesStorage)
    }

    @Test func emptyIsEmpty() {
        #expect(Bytes().isEmpty)
        #expect(Bytes() == Bytes([]))
        #expect(Bytes([1, 2])[1..<1] == Bytes())
        #expect(Bytes().withUnsafeBytes { $0.count } == 0)
        #expect(Bytes().compacted().toArray() == [])
    }

    @Test func textIsUTF8() {
        #expect(Bytes("Hase ü").toArray() == Array("Hase ü".utf8))
        #expect(String(decoding: Bytes("Hase ü")) == "Hase ü")
        #expect(String(decoding: Bytes([0x61, 0xff])) == "a\u{fffd}")
    }

    @Test func aSliceOutlivesItsOrigin() {
        func slice() -> Bytes { Bytes(Array(repeating: 7, count: 10_000))[9_000..<9_004] }
        #expect(slice().toArray() == [7, 7, 7, 7])
    }
}
