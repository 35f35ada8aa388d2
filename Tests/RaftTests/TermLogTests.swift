import Primitives
import Raft
import Testing

@Suite struct TermLogTests {
    /// The same log as plain terms.
    private func check(_ log: TermLog, against terms: [Term]) {
        #expect(log.lastIndex == LogIndex(UInt64(terms.count)))
        #expect(log.lastTerm == terms.last ?? .zero)
        for (position, term) in terms.enumerated() {
            let index = LogIndex(UInt64(position) + 1)
            #expect(log.term(at: index) == term)
            let end = terms.lastIndex(of: term).map { LogIndex(UInt64($0) + 1) }
            #expect(log.endOfTerm(at: index) == end)
        }
        #expect(log.term(at: .zero) == .zero)
        #expect(log.term(at: log.lastIndex.next) == nil)
    }

    @Test func behavesLikeAListOfTerms() {
        var random = SeededRandom(seed: 3)
        for _ in 0..<200 {
            var log = TermLog(RestoredLog())
            var terms: [Term] = []
            var term: UInt64 = 1
            for _ in 0..<30 {
                if random.oneIn(4), !terms.isEmpty {
                    let index = 1 + random.next(below: UInt64(terms.count))
                    log.truncate(from: LogIndex(index))
                    terms.removeSubrange(Int(index - 1)...)
                } else {
                    term += random.next(below: 3)
                    let count = 1 + random.next(below: 5)
                    log.append(count: count, term: Term(term))
                    terms += Array(repeating: Term(term), count: Int(count))
                }
            }
            check(log, against: terms)
            let bound = random.next(below: UInt64(terms.count) + 3)
            let limit = Term(random.next(below: term + 2))
            let naive = terms.prefix(Int(bound)).lastIndex { $0 <= limit }.map { UInt64($0) + 1 } ?? 0
            #expect(log.lastIndex(atMost: LogIndex(bound), termAtMost: limit) == LogIndex(naive))
        }
    }

    @Test func beginsBehindASnapshot() {
        let log = TermLog(
            RestoredLog(
                hardState: HardState(term: Term(5)),
                termRuns: [TermRun(first: LogIndex(11), term: Term(3)), TermRun(first: LogIndex(13), term: Term(5))],
                lastIndex: LogIndex(14), snapshotIndex: LogIndex(10), snapshotTerm: Term(3)))
        #expect(log.term(at: LogIndex(9)) == nil)
        #expect(log.term(at: LogIndex(10)) == Term(3))
        #expect(log.term(at: LogIndex(12)) == Term(3))
        #expect(log.term(at: LogIndex(13)) == Term(5))
        #expect(log.lastIndex(atMost: LogIndex(14), termAtMost: Term(4)) == LogIndex(12))
        #expect(log.lastIndex(atMost: LogIndex(14), termAtMost: Term(2)) == LogIndex(10))
    }
}
