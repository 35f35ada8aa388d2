import LogStore
import Primitives
import Replication
import Testing

/// What a start read for each group, and when the group had caught up.
@Suite struct RecoveryLedgerTests {
    private let start = Instant(nanoseconds: 5_000_000_000)

    private func found(_ group: UInt64, entries: ClosedRange<UInt64>?, snapshot: UInt64? = nil) -> RecoveredGroup {
        RecoveredGroup(
            group: GroupID(group), term: Term(3), vote: nil, created: nil, configuration: nil,
            snapshot: snapshot.map {
                RecoveredSnapshot(index: LogIndex($0), term: Term(2), bytes: Bytes("state"), live: [])
            },
            entries: entries.map { $0.map { location(group, $0) } } ?? [])
    }

    private func location(_ group: UInt64, _ index: UInt64) -> EntryLocation {
        EntryLocation(
            group: GroupID(group), index: LogIndex(index), term: Term(3), segment: 1, offset: 4_096, length: 100,
            checksum: 0)
    }

    @Test func aGroupTakesLittleMemory() { #expect(MemoryLayout<GroupRecovery>.stride <= 64) }

    @Test func countsWhatWasFound() throws {
        var group = found(7, entries: 11...20, snapshot: 10)
        group.retained = [location(7, 3), location(7, 5)]
        group.missing = [LogIndex(4)]
        group.damaged = [LogIndex(5), LogIndex(12)]
        let ledger = RecoveryLedger([found(2, entries: nil), group, found(9, entries: 1...1)], start: start)
        let entry = try #require(ledger[GroupID(7)])
        #expect(entry.entries == 12 && entry.entryBytes == 1_200)
        #expect(entry.snapshotIndex == LogIndex(10) && entry.snapshotBytes == 5 && entry.lastIndex == LogIndex(20))
        #expect(entry.missing == 1 && entry.damaged == 2 && entry.repaired == 0 && entry.replayed == 0)
        #expect(!entry.isCaughtUp && entry.caughtUpAfter == nil && entry.leader == nil)
        #expect(ledger[GroupID(8)] == nil && ledger[GroupID(2)]?.lastIndex == .zero)
        #expect(ledger.groups.map(\.group) == [GroupID(2), GroupID(7), GroupID(9)])
    }

    @Test func followsAGroupUntilItHasCaughtUp() throws {
        var ledger = RecoveryLedger([found(2, entries: 1...4), found(7, entries: 1...9)], start: start)
        ledger.replayed(GroupID(7), 4)
        ledger.repaired(GroupID(7))
        ledger.replayed(GroupID(7), 5)
        ledger.caughtUp(GroupID(7), leader: NodeID(3), now: start + .milliseconds(1_234))
        let entry = try #require(ledger[GroupID(7)])
        #expect(entry.replayed == 9 && entry.repaired == 1 && entry.leader == NodeID(3))
        #expect(entry.caughtUpAfter == .milliseconds(1_234) && entry.isCaughtUp)
        #expect(ledger[GroupID(2)] == RecoveryLedger([found(2, entries: 1...4)], start: start)[GroupID(2)])
        // What this start did not find has no row.
        ledger.replayed(GroupID(5), 1)
        ledger.repaired(GroupID(5))
        ledger.caughtUp(GroupID(5), leader: nil, now: start)
        #expect(ledger.groups.count == 2)
    }
}
