import LogStore
import Primitives
import Testing

@Suite struct PacerTests {
    private func paced(
        every interval: Interval, latency: Interval, count: Int = 200, submissions: Int = 2
    ) -> (SyncPacer, Instant) {
        var pacer = SyncPacer()
        var now = Instant.zero
        for _ in 0..<count {
            now = now + interval
            pacer.took(submissions: submissions)
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

    @Test func nothingIsWaitedForWhereSubmissionsComeOneByOne() {
        var (pacer, now) = paced(every: .microseconds(200), latency: .microseconds(400), submissions: 1)
        #expect(pacer.wait(at: now, bytes: 10) == .zero)
        for _ in 0..<16 {
            pacer.took(submissions: 2)
            now = now + .microseconds(200)
            pacer.synced(at: now, latency: .microseconds(400))
        }
        #expect(pacer.wait(at: now, bytes: 10) > .zero)
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

@Suite struct PreparationPaceTests {
    @Test func anIdleLogsSegmentIsFilledSlowlyInSmallSteps() {
        var pace = PreparationPace(at: .zero, written: 0)
        #expect(pace.step == PreparationPace.smallestStep)
        let next = pace.stepped(at: .zero + .microseconds(100), written: 0)
        #expect(next == Instant(nanoseconds: 7_812_500))
    }

    @Test func aBusyLogsSegmentIsFilledTwiceAsFastAsTheLogIsWritten() {
        var pace = PreparationPace(at: .zero, written: 0)
        var now = Instant.zero
        func written(at now: Instant) -> UInt64 { now.nanoseconds / 10 }
        for _ in 0..<200 {
            now = pace.stepped(at: now + .microseconds(300), written: written(at: now + .microseconds(300)))
        }
        // 100 MB/s are written: 200 MB/s are filled, 800,000 bytes each 4 ms.
        #expect((790_000...800_000).contains(pace.step))
        let next = pace.stepped(at: now + .microseconds(300), written: written(at: now + .microseconds(300)))
        #expect((3_950_000...4_000_000).contains((next - now).nanoseconds))
    }

    @Test func aStepIsBoundedAndASlowDiskGetsNoPause() {
        var pace = PreparationPace(at: .zero, written: 0)
        var now = Instant.zero
        for round in 1...100 as ClosedRange<UInt64> {
            let ended = now + .milliseconds(10)
            now = pace.stepped(at: ended, written: round * 1 << 30)
            #expect(round < 20 || now == ended)
        }
        #expect(pace.step == PreparationPace.largestStep)
        // Numbers that no disk reaches do no harm.
        _ = pace.stepped(at: now, written: .max)
        _ = pace.stepped(at: now, written: 0)
        #expect(pace.step == PreparationPace.largestStep)
    }
}
