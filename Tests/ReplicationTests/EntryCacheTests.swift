import Primitives
import Replication
import Testing

@Suite struct EntryTailTests {
    private func tail(_ range: ClosedRange<UInt64>) -> EntryTail {
        var tail = EntryTail(next: LogIndex(range.lowerBound))
        for index in range { tail.append(entry(index)) }
        return tail
    }

    @Test func holdsARangeOfIndices() {
        let tail = tail(4...6)
        #expect(tail.first == LogIndex(4) && tail.end == LogIndex(7))
        #expect(tail[LogIndex(3)] == nil && tail[LogIndex(7)] == nil && tail[.zero] == nil)
        #expect((4...6).allSatisfy { tail[LogIndex($0)]?.index == LogIndex($0) })
    }

    @Test func anEmptyTailKnowsWhatComesNext() {
        let tail = EntryTail(next: LogIndex(9))
        #expect(tail.isEmpty && tail.first == LogIndex(9) && tail.end == LogIndex(9))
    }

    @Test func dropsTheOldest() {
        var tail = tail(4...5)
        #expect(tail.dropFirst() == entry(4).bytes.count)
        #expect(tail.first == LogIndex(5) && tail[LogIndex(4)] == nil)
        #expect(tail.dropFirst() > 0)
        #expect(tail.isEmpty && tail.end == LogIndex(6))
        #expect(tail.dropFirst() == 0 && tail.end == LogIndex(6))
        tail.append(entry(6))
        #expect(tail[LogIndex(6)]?.index == LogIndex(6))
    }

    @Test func truncates() {
        var tail = tail(4...8)
        #expect(tail.truncate(from: LogIndex(7)) == 2 * entry(7).bytes.count)
        #expect(tail.end == LogIndex(7))
        tail.append(entry(7, term: 2))
        #expect(tail[LogIndex(7)]?.term == Term(2))
        #expect(tail.truncate(from: LogIndex(9)) == 0 && tail.end == LogIndex(8))
    }

    /// The older entries of the log are on disk only: the suffix goes with all that is here.
    @Test func truncatesBeforeItsFirst() {
        var tail = tail(4...6)
        #expect(tail.truncate(from: LogIndex(2)) == 3 * entry(4).bytes.count)
        #expect(tail.isEmpty && tail.first == LogIndex(2) && tail.end == LogIndex(2))
        tail.append(entry(2, term: 3))
        #expect(tail[LogIndex(2)]?.term == Term(3))
    }
}

@Suite struct EntryCacheBudgetTests {
    @Test func namesTheOldestWhileTheBudgetIsExceeded() {
        var budget = EntryCacheBudget(limit: 100)
        budget.added(60, group: GroupID(1), index: LogIndex(1))
        budget.added(40, group: GroupID(2), index: LogIndex(9))
        #expect(budget.candidate == nil)
        budget.added(1, group: GroupID(1), index: LogIndex(2))
        #expect(budget.used == 101)
        #expect(budget.candidate?.group == GroupID(1) && budget.candidate?.index == LogIndex(1))
        budget.dropCandidate()
        budget.freed(60)
        #expect(budget.used == 41 && budget.candidate == nil)
    }

    @Test func whatMustStayComesFirstAgain() throws {
        var budget = EntryCacheBudget(limit: 0)
        budget.added(5, group: GroupID(1), index: LogIndex(1))
        budget.added(5, group: GroupID(2), index: LogIndex(1))
        let first = try #require(budget.candidate)
        budget.dropCandidate()
        budget.readd(first)
        #expect(budget.candidate?.group == GroupID(1))
        budget.dropCandidate()
        #expect(budget.candidate?.group == GroupID(2))
        budget.dropCandidate()
        #expect(budget.candidate == nil)
    }
}
