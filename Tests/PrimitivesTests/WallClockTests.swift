import Primitives
import Testing

@Suite struct WallClockTests {
    /// Of three readings the thread is interrupted in two.
    @Test func theShortestReadingCounts() {
        var monotonic: [UInt64] = [0, 9_000_000, 10_000_000, 10_001_000, 20_000_000, 25_000_000]
        var wall: [UInt64] = [5_008_000_000, 5_010_000_000, 5_024_000_000]
        let clock = WallClock(
            monotonic: { Instant(nanoseconds: monotonic.removeFirst()) }, nanoseconds: { wall.removeFirst() })
        #expect(clock.microseconds(at: Instant(nanoseconds: 10_000_000)) == 5_010_000)
        #expect(clock.microseconds(at: Instant(nanoseconds: 17_000_000)) == 5_017_000)
        #expect(clock.microseconds(at: Instant(nanoseconds: 3_000_000)) == 5_003_000)
    }

    @Test func nothingIsBefore1970() {
        let clock = WallClock(monotonic: { Instant(nanoseconds: 9_000_000) }, nanoseconds: { 1_000_000 })
        #expect(clock.microseconds(at: .zero) == 0)
    }
}
