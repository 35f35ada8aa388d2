import LogStore
import Primitives
import Testing

/// A full disk holds the log up and costs nothing.
@Suite struct FullDiskTests {
    /// A log with one group and `count` entries of a frame each.
    private func filled(
        entries count: Int, disk: FullDisk = FullDisk(),
        configuration: LogConfiguration = HostedLog<FullDisk>.small
    ) throws -> HostedLog<FullDisk> {
        var hosted = try HostedLog(disk: disk, configuration: configuration)
        try hosted.write { $0.create() + $0.vote(1, for: 2) + $0.configure(1, "three nodes") }
        for _ in 0..<count {
            try hosted.log.prepareSegments()
            try hosted.write { $0.append(1, size: 900) }
        }
        return hosted
    }

    private func expectReopens(_ hosted: HostedLog<FullDisk>) throws {
        let again = try HostedLog(disk: hosted.disk.memory.clone(), nextGroup: hosted.host.nextGroup)
        #expect(again.host.groups == hosted.host.groups && again.store.mayVote)
        try again.verifyEntries()
    }

    @Test func aFrameWaitsUntilThereIsSpace() throws {
        // No segment is ready: the file grows.
        var hosted = try filled(entries: 0)
        try hosted.write { $0.append(1, size: 20_000) }
        let before = hosted.host.groups
        try hosted.disk.fill(leaving: 700)
        hosted.stage { $0.append(1, size: 5_000) }
        for _ in 0..<3 {
            #expect(throws: LogStoreFailure.disk(.noSpace)) { try hosted.log.prepareFrame() }
            for seed in 0..<10 as Range<UInt64> {
                let crashed = hosted.disk.memory.clone()
                var random = SeededRandom(seed: seed)
                crashed.crash(&random)
                #expect(try HostedLog(disk: crashed).host.groups == before)
            }
            // More may be staged meanwhile.
            hosted.stage { $0.append(1, size: 100) }
        }
        hosted.disk.makeRoom()
        try hosted.flush()
        try expectReopens(hosted)
    }

    /// As where files are copied on write.
    @Test func aWriteInPlaceIsMadeAgainUntilThereIsSpace() throws {
        var hosted = try filled(entries: 1)
        hosted.stage { $0.append(1, size: 900) }
        let prepared = try hosted.log.prepareFrame()
        let write = try #require(prepared)
        hosted.disk.failWritesInPlace()
        for _ in 0..<3 {
            #expect(throws: DiskFailure.noSpace) { try hosted.disk.write(write.file, at: write.offset, write.parts) }
        }
        hosted.disk.makeRoom()
        try hosted.disk.write(write.file, at: write.offset, write.parts)
        try hosted.disk.sync(write.file)
        hosted.host.completed(hosted.log.frameDurable(write))
        try expectReopens(hosted)
    }

    /// What reclamation gives back is the only space there is.
    @Test(arguments: [300, 900, 5_000])
    func aSegmentThatBecomesReadyTakesTheFrameThatWaited(size: Int) throws {
        var hosted = try filled(entries: 0)
        let preparation = hosted.log.beginPreparation()
        var next = try #require(preparation)
        let segment = try next.run()
        // The last segment is filled to where nothing but small records fit.
        var isFull = false
        try hosted.disk.fill()
        while !isFull {
            hosted.stage { $0.append(1, size: size) }
            do throws(LogStoreFailure) {
                while let write = try hosted.log.prepareFrame() {
                    try? hosted.disk.write(write.file, at: write.offset, write.parts)
                    try? hosted.disk.sync(write.file)
                    hosted.host.completed(hosted.log.frameDurable(write))
                }
            } catch {
                #expect(error == .disk(.noSpace))
                isFull = true
            }
        }
        let active = hosted.log.activeSegment
        hosted.log.prepared(segment)
        try hosted.flush()
        #expect(hosted.log.activeSegment == active + 1)
        try expectReopens(hosted)
    }

    @Test func aLogThatMayNotGrowWaitsForASegment() throws {
        var configuration = HostedLog<FullDisk>.small
        configuration.growthLimit = 32 << 10
        var hosted = try filled(entries: 0, configuration: configuration)
        try hosted.write { $0.append(1, size: 40_000) }
        let names = try hosted.disk.list()
        try hosted.disk.fill(leaving: 10_000)
        hosted.stage { $0.append(1, size: 900) }
        for _ in 0..<3 {
            #expect(throws: LogStoreFailure.disk(.noSpace)) { try hosted.log.prepareFrame() }
            // Nothing is left behind, neither as a file nor in the log's books.
            #expect(try hosted.disk.list() == names)
            #expect(hosted.log.readySegmentCount == 0 && !hosted.log.isWaitingForSegment)
            hosted.stage { $0.append(1, size: 900) }
        }
        hosted.disk.makeRoom()
        try hosted.flush()
        #expect(hosted.log.activeSegment == 2)
        try expectReopens(hosted)
    }

    @Test func littleIsToleratedWhereSpaceIsShort() throws {
        var hosted = try filled(entries: 1)
        while hosted.log.activeSegment == 1 { try hosted.write { $0.append(1, size: 900) } }
        let last = try #require(hosted.host.groups[1]?.last)
        try hosted.write { $0.snapshot(1, at: last, bytes: [1], chunk: 1) { $0 == 1 } }
        #expect(try hosted.reclaim().isEmpty)
        hosted.log.isShortOfSpace = true
        #expect(try hosted.reclaim() == [1])
        try expectReopens(hosted)
    }

    // MARK: The identity

    @Test func segmentsAreReclaimedOnAFullDisk() throws {
        var hosted = try filled(entries: 100)
        try hosted.write { $0.snapshot(1, at: 99, bytes: [1], chunk: 1) { _ in false } }
        var retired = 0
        while true {
            // Whatever is given back is taken by somebody else.
            try hosted.disk.fill()
            let progress = try hosted.reclaimStep()
            if progress == .idle { break }
            if case .retired = progress { retired += 1 }
        }
        #expect(retired >= 6)
        // One of their files becomes the next segment.
        try hosted.disk.fill()
        try hosted.log.prepareSegments()
        #expect(hosted.log.readySegmentCount == 1)
        try expectReopens(hosted)
        // A start, too, finds all the space that it needs.
        for _ in 0..<3 {
            try hosted.disk.fill()
            let again = try HostedLog(disk: hosted.disk, nextGroup: 2)
            #expect(again.host.groups == hosted.host.groups)
        }
    }

    @Test func aStoreWithoutAReserveWaitsForSpace() throws {
        var hosted = try filled(entries: 60)
        try hosted.write { $0.snapshot(1, at: 59, bytes: [1], chunk: 1) { _ in false } }
        // As an older version left it.
        hosted.disk.memory.lose("store.new")
        try hosted.disk.fill()
        let before = try hosted.disk.list()
        for _ in 0..<2 {
            #expect(throws: LogStoreFailure.disk(.noSpace)) { try hosted.reclaim() }
            #expect(try hosted.disk.list().filter { $0 != "store.new" } == before)
            try expectReopens(hosted)
        }
        hosted.disk.makeRoom()
        #expect(try !hosted.reclaim().isEmpty)
        try expectReopens(hosted)
    }

    @Test func aReserveOfAnyContentIsNoIdentity() throws {
        let log = try LogFixture()
        _ = try LogFixture(disk: log.disk)
        for bytes in [[], [UInt8](repeating: 0xFF, count: 100_000), log.disk.contents("store")] {
            log.disk.replace("store.new", with: bytes)
            let incarnation = try LogFixture(disk: log.disk).store.incarnation
            #expect(try LogFixture(disk: log.disk.clone()).store.incarnation.rawValue == incarnation.rawValue + 1)
        }
        // What is not called `store` is none, even when it was one.
        log.disk.lose("store")
        #expect(throws: LogStoreFailure.identityMissing) { try LogFixture(disk: log.disk) }
    }

    @Test func aFailedSyncOfTheIdentityGivesTheReserveUp() throws {
        var hosted = try filled(entries: 60)
        try hosted.write { $0.snapshot(1, at: 59, bytes: [1], chunk: 1) { _ in false } }
        hosted.disk.failNextSync()
        // Nothing is copied: the first sync is the identity's.
        #expect(throws: LogStoreFailure.disk(.system(errno: 5, operation: "fdatasync", file: ""))) {
            try hosted.reclaim()
        }
        #expect(try !hosted.disk.list().contains("store.new"))
        try expectReopens(hosted)
        #expect(try !hosted.reclaim().isEmpty)
        #expect(try hosted.disk.list().contains("store.new"))
        try expectReopens(hosted)
    }

    // MARK: Spares

    /// A log that keeps the file of a retired segment as a spare and has no segment ready; the spare's name.
    private func withSpare() throws -> (hosted: HostedLog<FullDisk>, spare: String) {
        var hosted = try filled(entries: 60)
        try hosted.write { $0.snapshot(1, at: 59, bytes: [1], chunk: 1) { _ in false } }
        let retired = Set(try hosted.reclaim())
        while hosted.log.readySegmentCount > 0 { try hosted.write { $0.append(1, size: 900) } }
        let spare = try #require(
            try hosted.disk.list().first { UInt32($0.suffix(10)).map(retired.contains) ?? false })
        return (hosted, spare)
    }

    @Test func aSpareThatLackedSpaceIsUsedLater() throws {
        var (hosted, spare) = try withSpare()
        let before = try hosted.disk.list()
        for _ in 0..<3 {
            hosted.disk.failWritesInPlace()
            #expect(throws: LogStoreFailure.disk(.noSpace)) { try hosted.log.prepareSegments() }
            #expect(try hosted.disk.list() == before && before.contains(spare))
            try expectReopens(hosted)
        }
        hosted.disk.makeRoom()
        try hosted.disk.fill()
        try hosted.log.prepareSegments()
        #expect(try !hosted.disk.list().contains(spare))
        #expect(try hosted.disk.list().count == before.count)
        try expectReopens(hosted)
    }

    @Test func aSpareThatFailedOtherwiseIsGivenUp() throws {
        var (hosted, spare) = try withSpare()
        let before = try hosted.disk.list()
        hosted.disk.failNextSync()
        #expect(throws: LogStoreFailure.self) { try hosted.log.prepareSegments() }
        #expect(try hosted.disk.list() == before.filter { $0 != spare })
        try hosted.log.prepareSegments()
        #expect(try hosted.disk.list().count == before.count)
        try expectReopens(hosted)
    }
}
