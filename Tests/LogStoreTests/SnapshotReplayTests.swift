import LogStore
import Primitives
import Testing

/// What a start makes of snapshots, and of the gaps that they leave.
@Suite struct SnapshotReplayTests {
    private static let group = GroupID(7)

    private func entries(_ range: ClosedRange<UInt64>, term: UInt64 = 1) -> [LogRecord] {
        range.map { .entry(entry($0, term: term)) }
    }

    private func snapshot(
        at index: UInt64, bytes: [UInt8] = Array(0..<100), chunk: Int = 30, live: [ClosedRange<UInt64>] = [],
        replacesLog: Bool = false
    ) -> [LogRecord] {
        LogHost.snapshotRecords(
            7, at: index, term: 1, bytes: bytes, chunk: chunk,
            live: live.map { LogIndex($0.lowerBound)...LogIndex($0.upperBound) }, replacesLog: replacesLog)
    }

    private func recovered(_ log: LogFixture) throws -> RecoveredGroup {
        try #require(try LogFixture(disk: log.disk).store.group(7))
    }

    /// Flips a bit of the last chunk in each segment that holds 10 ..< 29.
    private func damageChunk(_ log: LogFixture) throws {
        let pattern = [UInt8](10..<29)
        var count = 0
        for name in try log.disk.list() where name.hasPrefix("segment-") {
            var bytes = log.disk.contents(name)
            let place = bytes.indices.dropLast(19).last { Array(bytes[$0..<$0 + 19]) == pattern }
            guard let place else { continue }
            bytes[place] ^= 1
            log.disk.replace(name, with: bytes)
            count += 1
        }
        #expect(count > 0)
    }

    /// The log goes on behind a snapshot at 9 that holds 10 ..< 29, and then this is damaged.
    private func losingItsSnapshot(_ log: inout LogFixture) throws -> RecoveredGroup {
        try log.append(entries(10...14, term: 2))
        try log.attest()
        let whole = try recovered(log)
        #expect(whole.snapshot != nil && whole.mayLead && numbers(whole.entries) == Array(10...14))
        try damageChunk(log)
        let group = try recovered(log)
        #expect(group.snapshot == nil && numbers(group.entries) == Array(1...14))
        return group
    }

    private func numbers(_ locations: [EntryLocation]) -> [UInt64] { locations.map(\.index.rawValue) }

    @Test func aSnapshotDropsWhatIsNotLive() throws {
        var log = try LogFixture()
        try log.append(entries(1...20))
        try log.append(snapshot(at: 15, live: [2...3, 9...9, 15...15]))
        try log.append(entries(21...22))
        let group = try recovered(log)
        let found = try #require(group.snapshot)
        #expect(found.index == LogIndex(15) && found.term == Term(1) && found.bytes.toArray() == Array(0..<100))
        #expect(found.live == [LogIndex(2)...LogIndex(3), LogIndex(9)...LogIndex(9), LogIndex(15)...LogIndex(15)])
        #expect(numbers(group.retained) == [2, 3, 9, 15] && numbers(group.entries) == Array(16...22))
        #expect(group.missing.isEmpty && group.mayVote && group.mayLead && group.lastIndex == LogIndex(22))
    }

    @Test func theNewestWholeSnapshotCounts() throws {
        var log = try LogFixture()
        try log.append(entries(1...20))
        try log.append(snapshot(at: 10, bytes: [1, 2, 3], live: [4...5]))
        try log.append(snapshot(at: 18, bytes: [], live: [5...5]))
        let group = try recovered(log)
        #expect(group.snapshot?.index == LogIndex(18) && group.snapshot?.bytes.isEmpty == true)
        #expect(numbers(group.retained) == [5] && numbers(group.entries) == [19, 20])
    }

    @Test func aSnapshotBeyondTheLogReplacesIt() throws {
        var log = try LogFixture()
        try log.append(entries(1...5))
        try log.append([.truncate(group: SnapshotReplayTests.group, from: LogIndex(101))])
        try log.append(entries(40...40) + entries(90...90))
        try log.append(snapshot(at: 100, live: [3...3, 40...40, 90...90]))
        let group = try recovered(log)
        #expect(numbers(group.retained) == [3, 40, 90] && group.entries.isEmpty && group.lastIndex == LogIndex(100))
        #expect(group.mayVote && group.mayLead)
    }

    @Test func aLiveEntryThatIsNotThereIsNamed() throws {
        var log = try LogFixture()
        try log.append(entries(1...5))
        try log.append(snapshot(at: 9, live: [2...3, 7...8]))
        let group = try recovered(log)
        #expect(group.missing == [LogIndex(7), LogIndex(8)] && !group.mayLead && group.mayVote)
        try log.append(entries(7...8))
        let repaired = try recovered(log)
        #expect(repaired.missing.isEmpty && repaired.mayLead && numbers(repaired.retained) == [2, 3, 7, 8])
    }

    @Test func aTransferThatCameToNothingLeavesNothing() throws {
        var log = try LogFixture()
        try log.append(entries(1...5))
        try log.append(entries(40...40) + entries(42...43))
        let group = try recovered(log)
        #expect(numbers(group.entries) == Array(1...5) && group.mayVote && group.mayLead && group.damaged.isEmpty)
        // Later entries pass the place, and a truncation clears it.
        try log.append(entries(6...8))
        #expect(try numbers(recovered(log).entries) == Array(1...8))
        try log.append([.truncate(group: SnapshotReplayTests.group, from: LogIndex(9))])
        try log.append(entries(9...39))
        #expect(try numbers(recovered(log).entries) == Array(1...39))
    }

    @Test func aLogThatBeginsNowhereHasLostRecords() throws {
        var log = try LogFixture()
        try log.append(entries(4...6))
        let group = try recovered(log)
        #expect(!group.mayVote && !group.mayLead)
    }

    @Test func aNewEntryDropsOlderTermsBehindItAndNoOthers() throws {
        var log = try LogFixture()
        try log.append(entries(1...6))
        try log.append(entries(20...20, term: 3))
        try log.append(entries(3...3, term: 2))
        try log.append(snapshot(at: 30, live: [2...3, 20...20]))
        let group = try recovered(log)
        #expect(group.retained.map(\.term.rawValue) == [1, 2, 3] && group.missing.isEmpty)
    }

    @Test func aTruncationSparesTheSnapshot() throws {
        var log = try LogFixture()
        try log.append(entries(1...20))
        try log.append(snapshot(at: 10, live: [4...5]))
        try log.append([.truncate(group: SnapshotReplayTests.group, from: LogIndex(13))])
        try log.append(entries(13...14, term: 2))
        let group = try recovered(log)
        #expect(numbers(group.retained) == [4, 5] && numbers(group.entries) == [11, 12, 13, 14])
        #expect(group.entries.map(\.term.rawValue) == [1, 1, 2, 2])
    }

    @Test func aRemovedGroupHasNoSnapshot() throws {
        var log = try LogFixture()
        try log.append(entries(1...5))
        try log.append(snapshot(at: 5))
        try log.append([.groupRemoved(group: SnapshotReplayTests.group, at: LogIndex(5))])
        #expect(try LogFixture(disk: log.disk).store.groups.isEmpty)
        try log.append([.groupCreated(group: SnapshotReplayTests.group, Bytes("again"))])
        let group = try recovered(log)
        #expect(group.snapshot == nil && group.entries.isEmpty && group.mayLead)
    }

    @Test func chunksWithoutTheirMarkMeanNothingAndOthersMayFollow() throws {
        var log = try LogFixture()
        try log.append(entries(1...5))
        try log.append(Array(snapshot(at: 4, bytes: Array(100..<200)).dropLast()))
        #expect(try recovered(log).snapshot == nil)
        // Begun anew, with other bytes in other chunks.
        try log.append(snapshot(at: 4, bytes: Array(0..<90), chunk: 45))
        #expect(try recovered(log).snapshot?.bytes.toArray() == Array(0..<90))
        // A mark whose chunks are not all there does not count.
        try log.append(Array(snapshot(at: 5).dropFirst()))
        let group = try recovered(log)
        #expect(group.snapshot?.index == LogIndex(4) && numbers(group.entries) == [5] && group.mayLead)
    }

    @Test func everyFlippedByteOfASnapshotIsNoticed() throws {
        var log = try LogFixture()
        try log.append([.groupCreated(group: SnapshotReplayTests.group, Bytes("p"))] + entries(1...6))
        try log.append(snapshot(at: 3, bytes: [9, 9], live: [2...2]))
        let mark = log.disk.contents(firstSegment)
        try log.append(snapshot(at: 6, live: [2...2, 4...4]))
        try log.attest()
        let image = log.disk.contents(firstSegment)
        let changed = image.indices.filter { image[$0] != mark[$0] }
        let range = try #require(changed.first)...(try #require(changed.last))
        var fallbacks = 0
        for position in range {
            let copy = log.disk.clone()
            var bytes = image
            bytes[position] ^= 0x10
            copy.replace(firstSegment, with: bytes)
            let group = try #require(try LogFixture(disk: copy).store.group(7))
            if group.snapshot?.index == LogIndex(6) {
                #expect(group.snapshot?.bytes.toArray() == Array(0..<100) && numbers(group.retained) == [2, 4])
            } else {
                // Everything behind the older one is still there, so nothing is lost.
                fallbacks += 1
                #expect(group.snapshot?.bytes.toArray() == [9, 9] && numbers(group.retained) == [2])
                #expect(numbers(group.entries) == [4, 5, 6] && group.mayLead)
            }
        }
        #expect(fallbacks >= 100)
    }

    @Test func aGapBehindADamagedSnapshotCostsVoteAndLead() throws {
        var log = try LogFixture()
        try log.append(entries(1...6))
        try log.append(snapshot(at: 9))
        try log.append(entries(10...12))
        try log.attest()
        try damageChunk(log)
        let group = try recovered(log)
        #expect(group.snapshot == nil && numbers(group.entries) == Array(1...6))
        #expect(!group.mayVote && !group.mayLead)
        // It never went beyond its last entry, which may have been acknowledged.
        #expect(group.lostThrough == LogIndex(12))
    }

    /// The log below a leader's snapshot was another branch; what is left of it must not be joined to what followed.
    @Test func aDamagedSnapshotThatReplacedTheLogCostsVoteAndLead() throws {
        var log = try LogFixture()
        try log.append(entries(1...12))
        let truncation = LogRecord.truncate(group: SnapshotReplayTests.group, from: LogIndex(10))
        try log.append([truncation] + snapshot(at: 9, bytes: Array(10..<29), replacesLog: true))
        let group = try losingItsSnapshot(&log)
        #expect(!group.mayVote && !group.mayLead && group.lostThrough == LogIndex(14))
    }

    /// A transfer put its entries over the end of another branch, with which they look like one log; the snapshot that
    /// followed found its last entry there and cut nothing.
    @Test func aDamagedSnapshotOverAnotherBranchCostsVoteAndLead() throws {
        var log = try LogFixture()
        try log.append(entries(1...9))
        try log.append(entries(6...9, term: 2))
        try log.append(snapshot(at: 9, bytes: Array(10..<29), live: [6...9], replacesLog: true))
        let group = try losingItsSnapshot(&log)
        #expect(!group.mayVote && !group.mayLead && group.lostThrough == LogIndex(14))
    }

    /// A replica whose doubt is settled cuts behind the end of its log; its own snapshot there replaces nothing.
    @Test func aDamagedSnapshotAtTheEndOfALogThatWasCutThereCostsNothing() throws {
        var log = try LogFixture()
        try log.append(entries(1...9))
        try log.append([.truncate(group: SnapshotReplayTests.group, from: LogIndex(10))])
        try log.append(snapshot(at: 9, bytes: Array(10..<29)))
        let group = try losingItsSnapshot(&log)
        #expect(group.mayVote && group.mayLead)
    }

    /// Reclamation copies the mark to another segment.
    @Test func aCopiedMarkStillSaysThatItReplacedALog() throws {
        var log = try LogFixture()
        var dead: [EntryLocation] = []
        func fill(_ range: ClosedRange<UInt64>) throws {
            for index in range {
                try log.log.prepareSegments()
                dead += try log.append([.entry(entry(index, group: 8, size: 900))])
            }
        }
        try log.append([.groupCreated(group: GroupID(8), Bytes("p"))])
        // One that is needed among many that are not, in segment after segment.
        for index in 1...9 as ClosedRange<UInt64> {
            try log.append(entries(index...index))
            try fill(index * 20...index * 20 + 19)
        }
        try log.append(snapshot(at: 9, bytes: Array(10..<29), live: [1...9], replacesLog: true))
        let marked = log.log.activeSegment
        try fill(200...260)
        try log.append([.groupRemoved(group: GroupID(8), at: LogIndex(260))])
        log.log.release(dead.map { SegmentRelease($0) })
        for _ in 0..<1_000 {
            let progress = try log.log.reclaimStep { $0.map { $0.group == SnapshotReplayTests.group } }
            try log.flush()
            log.log.release(log.log.takeRelocations().map { SegmentRelease($0.from) })
            if progress == .idle { break }
        }
        #expect(log.log.takeRetiredSegments().contains(marked))
        let group = try losingItsSnapshot(&log)
        #expect(!group.mayVote && !group.mayLead)
    }
}
