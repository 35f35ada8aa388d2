import Primitives
import Testing

@Suite struct IdentifierTests {
    @Test func storesAreOrderedAndWrittenInFull() {
        let low = StoreID(high: 1, low: .max)
        let high = StoreID(high: 2, low: 0)
        #expect(low < high && !(high < low))
        #expect("\(StoreID(high: 0xab, low: 1))" == "00000000000000ab0000000000000001")
    }

    @Test func indicesAreCounted() {
        #expect(LogIndex(7) - LogIndex(3) == 4)
        #expect(LogIndex(3) + 4 == LogIndex(7))
        #expect(LogIndex.zero.next == LogIndex(1) && Term(4).next == Term(5))
    }

    @Test func timeNeverRunsBackwards() {
        let early = Instant(nanoseconds: 5)
        #expect((early - (early + .milliseconds(1))) == .zero)
        #expect((early + .milliseconds(1)) - early == .milliseconds(1))
        #expect(Interval.seconds(3) / 2 == .milliseconds(1_500))
    }
}
