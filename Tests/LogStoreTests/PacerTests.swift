import LogStore
import Primitives
import Testing

@Suite struct PacerTests {
    private func paced(every interval: Interval, latency: Interval, count: Int = 200) -> (SyncPacer, Instant) {
        var pacer = SyncPacer()
        var now = Instant.zero
        for _ in 0..<count {
            now = now + interval
            pacer.synced(at: now, latency: latency)
        }
        return (pacer, now)
    }

    @Test func anIdleLogSyncsAtOnce() {
        #expect(SyncPacer().wait(at: .zero, bytes: 10) == .zero)
        let (pacer, now) = paced(every: .milliseconds(1), latency: .microseconds(400))
        #expect(pacer.wait(at: now, bytes: 10) == .zero)
    }

    @Test func aBusyLogWaitsForAQuarterOfItsLatency() {
        let (pacer, now) = paced(every: .microseconds(200), latency: .microseconds(400))
        let wait = pacer.wait(at: now, bytes: 10)
        #expect(wait > .microseconds(90) && wait <= .microseconds(100))
        #expect(pacer.wait(at: now, bytes: SyncPacer.enoughBytes) == .zero)
        #expect(pacer.wait(at: now + .milliseconds(20), bytes: 10) == .zero)
    }

    @Test func theWaitIsBounded() {
        let (pacer, now) = paced(every: .microseconds(500), latency: .milliseconds(50))
        #expect(pacer.wait(at: now, bytes: 10) == SyncPacer.longestWait)
    }

    @Test func oneGapMakesTheLogIdle() {
        var (pacer, now) = paced(every: .microseconds(600), latency: .microseconds(400))
        #expect(pacer.wait(at: now, bytes: 10) > .zero)
        now = now + .seconds(1)
        pacer.synced(at: now, latency: .microseconds(400))
        #expect(pacer.wait(at: now, bytes: 10) == .zero)
    }
}
