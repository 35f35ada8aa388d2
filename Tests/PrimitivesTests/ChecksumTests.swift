import Primitives
import Testing

@Suite struct ChecksumTests {
    /// The vectors of RFC 3720, appendix B.4, and the usual check value.
    @Test func vectors() {
        #expect(CRC32C.checksum(Bytes("123456789")) == 0xe306_9283)
        #expect(CRC32C.checksum(Bytes([UInt8](repeating: 0, count: 32))) == 0x8a91_36aa)
        #expect(CRC32C.checksum(Bytes([UInt8](repeating: 0xff, count: 32))) == 0x62a8_ab43)
        #expect(CRC32C.checksum(Bytes([UInt8](0..<32))) == 0x46dd_794e)
        #expect(CRC32C.checksum(Bytes([UInt8]((0..<32).reversed()))) == 0x113f_db5c)
        #expect(CRC32C.checksum(Bytes()) == 0)
        #expect(CRC32C.checksum(Bytes(), seed: 7) == 7)
    }

    /// Long enough for the lanes of the hardware path.
    @Test func longInput() {
        let input = Bytes((0..<20_000).map { UInt8(truncatingIfNeeded: $0 * 7 + 3) })
        #expect(CRC32C.checksum(input) == 0x2f45_e9ea)
        for cut in [1, 7, 8, 255, 4_096, 12_345, 19_999] {
            let first = CRC32C.checksum(input[0..<cut])
            #expect(CRC32C.checksum(input[cut..<input.count], seed: first) == 0x2f45_e9ea)
        }
    }
}
