import LogStore
import Primitives
import Testing

@Suite struct NodeLogTests {
    @Test func everyKindComesBack() throws {
        var first = try LogFixture()
        #expect(first.store.isFresh && first.store.mayVote && first.store.incarnation == Incarnation(1))
        let group = GroupID(7)
        let locations = try first.append([
            .groupCreated(group: group, Bytes("parameters")), .configuration(group: group, Bytes("old")),
            .hardState(group: group, term: Term(3), vote: nil), .entry(entry(1)), .entry(entry(2)),
            .entry(entry(3, term: 3)),
        ])
        try first.append([
            .configuration(group: group, Bytes("new")), .hardState(group: group, term: Term(3), vote: NodeID(2)),
            .truncate(group: group, from: LogIndex(3)), .groupCreated(group: GroupID(8), Bytes()),
            .groupRemoved(group: GroupID(8), at: LogIndex(1)),
            .hardState(group: GroupID(9), term: Term(1), vote: NodeID(1)),
        ])
        #expect(locations.map(\.index.rawValue) == [1, 2, 3])
        #expect(try first.read(locations[1]).bytes == entry(2).bytes)

        let second = try LogFixture(disk: first.disk)
        #expect(second.store.storeID == first.store.storeID)
        #expect(second.store.incarnation == Incarnation(2))
        #expect(!second.store.isFresh && second.store.mayVote)
        #expect(second.store.groups.map(\.group.rawValue) == [7, 9])
        #expect(second.store.removedGroups == [GroupID(8)])
        let recovered = try #require(second.store.group(7))
        #expect(recovered.term == Term(3) && recovered.vote == NodeID(2))
        #expect(recovered.created == Bytes("parameters") && recovered.configuration == Bytes("new"))
        #expect(recovered.entries == Array(locations[0..<2]))
        #expect(recovered.mayVote && recovered.mayLead && recovered.damaged.isEmpty)
        #expect(second.store.group(9)?.created == nil)
    }

    @Test func hardStateIsTheHighestTermAndAVoteOverNone() throws {
        var log = try LogFixture()
        let group = GroupID(7)
        try log.append([
            .hardState(group: group, term: Term(5), vote: NodeID(3)),
            .hardState(group: group, term: Term(5), vote: nil),
            .hardState(group: group, term: Term(4), vote: NodeID(1)),
        ])
        let recovered = try #require(try LogFixture(disk: log.disk).store.group(7))
        #expect(recovered.term == Term(5) && recovered.vote == NodeID(3))
    }

    @Test func anEmptyStoreStaysFreshUntilARecordIsDurable() throws {
        var log = try LogFixture()
        let again = try LogFixture(disk: log.disk)
        #expect(again.store.isFresh && again.store.incarnation == Incarnation(2))
        log = again
        // Staged and even written, but never synced: nobody was told.
        log.log.stage([.entry(entry(1))], ticket: 1)
        let prepared = try log.log.prepareFrame()
        let write = try #require(prepared)
        try log.disk.write(write.file, at: write.offset, Array(write.parts.prefix(1)))
        #expect(try LogFixture(disk: log.disk).store.isFresh)
        var third = try LogFixture(disk: log.disk)
        try third.append([.entry(entry(1))])
        #expect(try !LogFixture(disk: log.disk).store.isFresh)
    }

    @Test func aSubmissionStaysInOneFrameAndOrderIsKept() throws {
        var log = try LogFixture()
        for ticket in 1...5 { log.log.stage([.entry(entry(UInt64(ticket), size: 600_000))], ticket: UInt64(ticket)) }
        var frames: [[UInt64]] = []
        while let write = try log.log.prepareFrame() {
            try log.disk.write(write.file, at: write.offset, write.parts)
            try log.disk.sync(write.file)
            let completions = log.log.frameDurable(write)
            if !completions.isEmpty { frames.append(completions.map(\.ticket)) }
        }
        #expect(frames == [[1], [2], [3], [4], [5]])
        #expect(log.log.stagedBytes == 0 && !log.log.hasWork)
        let recovered = try LogFixture(disk: log.disk)
        #expect(recovered.store.group(7)?.entries.count == 5)
        for location in recovered.store.group(7)?.entries ?? [] {
            #expect(try recovered.read(location).bytes == entry(location.index.rawValue, size: 600_000).bytes)
        }
    }

    @Test func ticketsWithoutRecordsCompleteInOrder() throws {
        var log = try LogFixture()
        log.log.stage([.entry(entry(1))], ticket: 10)
        log.log.stage([], ticket: 11)
        let completed = try log.flush()
        #expect(completed.map(\.ticket) == [10, 11])
    }

    @Test func theLastFrameIsAttestedOnce() throws {
        var log = try LogFixture()
        #expect(!log.log.needsAttestation)
        try log.append([.entry(entry(1))])
        #expect(log.log.needsAttestation)
        try log.attest()
        #expect(!log.log.needsAttestation)
        log.log.stageAttestation()
        let bare = try log.log.prepareFrame()
        #expect(bare == nil)
        log.log.stageAttestation(cleanStop: true)
        try log.flush()
        #expect(try LogFixture(disk: log.disk).store.report.cleanStop)
        var next = try LogFixture(disk: log.disk)
        try next.append([.entry(entry(2))])
        #expect(try !LogFixture(disk: log.disk).store.report.cleanStop)
    }

    @Test func fullSegmentsAreSealedAndReadByTheirFooters() throws {
        var log = try LogFixture()
        var locations: [EntryLocation] = []
        for index in 1...60 as ClosedRange<UInt64> {
            try log.log.prepareSegments()
            locations += try log.append([.entry(entry(index, size: 900))])
        }
        #expect(log.log.activeSegment > 3)
        let again = try LogFixture(disk: log.disk)
        #expect(again.store.group(7)?.entries == locations)
        #expect(again.store.report.sealedSegments == Int(log.log.activeSegment) - 1)
        #expect(again.log.activeSegment == log.log.activeSegment)
        var reader = EntryReader(disk: again.disk)
        for (result, location) in zip(reader.read(locations), locations) {
            #expect(try result.get().bytes == entry(location.index.rawValue, size: 900).bytes)
        }
    }

    @Test func theFileGrowsWhenNoSegmentIsReady() throws {
        var log = try LogFixture()
        for index in 1...40 as ClosedRange<UInt64> { try log.append([.entry(entry(index, size: 900))]) }
        #expect(log.log.activeSegment == 1)
        let preparationBegun = log.log.beginPreparation()
        let preparation = try #require(preparationBegun)
        let another = log.log.beginPreparation()
        #expect(another == nil)
        var running = preparation
        log.log.prepared(try running.run())
        for index in 41...45 as ClosedRange<UInt64> { try log.append([.entry(entry(index, size: 900))]) }
        #expect(log.log.activeSegment == 2)
        let again = try LogFixture(disk: log.disk)
        #expect(again.store.group(7)?.entries.count == 45)
        #expect(again.store.report.sealedSegments == 1)
    }

    @Test func growthEndsAtTheLimit() throws {
        var configuration = LogFixture.small
        configuration.growthLimit = 32 << 10
        var log = try LogFixture(configuration: configuration)
        for index in 1...30 as ClosedRange<UInt64> { try log.append([.entry(entry(index, size: 900))]) }
        #expect(log.log.activeSegment == 2)
        // While one is being made, the log waits for it.
        var waiting = try LogFixture(configuration: configuration)
        let preparationBegun = waiting.log.beginPreparation()
        let preparation = try #require(preparationBegun)
        waiting.log.stage([.entry(entry(1, size: 40_000))], ticket: 1)
        try waiting.flush()
        waiting.log.stage([.entry(entry(2, size: 900))], ticket: 2)
        let none = try waiting.log.prepareFrame()
        #expect(none == nil && waiting.log.isWaitingForSegment)
        var running = preparation
        waiting.log.prepared(try running.run())
        let completed = try waiting.flush()
        #expect(completed.map(\.ticket) == [2])
        #expect(waiting.log.activeSegment == 2)
    }

    @Test func aFailedPreparationIsTriedAgain() throws {
        var log = try LogFixture()
        let preparationBegun = log.log.beginPreparation()
        var preparation = try #require(preparationBegun)
        log.log.preparationFailed(preparation.abandon(after: .noSpace))
        let secondBegun = log.log.beginPreparation()
        var second = try #require(secondBegun)
        log.log.prepared(try second.run())
        #expect(log.log.readySegmentCount == 1)
        #expect(try log.disk.list() == [firstSegment, "segment-0000000002", "store", "store.new"])
    }

    @Test func aRepairedEntryReplacesTheDamagedOne() throws {
        var log = try LogFixture()
        let locations = try log.append([.entry(entry(1)), .entry(entry(2)), .entry(entry(3))])
        try log.attest()
        var bytes = log.disk.contents(firstSegment)
        bytes[Int(locations[1].offset) + 60] ^= 1
        log.disk.replace(firstSegment, with: bytes)

        var damaged = try LogFixture(disk: log.disk)
        let group = try #require(damaged.store.group(7))
        #expect(group.damaged == [LogIndex(2)] && !group.mayLead && group.mayVote)
        #expect(group.entries == locations)
        #expect(throws: EntryReadFailure.damaged(locations[1])) { try damaged.read(locations[1]) }
        #expect(try damaged.read(locations[2]).bytes == entry(3).bytes)
        let repaired = try damaged.append([.entry(entry(2))])

        let whole = try LogFixture(disk: log.disk)
        let after = try #require(whole.store.group(7))
        #expect(after.damaged.isEmpty && after.mayLead)
        #expect(after.entries == [locations[0], repaired[0], locations[2]])
    }
}
