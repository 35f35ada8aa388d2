import AMQPClient
import Primitives
import Testing

@Suite struct ConfirmWindowTests {
    @Test func multipleSettlesWhatIsLeft() {
        var window = ConfirmWindow()
        for _ in 1...10 { _ = window.next() }
        var runs: [ClosedRange<UInt64>] = []
        #expect(window.settle(3, multiple: false, into: &runs))
        #expect(window.settle(5, multiple: true, into: &runs))
        #expect(runs == [3...3, 1...2, 4...5])
        #expect(window.settledThrough == 5 && window.outstanding == 5 && window.repeated == 0)
        #expect(window.settle(0, multiple: true, into: &runs))
        #expect(runs.last == 6...10 && window.outstanding == 0)
    }

    @Test func strangersAreRefusedAndRepetitionsCounted() {
        var window = ConfirmWindow()
        var runs: [ClosedRange<UInt64>] = []
        #expect(!window.settle(1, multiple: false, into: &runs))
        #expect(!window.settle(1, multiple: true, into: &runs))
        _ = window.next()
        #expect(!window.settle(0, multiple: false, into: &runs))
        #expect(window.settle(1, multiple: false, into: &runs))
        #expect(window.settle(1, multiple: false, into: &runs))
        #expect(window.settle(1, multiple: true, into: &runs))
        #expect(runs == [1...1] && window.repeated == 2)
    }

    @Test(arguments: 0..<20 as Range<UInt64>) func agreesWithASet(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var window = ConfirmWindow()
        var model: Set<UInt64> = []
        for _ in 0..<500 {
            for _ in 0..<random.next(below: 5) { model.insert(window.next()) }
            guard window.lastSequence > 0 else { continue }
            let tag = 1 + random.next(below: window.lastSequence)
            let multiple = random.oneIn(3)
            let expected = multiple ? model.filter { $0 <= tag } : model.intersection([tag])
            var runs: [ClosedRange<UInt64>] = []
            #expect(window.settle(tag, multiple: multiple, into: &runs))
            let settled = runs.flatMap { Array($0) }
            #expect(settled.count == Set(settled).count && Set(settled) == expected)
            model.subtract(expected)
            #expect(window.outstanding == model.count)
            #expect(window.settledThrough == (model.min() ?? window.lastSequence + 1) - 1)
        }
    }
}
