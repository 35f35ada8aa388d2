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
    @Test func namesTheOldest() {
        var budget = EntryCacheBudget(limit: 100)
        budget.added(60, group: GroupID(1), index: LogIndex(1))
        budget.added(40, group: GroupID(2), index: LogIndex(9))
        #expect(!budget.isExceeded)
        budget.added(1, group: GroupID(1), index: LogIndex(2))
        #expect(budget.used == 101 && budget.isExceeded)
        #expect(budget.oldest?.group == GroupID(1) && budget.oldest?.index == LogIndex(1))
        budget.dropOldest()
        budget.freed(60)
        #expect(budget.used == 41 && !budget.isExceeded)
        #expect(budget.oldest?.group == GroupID(2))
    }

    /// Entries that went with snapshots must not be remembered for ever, behind one that stays.
    @Test func staleItemsAreSweptOut() {
        var budget = EntryCacheBudget(limit: .max)
        budget.added(1, group: GroupID(1), index: LogIndex(1))
        var asked = 0
        for number in 1...20_000 {
            budget.added(1, group: GroupID(2), index: LogIndex(UInt64(number)))
            budget.freed(1)
            budget.sweep { group, _ in
                asked += 1
                return group == GroupID(1)
            }
        }
        #expect(asked >= 16_384 && asked < 24_000)
        #expect(budget.oldest?.group == GroupID(1))
        budget.dropOldest()
        while let oldest = budget.oldest, oldest.group == GroupID(2) { budget.dropOldest() }
        #expect(budget.oldest == nil && budget.used == 1)
    }
}
