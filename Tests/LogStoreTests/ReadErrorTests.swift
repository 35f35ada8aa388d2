import LogStore
import Primitives
import Testing

/// What the device does not give is damage, and never the end of the log.
@Suite struct ReadErrorTests {
    /// A log of three frames with three entries each, the last not attested; where the entries stand.
    private func sample() throws -> (disk: MemoryDisk, locations: [EntryLocation]) {
        var log = try LogFixture()
        var locations: [EntryLocation] = []
        for round in 0..<3 as Range<UInt64> {
            var records: [LogRecord] = [.hardState(group: GroupID(7), term: Term(round + 1), vote: nil)]
            for index in 0..<3 as Range<UInt64> { records.append(.entry(entry(3 * round + index + 1, size: 600))) }
            locations += try log.append(records)
        }
        return (log.disk, locations)
    }

    private func open(_ disk: RefusingDisk) throws -> RecoveredStore {
        var random = SeededRandom(seed: 1)
        let (log, store) = try NodeLog.open(disk: disk, configuration: LogFixture.small, randomness: &random)
        log.close()
        return store
    }

    @Test func noUnreadableSectorMakesAShortLogThatVotes() throws {
        let (memory, locations) = try sample()
        let last = try #require(locations.last)
        let end = (Int(last.offset + last.length) + 511) & ~511
        for sector in stride(from: 8_192, to: end, by: 512) {
            let disk = RefusingDisk(memory.clone())
            disk.refuse(firstSegment, sector..<sector + 512)
            let store = try open(disk)
            #expect(store.report.readErrors > 0)
            guard store.mayVote else {
                // Only the directory of the last frame has no copy yet.
                #expect(sector >= Int(locations[6].offset) / 512 * 512 - 512)
                continue
            }
            let group = try #require(store.group(7))
            #expect(group.term == Term(3) && group.entries.map(\.index) == locations.map(\.index), "sector \(sector)")
            let hit = locations.filter { (sector..<sector + 512).overlaps(Int($0.offset)..<Int($0.offset + $0.length)) }
            #expect(group.damaged == hit.map(\.index), "sector \(sector)")
            #expect(group.mayLead == hit.isEmpty)
        }
    }

    @Test func anUnreadableEndMayHideAFrame() throws {
        let (memory, locations) = try sample()
        let last = try #require(locations.last)
        let end = (Int(last.offset + last.length) + 511) & ~511
        let hidden = RefusingDisk(memory.clone())
        hidden.refuse(firstSegment, end..<end + 512)
        #expect(try !open(hidden).mayVote)
        // No frame begins anywhere else.
        let other = RefusingDisk(memory.clone())
        other.refuse(firstSegment, end + 512..<end + 1_024)
        let store = try open(other)
        #expect(store.mayVote && store.group(7)?.lastIndex == LogIndex(9))
    }

    @Test func oneCopyOfAHeaderIsEnough() throws {
        let (memory, _) = try sample()
        for (name, copy) in [(firstSegment, 0), (firstSegment, 4_096), ("store", 0), ("store", 4_096)] {
            let disk = RefusingDisk(memory.clone())
            // A sector may be as large as a page.
            disk.refuse(name, copy..<copy + 4_096)
            let store = try open(disk)
            #expect(store.mayVote && store.group(7)?.lastIndex == LogIndex(9), "\(name) at \(copy)")
        }
    }

    /// A part of a page is written only when the rest of it can be read.
    @Test func aStoreWithAnUnreadablePageAtItsEndOpensAndGoesOn() throws {
        let (memory, locations) = try sample()
        let last = try #require(locations.last)
        let end = (Int(last.offset + last.length) + 511) & ~511
        for page in [end / 4_096 * 4_096, (end + 4_095) / 4_096 * 4_096] {
            let disk = RefusingDisk(memory.clone())
            disk.refuse(firstSegment, page..<page + 4_096)
            disk.refusesPartsOfUnreadablePages()
            var random = SeededRandom(seed: 1)
            var (log, _) = try NodeLog.open(disk: disk, configuration: LogFixture.small, randomness: &random)
            log.stage([.entry(entry(10))], ticket: 1)
            let prepared = try log.prepareFrame()
            let write = try #require(prepared)
            try disk.write(write.file, at: write.offset, write.parts)
            try disk.sync(write.file)
            let place = try #require(log.frameDurable(write).first?.locations.first)
            log.close()
            var reader = EntryReader(disk: disk)
            #expect(try reader.read(place).index == LogIndex(10))
            _ = try open(disk)
        }
    }

    @Test func anErrorThatPassesChangesNothing() throws {
        let (memory, locations) = try sample()
        let untouched = RefusingDisk(memory.clone())
        _ = try open(untouched)
        for count in 0..<untouched.reads {
            let disk = RefusingDisk(memory.clone())
            disk.refuse(after: count, failures: 2)
            let store = try open(disk)
            let group = try #require(store.group(7))
            #expect(group.entries == locations && group.damaged.isEmpty && group.mayLead, "read \(count)")
        }
    }

    @Test func anUnreadableEntryDoesNotCostItsNeighbours() throws {
        let (memory, locations) = try sample()
        let disk = RefusingDisk(memory)
        disk.refuse(firstSegment, Int(locations[4].offset)..<Int(locations[4].offset) + 1)
        var reader = EntryReader(disk: disk)
        let results = reader.read(locations)
        for (position, result) in results.enumerated() {
            switch result {
            case .success(let found): #expect(found.index == locations[position].index && position != 4)
            case .failure(let failure): #expect(position == 4 && failure == .damaged(locations[4]))
            }
        }
    }
}
