import LogStore
import Primitives
import Testing

/// Every cut and every flipped byte: what was attested stays known, what was not may only disappear as a whole frame.
@Suite struct DamageTests {
    private static let group = GroupID(7)

    /// A log of three frames with all kinds of records; the disk, the locations, and where each frame begins and the
    /// last ends.
    private func sample() throws -> (disk: MemoryDisk, locations: [[EntryLocation]], bounds: [Int]) {
        let configuration = LogConfiguration(segmentSize: 20 << 10, firstSegmentSize: 20 << 10)
        var log = try LogFixture(configuration: configuration)
        var locations: [[EntryLocation]] = []
        var bounds: [Int] = [8_192]
        for round in 0..<3 as Range<UInt64> {
            var records: [LogRecord] = [
                .groupCreated(group: DamageTests.group, Bytes("p")),
                .hardState(group: DamageTests.group, term: Term(round + 1), vote: NodeID(UInt16(round + 1))),
            ]
            for index in 0..<3 as Range<UInt64> { records.append(.entry(entry(3 * round + index + 1, size: 200))) }
            locations.append(try log.append(records))
            let last = try #require(locations.last?.last)
            bounds.append((Int(last.offset + last.length) + 511) & ~511)
        }
        return (log.disk, locations, bounds)
    }

    private func open(_ disk: MemoryDisk) throws -> RecoveredStore {
        try LogFixture(disk: disk, configuration: LogFixture.small).store
    }

    @Test func everyCutOfTheLastFrameDropsItWhole() throws {
        let (disk, locations, bounds) = try sample()
        let image = disk.contents(firstSegment)
        let end = Int(locations[2][2].offset + locations[2][2].length)
        for cut in bounds[2]...end {
            let copy = disk.clone()
            var bytes = image
            for position in cut..<bytes.count { bytes[position] = 0 }
            copy.replace(firstSegment, with: bytes)
            let store = try open(copy)
            let group = try #require(store.group(7))
            // A cut that takes only zeros takes nothing.
            let isWhole = bytes == image
            #expect(group.entries == Array(locations[0..<(isWhole ? 3 : 2)].joined()))
            #expect(group.term == Term(isWhole ? 3 : 2) && group.vote == NodeID(isWhole ? 3 : 2))
            #expect(group.mayVote && group.mayLead && store.report.lostFrames == 0)
        }
    }

    @Test func everyFlippedByteOfTheLastFrameDropsItWhole() throws {
        let (disk, locations, bounds) = try sample()
        let image = disk.contents(firstSegment)
        let end = Int(locations[2][2].offset + locations[2][2].length)
        for position in bounds[2]..<bounds[3] {
            let copy = disk.clone()
            var bytes = image
            bytes[position] ^= 0x40
            copy.replace(firstSegment, with: bytes)
            let store = try open(copy)
            let group = try #require(store.group(7))
            let isPrevious = group.entries == Array(locations[0..<2].joined())
            let isAll = group.entries == Array(locations.joined())
            #expect(isPrevious || isAll)
            #expect(isAll || position < end)
            #expect(group.mayVote && group.mayLead)
        }
    }

    @Test func everyFlippedByteOfAttestedFramesIsDamageWithAKnownIdentity() throws {
        let (disk, locations, bounds) = try sample()
        var attested = try LogFixture(disk: disk)
        try attested.attest()
        let image = disk.contents(firstSegment)
        let all = Array(locations.joined())
        for position in bounds[0]..<bounds[3] {
            let copy = disk.clone()
            var bytes = image
            bytes[position] ^= 0x08
            copy.replace(firstSegment, with: bytes)
            let reopened = try LogFixture(disk: copy)
            let group = try #require(reopened.store.group(7))
            #expect(group.entries.map(\.index) == all.map(\.index), "byte \(position)")
            #expect(group.term == Term(3) && group.vote == NodeID(3))
            let hit = all.filter { Int($0.offset)..<Int($0.offset + $0.length) ~= position }
            #expect(group.damaged == hit.map(\.index), "byte \(position)")
            #expect(group.mayLead == hit.isEmpty || group.created == nil)
            #expect(reopened.store.report.lostFrames == 0)
            for location in group.entries where !group.damaged.contains(location.index) {
                #expect(try reopened.read(location).bytes == entry(location.index.rawValue, size: 200).bytes)
            }
        }
    }

    @Test func aLostSectorLosesNoIdentity() throws {
        let (disk, locations, bounds) = try sample()
        var attested = try LogFixture(disk: disk)
        try attested.attest()
        let image = disk.contents(firstSegment)
        for sector in stride(from: bounds[0], to: bounds[3], by: 512) {
            let copy = disk.clone()
            var bytes = image
            for position in sector..<sector + 512 { bytes[position] = 0xA5 }
            copy.replace(firstSegment, with: bytes)
            let store = try open(copy)
            let group = try #require(store.group(7))
            #expect(group.entries.map(\.index) == locations.joined().map(\.index))
            #expect(store.report.lostFrames == 0 && store.mayVote)
            // It stays known when the store is opened again, and when the segment was sealed meanwhile.
            var next = try LogFixture(disk: copy)
            try next.log.prepareSegments()
            for index in 10..<30 as Range<UInt64> { try next.append([.entry(entry(index, size: 900))]) }
            let sealed = try open(copy)
            #expect(sealed.report.sealedSegments > 0)
            #expect(sealed.group(7)?.damaged == group.damaged)
        }
    }

    /// The device loses the page of the last frames, or has it as it was before them. They were acknowledged.
    @Test func aLostPageOfAttestedFramesCostsTheVote() throws {
        var log = try LogFixture()
        try log.append([.hardState(group: DamageTests.group, term: Term(1), vote: NodeID(1))])
        let before = log.disk.contents(firstSegment)
        for index in 1...3 as ClosedRange<UInt64> { try log.append([.entry(entry(index, size: 200))]) }
        try log.attest()
        let image = log.disk.contents(firstSegment)
        #expect(try open(log.disk).group(7)?.entries.count == 3)
        for old in [before, Array(repeating: 0, count: before.count)] {
            let copy = log.disk.clone()
            var bytes = image
            bytes.replaceSubrange(8_192..<12_288, with: old[8_192..<12_288])
            copy.replace(firstSegment, with: bytes)
            for _ in 0..<2 {
                let store = try open(copy)
                #expect(store.report.lostFrames > 0 && !store.mayVote && store.group(7)?.mayVote == false)
            }
        }
    }

    @Test func twoLostFramesCostTheVote() throws {
        let (disk, _, bounds) = try sample()
        var attested = try LogFixture(disk: disk)
        try attested.attest()
        var bytes = disk.contents(firstSegment)
        for position in bounds[0]..<bounds[2] { bytes[position] = 0 }
        disk.replace(firstSegment, with: bytes)
        for _ in 0..<2 {
            let store = try open(disk)
            #expect(store.report.lostFrames == 1 && !store.mayVote && !store.isFresh)
            #expect(store.group(7)?.mayVote == false && store.group(7)?.mayLead == false)
        }
        var next = try LogFixture(disk: disk)
        try next.log.prepareSegments()
        for index in 10..<30 as Range<UInt64> { try next.append([.entry(entry(index, size: 900))]) }
        let sealed = try open(disk)
        #expect(sealed.report.sealedSegments > 0 && sealed.report.lostFrames == 1 && !sealed.mayVote)
    }

    @Test func whatIsTornIsClearedAndNeverComesBack() throws {
        let (disk, locations, bounds) = try sample()
        var bytes = disk.contents(firstSegment)
        bytes[bounds[2] + 10] ^= 1
        disk.replace(firstSegment, with: bytes)
        var log = try LogFixture(disk: disk)
        #expect(log.store.report.tornBytes == bounds[3] - bounds[2])
        #expect(disk.contents(firstSegment)[bounds[2]...].allSatisfy { $0 == 0 })
        let place = try log.append([.entry(entry(7, term: 9))])
        #expect(try open(disk).group(7)?.entries == Array(locations[0..<2].joined()) + place)
    }

    /// The segment in which the log went on is lost, and of the first frame behind it only the header came to the disk:
    /// the log goes on elsewhere, with a frame of the same number.
    @Test func whatIsTornBehindALostSegmentNeverComesBack() throws {
        var log = try LogFixture()
        try log.log.prepareSegments()
        var index: UInt64 = 0
        while log.log.activeSegment < 3 {
            index += 1
            try log.append([.entry(entry(index, size: 900))])
        }
        let disk = log.disk
        disk.lose("segment-0000000002")
        var bytes = disk.contents("segment-0000000003")
        for place in 8_192 + 64..<bytes.count { bytes[place] = 0 }
        disk.replace("segment-0000000003", with: bytes)

        var next = try LogFixture(disk: disk)
        #expect(!next.store.mayVote && next.store.report.tornBytes > 0)
        let place = try next.append([.groupCreated(group: GroupID(77), Bytes("p")), .entry(entry(1, group: 77))])
        #expect(try open(disk).group(77)?.entries == place)
    }

    @Test func theRecoveredTailIsWrittenAndSyncedAgain() throws {
        var log = try LogFixture()
        try log.append([.entry(entry(1))])
        log.log.stage([.entry(entry(2))], ticket: 9)
        let prepared = try log.log.prepareFrame()
        let write = try #require(prepared)
        // The sync fails: the next start finds the frame in memory only, and must not rely on it before it is durable.
        try log.disk.write(write.file, at: write.offset, write.parts)
        log.disk.failSyncs()
        #expect(throws: DiskFailure.self) { try log.disk.sync(write.file) }
        log.disk.failSyncs(false)
        #expect(try LogFixture(disk: log.disk).store.group(7)?.entries.count == 2)
        for seed in 0..<20 as Range<UInt64> {
            let copy = log.disk.clone()
            var random = SeededRandom(seed: seed)
            copy.crash(&random)
            #expect(try LogFixture(disk: copy).store.group(7)?.entries.count == 2)
        }
    }

    @Test func aForgedFrameInABodyIsNotAFrame() throws {
        // The body imitates a frame of this very log, as an attacker would who saw the file of another store.
        var other = try LogFixture(seed: 2)
        try other.append([.hardState(group: DamageTests.group, term: Term(99), vote: NodeID(1))])
        let forged = Array(other.disk.contents(firstSegment)[8_192..<12_288])
        let body = forged + forged
        let message = body.withUnsafeBytes { body in
            Entry(
                kind: .commands, group: DamageTests.group, index: LogIndex(1), term: Term(1), timestamp: .zero,
                headers: UnsafeRawBufferPointer(rebasing: body[0..<0]), bodies: body)
        }
        var log = try LogFixture()
        try log.append([.entry(message)])
        try log.attest()
        var bytes = log.disk.contents(firstSegment)
        bytes[8_192] ^= 1
        log.disk.replace(firstSegment, with: bytes)
        let store = try open(log.disk)
        #expect(store.group(7)?.term == .zero)
        #expect(store.group(7)?.entries.count == 1 && store.group(7)?.mayLead == true)
    }
}
