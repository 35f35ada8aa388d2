import Primitives
import Raft
import Testing

@Suite struct TermLogTests {
    /// The same log as plain terms, those up to the base included.
    private func check(_ log: TermLog, against terms: [Term]) {
        let base = Int(log.baseIndex.rawValue)
        #expect(log.baseTerm == (base == 0 ? .zero : terms[base - 1]))
        #expect(log.lastIndex == LogIndex(UInt64(terms.count)))
        #expect(log.lastTerm == terms.last ?? .zero)
        for (position, term) in terms.enumerated().dropFirst(base) {
            let index = LogIndex(UInt64(position) + 1)
            #expect(log.term(at: index) == term)
            let end = terms.lastIndex(of: term).map { LogIndex(UInt64($0) + 1) }
            #expect(log.endOfTerm(at: index) == end)
        }
        #expect(log.term(at: log.baseIndex) == log.baseTerm)
        if base > 0 { #expect(log.term(at: log.baseIndex - 1) == nil) }
        #expect(log.term(at: log.lastIndex.next) == nil)
    }

    @Test func behavesLikeAListOfTerms() {
        var random = SeededRandom(seed: 3)
        for _ in 0..<200 {
            var log = TermLog(RestoredLog())
            var terms: [Term] = []
            var term: UInt64 = 1
            for _ in 0..<30 {
                let base = log.baseIndex.rawValue
                if random.oneIn(8), terms.count > Int(base) {
                    log.compact(through: LogIndex(base + 1 + random.next(below: UInt64(terms.count) - base)))
                } else if random.oneIn(20) {
                    let index = base + 1 + random.next(below: 9)
                    term += random.next(below: 3)
                    log.restart(after: LogIndex(index), term: Term(term))
                    terms = Array(repeating: Term(term), count: Int(index))
                } else if random.oneIn(4), terms.count > Int(base) {
                    let index = base + 1 + random.next(below: UInt64(terms.count) - base)
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
            let naive = terms.prefix(Int(bound)).lastIndex { $0 <= limit }.map { LogIndex(UInt64($0) + 1) } ?? .zero
            #expect(
                log.lastIndex(atMost: LogIndex(bound), termAtMost: limit) == (naive < log.baseIndex ? nil : naive))
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
        #expect(log.lastIndex(atMost: LogIndex(14), termAtMost: Term(3)) == LogIndex(12))
        #expect(log.lastIndex(atMost: LogIndex(10), termAtMost: Term(3)) == LogIndex(10))
        // Further down nothing is known.
        #expect(log.lastIndex(atMost: LogIndex(14), termAtMost: Term(2)) == nil)
        #expect(log.lastIndex(atMost: LogIndex(9), termAtMost: Term(5)) == nil)
    }
}
