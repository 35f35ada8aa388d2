import Primitives
import Testing

@Suite struct ByteWriterTests {
    @Test func layout() {
        var writer = ByteWriter()
        writer.write(UInt8(0xab))
        writer.write(UInt16(0x0102))
        writer.write(UInt32(0x0102_0304))
        writer.write(Int64(-2))
        writer.writeBigEndian(UInt32(0x0102_0304))
        writer.writeVarint(300)
        writer.writeLengthPrefixed(Bytes([9, 8]))
        writer.writeLengthPrefixed("ü")
        writer.write(utf8: "z")
        writer.overwrite(at: 1, with: UInt16(0xfffe))
        #expect(
            hex(writer.take()) == "ab" + "feff" + "04030201" + "feffffffffffffff" + "01020304" + "ac02" + "020908"
                + "02c3bc" + "7a")
    }

    @Test func growthKeepsWhatWasWritten() {
        var writer = ByteWriter(capacity: 3)
        for number in 0..<10_000 { writer.write(UInt32(number)) }
        #expect(writer.count == 40_000)
        let bytes = writer.take()
        #expect(writer.count == 0)
        for number in 0..<10_000 {
            #expect(bytes[number * 4] == UInt8(truncatingIfNeeded: number))
            #expect(bytes[number * 4 + 1] == UInt8(truncatingIfNeeded: number >> 8))
        }
    }

    @Test func takenBytesAreNotOverwritten() {
        var writer = ByteWriter(capacity: 16)
        writer.write([1, 2, 3])
        let taken = writer.take()
        writer.write([4, 5, 6])
        #expect(taken.toArray() == [1, 2, 3])
        writer.removeAll()
        writer.write([7])
        #expect(writer.take().toArray() == [7])
    }

    @Test func appendTakesThePrefixThatWasFilled() {
        var writer = ByteWriter()
        writer.append(maximum: 8) { memory in
            memory.storeBytes(of: 0x11, as: UInt8.self)
            return 1
        }
        writer.append(maximum: 8) { _ in 0 }
        #expect(writer.take().toArray() == [0x11])
    }

    @Test func aWriterThatTookNothingStaysEmpty() {
        var writer = ByteWriter()
        writer.write([UInt8]())
        writer.write(Bytes())
        #expect(writer.take() == Bytes())
    }
}
