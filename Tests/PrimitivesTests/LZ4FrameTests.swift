import Primitives
import Testing

struct LZ4FrameTests {
    /// Bytes that compress: words of a few letters from a small vocabulary, in random order.
    private func text(_ count: Int, seed: UInt64) -> [UInt8] {
        var random = SeededRandom(seed: seed)
        var result: [UInt8] = []
        while result.count < count {
            let word = random.next(below: 50)
            for letter in 0..<3 + word % 5 { result.append(UInt8(97 + (word &* 7 &+ letter) % 26)) }
        }
        return Array(result[..<count])
    }

    private func noise(_ count: Int, seed: UInt64) -> [UInt8] {
        var random = SeededRandom(seed: seed)
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    private func failure(_ frame: [UInt8], limit: Int = 1 << 20) -> LZ4Failure? {
        do throws(LZ4Failure) {
            _ = try LZ4Frame.decompress(Bytes(frame), limit: limit)
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: [0, 1, 2, 15, 64, 1_000, 65_535, 65_536, 65_537, 262_144, 262_145, 1_000_000])
    func whatWasCompressedComesBack(count: Int) throws {
        for content in [text(count, seed: 1), noise(count, seed: 2), [UInt8](repeating: 7, count: count)] {
            let frame = LZ4Frame.compress(Bytes(content))
            #expect(try LZ4Frame.decompress(frame, limit: count).toArray() == content)
            // From the middle of something larger.
            let padded = Bytes([1, 2, 3] + frame.toArray() + [4])
            #expect(try LZ4Frame.decompress(padded[3..<3 + frame.count], limit: count).toArray() == content)
        }
    }

    @Test func repetitionIsShort() {
        let frame = LZ4Frame.compress(Bytes([UInt8](repeating: 0, count: 1 << 20)))
        #expect(frame.count < 6_000)
        #expect(LZ4Frame.compress(Bytes(text(100_000, seed: 3))).count < 50_000)
    }

    /// Blocks of 256 KiB refer to those before them: noise that returns within 64 KiB is short,
    /// even across blocks; four blocks of their own would have 40,000 bytes each.
    @Test func blocksAreLinked() {
        let noise = noise(40_000, seed: 4)
        let content = (0..<20).flatMap { _ in noise }
        #expect(LZ4Frame.compress(Bytes(content)).count < 2 * 40_000)
    }

    /// As the format describes it: magic, flags (version 1, linked or a single block, content size and checksum).
    @Test func theHeadSaysSizeAndChecksum() throws {
        let short = LZ4Frame.compress(Bytes(text(1_000, seed: 5)))
        #expect(hex(short[0..<4]) == "04224d18")
        #expect(short[4] == 0b0110_1100)
        #expect(short[5] == 4 << 4)
        #expect(hex(short[6..<14]) == "e803000000000000")
        let long = LZ4Frame.compress(Bytes(text(1_000_000, seed: 5)))
        #expect(long[4] == 0b0100_1100)
        #expect(long[5] == 5 << 4)
    }

    /// Frames that liblz4 made with other settings; those that say too little, or need too much memory, are refused.
    @Test func framesOfOthersAreReadIfTheyAreSafe() throws {
        let block = "0f000000 6e 68656c6c6f20 0600 50 68656c6c6f"
        let end = "00000000"
        let checksum = "79b1fff9"
        let content = Bytes("hello hello hello hello hello")
        let checkedBlocks = bytes("04224d18 7c40 1d00000000000000 8e" + block + "98f6dc6d" + end + checksum)
        #expect(try LZ4Frame.decompress(Bytes(checkedBlocks), limit: 100) == content)
        let withoutSize = bytes("04224d18 6440 a7" + block + end + checksum)
        #expect(failure(withoutSize) == .invalid("content size"))
        let withoutChecksum = bytes("04224d18 6840 1d00000000000000 0e" + block + end)
        #expect(failure(withoutChecksum) == .invalid("content checksum"))
        let withDictionary = bytes("04224d18 6d40 1d00000000000000 05000000 3f" + block + end + checksum)
        #expect(failure(withDictionary) == .invalid("dictionary"))
        let withLargeBlocks = bytes("04224d18 4c70 1d00000000000000 ab" + block + end + checksum)
        #expect(failure(withLargeBlocks) == .invalid("block size"))
        #expect(failure(bytes("502a4d18 10000000") + [UInt8](repeating: 0, count: 16)) == .invalid("frame type"))
    }

    /// A size that a frame only claims is not believed.
    @Test func aBombIsRefusedBeforeItIsGivenMemory() {
        // 1 GiB of content in a few bytes; one of the 256 checksums of the head is the right one.
        var believed = 0
        for checksum in UInt8.min...UInt8.max {
            let head = bytes("04224d18 6c40 0000004000000000") + [checksum]
            let failure = failure(
                head + bytes("0f000000 6e68656c6c6f2006005068656c6c6f 00000000 79b1fff9"), limit: 1 << 31)
            if failure == .invalid("content size") {
                believed += 1
            } else {
                #expect(failure == .invalid("ERROR_headerChecksum_invalid"))
            }
        }
        #expect(believed == 1)
    }

    @Test func theLimitHolds() throws {
        let frame = LZ4Frame.compress(Bytes([UInt8](repeating: 0, count: 10_000)))
        #expect(try LZ4Frame.decompress(frame, limit: 10_000).count == 10_000)
        #expect(failure(frame.toArray(), limit: 9_999) == .tooLarge(byteCount: 10_000))
        #expect(failure(frame.toArray(), limit: 0) == .tooLarge(byteCount: 10_000))
        #expect(failure(frame.toArray(), limit: -1) == .tooLarge(byteCount: 10_000))
        #expect(try LZ4Frame.decompress(LZ4Frame.compress(Bytes()), limit: 0).isEmpty)
    }

    @Test func onlyOneWholeFrameIsRead() {
        let frame = LZ4Frame.compress(Bytes(text(3_000, seed: 6))).toArray()
        for length in 0..<frame.count { #expect(failure(Array(frame[..<length])) == .truncated, "\(length) bytes") }
        #expect(failure(frame + [0]) == .invalid("bytes behind the frame"))
        #expect(failure(frame + frame) == .invalid("bytes behind the frame"))
    }

    @Test func theChecksumIsChecked() {
        var frame = LZ4Frame.compress(Bytes(noise(500, seed: 7))).toArray()
        frame[100] ^= 1
        #expect(failure(frame) == .invalid("ERROR_contentChecksum_invalid"))
        frame[100] ^= 1
        frame[frame.count - 1] ^= 1
        #expect(failure(frame) == .invalid("ERROR_contentChecksum_invalid"))
    }

    @Test func damagedFramesNeverTrap() {
        let contents = [text(3_000, seed: 8), noise(700, seed: 9), [UInt8](repeating: 1, count: 5_000), []]
        let frames = contents.map { LZ4Frame.compress(Bytes($0)).toArray() }
        var random = SeededRandom(seed: 10)
        var accepted = 0
        for round in 0..<12_000 {
            let content = contents[round % contents.count]
            var frame = frames[round % contents.count]
            for _ in 0..<1 + random.next(below: 3) {
                // Heads are a small part of a frame and most of the rules.
                let places = random.oneIn(3) ? min(16, frame.count) : frame.count
                let at = Int(random.next(below: UInt64(places)))
                switch random.next(below: 5) {
                case 0: frame[at] = UInt8(truncatingIfNeeded: random.next())
                case 1: frame.insert(UInt8(truncatingIfNeeded: random.next()), at: at)
                case 2: frame.remove(at: at)
                default: frame[at] ^= 1 << UInt8(random.next(below: 8))
                }
            }
            guard let result = try? LZ4Frame.decompress(Bytes(frame), limit: 4_999 + round % 2) else { continue }
            accepted += 1
            #expect(result.toArray() == content)
        }
        #expect(accepted < 200)
    }
}
