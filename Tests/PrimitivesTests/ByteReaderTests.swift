import Primitives
import Testing

@Suite struct ByteReaderTests {
    @Test func readsWhatIsWritten() {
        let input = bytes("ab feff 04030201 feffffffffffffff 01020304 ac02 020908 02c3bc")
        let result = reading(input) { reader throws(DecodingFailure) in
            #expect(try reader.read(UInt8.self) == 0xab)
            #expect(try reader.read(UInt16.self) == 0xfffe)
            #expect(try reader.read(UInt32.self) == 0x0102_0304)
            #expect(try reader.read(Int64.self) == -2)
            #expect(try reader.readBigEndian(UInt32.self) == 0x0102_0304)
            #expect(try reader.readVarint() == 300)
            #expect(Array(try reader.readLengthPrefixed()) == [9, 8])
            #expect(try reader.readString() == "ü")
            return (reader.offset, reader.remaining, reader.isAtEnd)
        }
        guard case .success(let (offset, remaining, isAtEnd)) = result else {
            Issue.record("\(result)")
            return
        }
        #expect(offset == input.count && remaining == 0 && isAtEnd)
    }

    @Test(arguments: 0..<8) func aTruncatedIntegerIsRefused(_ count: Int) {
        let input = [UInt8](repeating: 1, count: count)
        #expect(throws: DecodingFailure.truncated) {
            try reading(input) { r throws(DecodingFailure) in try r.read(UInt64.self) }.get()
        }
        #expect(throws: DecodingFailure.truncated) {
            try reading(input) { reader throws(DecodingFailure) in try reader.readBigEndian(UInt64.self) }.get()
        }
    }

    @Test func aFailedReadConsumesNothing() {
        let rest = reading([1, 2, 3]) { reader throws(DecodingFailure) in
            _ = try? reader.read(UInt32.self)
            _ = try? reader.readBytes(4)
            _ = try? reader.skip(4)
            return reader.remaining
        }
        #expect(rest == .success(3))
    }

    @Test(arguments: [4, Int.max, -1, Int.min]) func countsOutOfBoundsAreRefused(_ count: Int) {
        let read = reading([1, 2, 3]) { reader throws(DecodingFailure) in try reader.readBytes(count).count }
        #expect(read == .failure(.truncated))
        let skipped = reading([1, 2, 3]) { reader throws(DecodingFailure) -> Int in
            try reader.skip(count)
            return reader.offset
        }
        #expect(skipped == .failure(.truncated))
    }

    /// All powers of two with their neighbours.
    private static let numbers: [UInt64] = (0..<64).flatMap { (bit: UInt64) -> [UInt64] in
        let power = UInt64(1) << bit
        return [power, power - 1, power + 1, .max]
    }

    @Test func varintsRoundTrip() {
        for number in ByteReaderTests.numbers {
            var writer = ByteWriter()
            writer.writeVarint(number)
            let encoded = writer.take().toArray()
            #expect(encoded.count == max(1, (64 - number.leadingZeroBitCount + 6) / 7))
            let decoded = reading(encoded) { reader throws(DecodingFailure) in
                let value = try reader.readVarint()
                #expect(reader.isAtEnd)
                return value
            }
            #expect(decoded == .success(number))
            for cut in 0..<encoded.count {
                let part = reading(Array(encoded[..<cut])) { r throws(DecodingFailure) in try r.readVarint() }
                #expect(part == .failure(.truncated))
            }
        }
    }

    @Test(arguments: [
        "ffffffffffffffffff02", "ffffffffffffffffff7f", "ffffffffffffffffff81", "80808080808080808080",
        "8080808080808080808001",
    ])
    func varintsBeyond64BitsAreRefused(_ input: String) {
        let result = reading(bytes(input)) { reader throws(DecodingFailure) in try reader.readVarint() }
        #expect(result == .failure(.invalid("varint")))
    }

    @Test func lengthsAreBounded() {
        func length(_ input: String, limit: Int) -> Result<Int, DecodingFailure> {
            reading(bytes(input)) { r throws(DecodingFailure) in try r.readLengthPrefixed(limit: limit).count }
        }
        #expect(length("03010203", limit: 3) == .success(3))
        #expect(length("03010203", limit: 2) == .failure(.invalid("length")))
        #expect(length("030102", limit: 3) == .failure(.truncated))
        #expect(length("ffffffffffffffffff01", limit: .max) == .failure(.invalid("length")))
    }
}
