import Bench
import Primitives
import Testing

@Suite struct MessageBodyTests {
    @Test(arguments: [32, 33, 64, 1_024])
    func everyFlippedBitShows(_ size: Int) {
        let body = MessageBody(size: size)
        let buffer = body.makeBuffer()
        defer { buffer.deallocate() }
        let stamp = MessageStamp(run: 0xdead_beef, publisher: 3, sequence: 1 << 40, time: Instant(nanoseconds: 99))
        body.stamp(stamp, into: buffer)
        #expect(body.read(UnsafeRawBufferPointer(buffer)) == stamp)
        for bit in 0..<size * 8 {
            buffer[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(body.read(UnsafeRawBufferPointer(buffer)) == nil)
            buffer[bit / 8] ^= 1 << UInt8(bit % 8)
        }
        #expect(body.read(UnsafeRawBufferPointer(buffer)) == stamp)
    }

    @Test(arguments: [16, 17, 31])
    func everyFlippedBitOfAShortStampShows(_ size: Int) {
        let body = MessageBody(size: size)
        let buffer = body.makeBuffer()
        defer { buffer.deallocate() }
        let sent = Instant(nanoseconds: (1 << 32) * 1_000 - 7_000)
        let now = sent + .seconds(20)
        let stamp = MessageStamp(run: body.highestRun, publisher: 999, sequence: 1 << 35, time: sent)
        body.stamp(stamp, into: buffer)
        #expect(body.read(UnsafeRawBufferPointer(buffer), now: now) == stamp)
        for bit in 0..<size * 8 {
            buffer[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(body.read(UnsafeRawBufferPointer(buffer), now: now) == nil)
            buffer[bit / 8] ^= 1 << UInt8(bit % 8)
        }
    }

    @Test func otherSizesAreNotOurs() {
        let body = MessageBody(size: 40)
        let buffer = MessageBody(size: 41).makeBuffer()
        defer { buffer.deallocate() }
        for count in 0...41 { #expect(body.read(UnsafeRawBufferPointer(rebasing: buffer[..<count])) == nil) }
    }
}
