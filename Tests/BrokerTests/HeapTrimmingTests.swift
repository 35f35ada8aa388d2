import Broker
import Testing

@Suite struct HeapTrimmingTests {
    /// What is decided about resident mebibytes and loads, one second after the other.
    private func decisions(_ trimming: inout HeapTrimming, _ seconds: [(resident: UInt64, load: Double)]) -> [Bool] {
        seconds.map { trimming.isDue(resident: $0.resident << 20, load: $0.load) }
    }

    @Test func whatAFloodTookGoesBackWhenItIsOver() {
        var trimming = HeapTrimming(limit: 400 << 20)
        #expect(decisions(&trimming, [(60, 0.01), (100, 1.2), (100, 0.01)]) == [false, false, true])
        // What is in use stays, and is not asked for again.
        trimming.trimmed(resident: 97 << 20)
        #expect(decisions(&trimming, [(97, 0.01), (70, 0.01), (71, 0.01)]) == [false, false, true])
    }

    @Test func shortMemoryDoesNotWaitForQuiet() {
        var trimming = HeapTrimming(limit: 400 << 20)
        #expect(decisions(&trimming, [(370, 2), (380, 2)]) == [false, true])
    }
}
