import Primitives
import Testing

@Suite struct ChecksumTests {
    @Test func knownValues() {
        // RFC 3720, B.4, and the check value of the CRC catalogue.
        #expect(CRC32C.checksum(Bytes([UInt8](repeating: 0, count: 32))) == 0x8A91_36AA)
        #expect(CRC32C.checksum(Bytes([UInt8](repeating: 0xFF, count: 32))) == 0x62A8_AB43)
        #expect(CRC32C.checksum(Bytes(Array(0..<32))) == 0x46DD_794E)
        #expect(CRC32C.checksum(Bytes("123456789")) == 0xE306_9283)
    }

    @Test func lanesAgreeWithSingleBytes() {
        var random = SeededRandom(seed: 5)
        let bytes = Bytes((0..<16_000).map { _ in UInt8(truncatingIfNeeded: random.next()) })
        for length in [0, 1, 7, 8, 1_007, 1_008, 1_009, 2_016, 6_143, 6_144, 7_152, 12_288, 13_300, 15_990] {
            for start in [0, 3] {
                let seed = UInt32(truncatingIfNeeded: random.next())
                var single = seed
                for position in start..<start + length {
                    single = CRC32C.checksum(bytes[position..<position + 1], seed: single)
                }
                #expect(CRC32C.checksum(bytes[start..<start + length], seed: seed) == single)
            }
        }
    }
}
