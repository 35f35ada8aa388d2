import Glibc
import LogStore
import Primitives
import Synchronization
import Testing

/// What reading cold segments finds, and what becomes of it.
@Suite struct ScrubTests {
    private static func name(of segment: UInt32) -> String {
        let digits = String(segment)
        return "segment-" + String(repeating: "0", count: 10 - digits.count) + digits
    }

    /// A group with its records at the beginning and many small segments.
    private func filled(entries count: Int = 70, size: Int = 900) throws -> HostedLog<MemoryDisk> {
        var hosted = try HostedLog(disk: MemoryDisk())
        try hosted.write { $0.create() + $0.vote(1, for: 2) + $0.configure(1, "three nodes") }
        for _ in 0..<count {
            try hosted.log.prepareSegments()
            try hosted.write { $0.append(1, size: size) }
        }
        return hosted
    }

    /// One pass; the reports of the segments in which something is wrong.
    private func pass(_ hosted: inout HostedLog<MemoryDisk>) -> [ScrubReport] {
        var reports: [ScrubReport] = []
        while let job = hosted.log.nextScrub() {
            let report = hosted.log.scrubbed(job.run(on: hosted.disk))
            if !report.isClean { reports.append(report) }
        }
        return reports
    }

    private func flip(_ disk: MemoryDisk, _ segment: UInt32, _ position: Int) {
        var bytes = disk.contents(ScrubTests.name(of: segment))
        bytes[position] ^= 0x10
        disk.replace(ScrubTests.name(of: segment), with: bytes)
    }

    @Test func aPassReadsEverySealedSegmentAndFindsNothingInACleanStore() throws {
        var hosted = try filled()
        for _ in 0..<2 {
            var read: [UInt32] = []
            while let job = hosted.log.nextScrub() {
                let report = hosted.log.scrubbed(job.run(on: hosted.disk))
                #expect(report.isClean && report.bytes >= 16 << 10)
                read.append(job.segment)
            }
            #expect(read == hosted.log.segmentAccounts.filter(\.isSealed).map(\.segment) && read.count >= 3)
        }
        // The same behind a start, which knows the segments from their footers.
        var again = try HostedLog(disk: hosted.disk.clone(), nextGroup: 2)
        #expect(pass(&again).isEmpty)
    }

    @Test func aPassEndsAlthoughTheLogGrows() throws {
        var hosted = try filled()
        var read = 0
        let sealed = hosted.log.segmentAccounts.count { $0.isSealed }
        while let job = hosted.log.nextScrub() {
            _ = hosted.log.scrubbed(job.run(on: hosted.disk))
            read += 1
            for _ in 0..<20 {
                try hosted.log.prepareSegments()
                try hosted.write { $0.append(1, size: 900) }
            }
        }
        #expect(read == sealed)
    }

    @Test func aLogWithoutSealedSegmentsIsIdle() throws {
        var hosted = try filled(entries: 1)
        #expect(hosted.log.nextScrub() == nil)
    }

    @Test func everyByteOfASealedSegmentThatCountsIsCovered() throws {
        var hosted = try filled()
        let image = hosted.disk.contents(ScrubTests.name(of: 1))
        for position in image.indices where image[position] != 0 {
            flip(hosted.disk, 1, position)
            let next = hosted.log.nextScrub()
            let job = try #require(next)
            #expect(job.segment == 1)
            #expect(!hosted.log.scrubbed(job.run(on: hosted.disk)).isClean, "byte \(position)")
            while hosted.log.nextScrub() != nil {}
            hosted.disk.replace(ScrubTests.name(of: 1), with: image)
        }
    }

    @Test func aDamagedEntryIsNamedWithItsPlace() throws {
        var hosted = try filled()
        for (_, location) in hosted.host.locations where location.segment < hosted.log.activeSegment {
            flip(hosted.disk, location.segment, Int(location.offset + location.length) - 1)
            let reports = pass(&hosted)
            #expect(reports.map(\.entries) == [[location]])
            #expect(reports.allSatisfy { $0.problems.isEmpty && $0.records.isEmpty })
            flip(hosted.disk, location.segment, Int(location.offset + location.length) - 1)
        }
        #expect(pass(&hosted).isEmpty)
    }

    @Test func anEntryThatWasRepairedIsNotMissed() throws {
        var hosted = try filled()
        let location = try #require(hosted.host.locations[LogHost.Key(group: 1, index: 10)])
        flip(hosted.disk, location.segment, Int(location.offset) + 70)
        #expect(pass(&hosted).flatMap(\.entries) == [location])
        try hosted.write { _ in [.entry(entry(10, term: location.term.rawValue, group: 1, size: 900))] }
        try hosted.verifyEntries()
        #expect(hosted.host.locations[LogHost.Key(group: 1, index: 10)] != location)
    }

    /// A start tells a damaged configuration from none at all.
    @Test func aDamagedConfigurationIsNotTakenForNone() throws {
        let hosted = try filled()
        let (segment, place) = try #require(find(Array("three nodes".utf8), hosted))
        flip(hosted.disk, segment, place)
        var random = SeededRandom(seed: 2)
        let (_, store) = try NodeLog.open(disk: hosted.disk, configuration: LogFixture.small, randomness: &random)
        let group = try #require(store.group(1))
        #expect(group.configuration == Bytes() && !group.mayVote && !group.mayLead && group.lostThrough == .zero)
    }

    @Test func recordsBesideTheEntriesAreNamedAsLongAsTheyAreNeeded() throws {
        var hosted = try filled()
        let state = (0..<200).map { UInt8(255 - $0) }
        try hosted.write { $0.snapshot(1, at: 40, bytes: state, chunk: 300) { _ in true } }
        for _ in 0..<30 {
            try hosted.log.prepareSegments()
            try hosted.write { $0.append(1, size: 900) }
        }
        let texts: [([UInt8], DamagedRecord.Kind)] = [
            (Array("group 1".utf8), .groupCreated), (Array("three nodes".utf8), .configuration), (state, .snapshot),
        ]
        for (text, kind) in texts {
            let (segment, place) = try #require(find(text, hosted))
            flip(hosted.disk, segment, place)
            let reports = pass(&hosted)
            let record = try #require(reports.flatMap(\.records).first { $0.kind == kind })
            #expect(record.group == GroupID(1) && record.segment == segment)
            #expect(record.offset <= place && record.offset > place - 20)
        }
        // Once another has taken its place nobody needs it.
        try hosted.write { $0.configure(1, "five nodes") + [.groupCreated(group: GroupID(1), Bytes("group 1"))] }
        try hosted.write { $0.snapshot(1, at: 60, bytes: [1], chunk: 1) { _ in true } }
        #expect(pass(&hosted).isEmpty)
    }

    private func find(_ text: [UInt8], _ hosted: HostedLog<MemoryDisk>) -> (UInt32, Int)? {
        for account in hosted.log.segmentAccounts where account.isSealed {
            let bytes = hosted.disk.contents(ScrubTests.name(of: account.segment))
            let starts = bytes.indices.dropLast(text.count)
            if let place = starts.first(where: {
                bytes[$0] == text[0] && bytes[$0..<$0 + text.count].elementsEqual(text)
            }) {
                return (account.segment, place)
            }
        }
        return nil
    }

    // MARK: Segments

    /// What is live in a segment with a damaged header copy, frame or footer goes elsewhere, and the next start finds
    /// it.
    @Test func aDamagedSegmentIsEmptied() throws {
        // Nothing but the damage makes a segment worth reclaiming.
        let hosted = try filled(size: 1_800)
        let length = hosted.disk.contents(ScrubTests.name(of: 2)).count
        // Both header copies, the first frame's header, the footer, and the trailer.
        for position in [10, 2_060, 4_100, length - 600, length - 512 + 20] {
            var copy = try HostedLog(disk: hosted.disk.clone(), nextGroup: 2)
            #expect(pass(&copy).isEmpty)
            flip(copy.disk, 2, position)
            let reports = pass(&copy)
            let report = try #require(reports.first)
            #expect(report.segment == 2 && !report.problems.isEmpty, "byte \(position)")
            let retired = try copy.reclaim()
            #expect(retired == [2], "byte \(position)")
            try copy.verifyEntries()
            #expect(pass(&copy).isEmpty)
            let again = try HostedLog(disk: copy.disk.clone(), nextGroup: 2)
            #expect(again.host.groups == hosted.host.groups && again.host.locations == copy.host.locations)
            #expect(again.store.mayVote && again.store.groups.allSatisfy { $0.mayLead })
        }
    }

    /// Without a footer, and with a frame that nothing names, the segment's contents are not known: it must stay.
    @Test func aSegmentThatIsNotFullyKnownStays() throws {
        var hosted = try filled(size: 1_800)
        let name = ScrubTests.name(of: 2)
        var bytes = hosted.disk.contents(name)
        let last = try #require(hosted.host.locations.values.filter { $0.segment == 2 }.max { $0.offset < $1.offset })
        // The header of the last frame, which only the next segment could tell of, and the footer.
        bytes[Int(last.offset) / 512 * 512 + 8] ^= 1
        bytes[bytes.count - 600] ^= 1
        hosted.disk.replace(name, with: bytes)
        #expect(pass(&hosted).contains { $0.segment == 2 && !$0.problems.isEmpty })
        let retired = try hosted.reclaim()
        #expect(retired == [])
        try hosted.verifyEntries()
    }

    @Test func aSegmentThatIsMissingIsReported() throws {
        var hosted = try filled()
        hosted.disk.lose(ScrubTests.name(of: 2))
        #expect(pass(&hosted).map(\.segment) == [2])
    }

    @Test func aSegmentThatWasRecycledMeanwhileGivesNoFinding() throws {
        var hosted = try filled(entries: 100)
        var jobs: [ScrubJob] = []
        while let job = hosted.log.nextScrub() { jobs.append(job) }
        try hosted.write { $0.snapshot(1, at: 99, bytes: [1], chunk: 1) { _ in false } }
        let retired = try hosted.reclaim()
        for _ in 0..<60 {
            try hosted.log.prepareSegments()
            try hosted.write { $0.append(1, size: 900) }
            try hosted.reclaim()
        }
        #expect(retired.count > 3)
        for job in jobs {
            let outcome = job.run(on: hosted.disk)
            #expect(hosted.log.scrubbed(outcome).isClean, "segment \(job.segment)")
        }
        #expect(pass(&hosted).isEmpty)
    }

    @Test func anOldDescriptorOfARecycledSegmentGivesNoFinding() throws {
        var hosted = try filled(entries: 100)
        let disk = SwitchingDisk(hosted.disk)
        // The job opens the file, and what it reads through the descriptor is by then another segment's.
        // The first segment holds records beside the entries, which live on.
        _ = hosted.log.nextScrub()
        let next = hosted.log.nextScrub()
        let job = try #require(next)
        disk.file = try hosted.disk.open(ScrubTests.name(of: job.segment))
        try hosted.write { $0.snapshot(1, at: 99, bytes: [1], chunk: 1) { _ in false } }
        #expect(try hosted.reclaim().contains(job.segment))
        for _ in 0..<60 {
            try hosted.log.prepareSegments()
            try hosted.write { $0.append(1, size: 900) }
        }
        #expect(hosted.log.scrubbed(job.run(on: disk)).isClean)
    }

    // MARK: The thread

    @Test func theWriterScrubsBesideItsWork() async throws {
        let disk = MemoryDisk()
        var hosted = try HostedLog(disk: disk)
        try hosted.write { $0.create() }
        for _ in 0..<40 {
            try hosted.log.prepareSegments()
            try hosted.write { $0.append(1, size: 900) }
        }
        let location = try #require(hosted.host.locations[LogHost.Key(group: 1, index: 10)])
        flip(disk, location.segment, Int(location.offset) + 70)
        var random = SeededRandom(seed: 2)
        let (log, _) = try NodeLog.open(disk: disk, configuration: LogFixture.small, randomness: &random)
        var configuration = ScrubConfiguration()
        configuration.interval = .milliseconds(1)
        configuration.rate = 1 << 30
        let (found, reports) = AsyncStream.makeStream(of: ScrubReport.self)
        let writer = DiskLogWriter(
            log: log, onCompletion: { _ in }, onFailure: { _ in }, scrub: configuration,
            onScrub: { reports.yield($0) })
        // Pass after pass, as long as nobody repairs it.
        var iterator = found.makeAsyncIterator()
        for _ in 0..<3 {
            let report = try #require(await iterator.next())
            #expect(report.entries == [location])
        }
        writer.shutdown()
        let totals = writer.scrubTotals
        #expect(totals.passes >= 2 && totals.segments >= 6 && totals.bytes > 6 * (16 << 10))
    }

    @Test func aScrubUnderWayDoesNotHoldUpTheStop() async throws {
        let hosted = try filled()
        var random = SeededRandom(seed: 2)
        let (log, _) = try NodeLog.open(
            disk: hosted.disk, configuration: LogFixture.small, randomness: &random)
        var configuration = ScrubConfiguration()
        configuration.interval = .milliseconds(1)
        // A segment would take hours.
        configuration.rate = 1
        let writer = DiskLogWriter(
            log: log, onCompletion: { _ in }, onFailure: { _ in }, scrub: configuration,
            onScrub: { Issue.record("found \($0)") })
        writer.shutdown()
        #expect(writer.scrubTotals.segments == 0)
    }
}

/// A disk on which every name opens the same file.
private final class SwitchingDisk: Disk {
    private let memory: MemoryDisk
    private let opened = Mutex<MemoryDisk.File?>(nil)

    init(_ memory: MemoryDisk) { self.memory = memory }

    var file: MemoryDisk.File? {
        get { opened.withLock { $0 } }
        set { opened.withLock { $0 = newValue } }
    }

    func list() throws(DiskFailure) -> [String] { try memory.list() }
    func open(_ name: String) throws(DiskFailure) -> MemoryDisk.File {
        guard let file else { throw .notFound(name) }
        return file
    }
    func create(_ name: String) throws(DiskFailure) -> MemoryDisk.File { try memory.create(name) }
    func length(of file: MemoryDisk.File) throws(DiskFailure) -> Int { try memory.length(of: file) }
    func read(
        _ file: MemoryDisk.File, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(DiskFailure) -> Int { try memory.read(file, at: offset, into: buffer) }
    func write(_ file: MemoryDisk.File, at offset: Int, _ parts: [Bytes]) throws(DiskFailure) {
        try memory.write(file, at: offset, parts)
    }
    func sync(_ file: MemoryDisk.File) throws(DiskFailure) { try memory.sync(file) }
    func close(_ file: MemoryDisk.File) {}
    func rename(_ name: String, to newName: String) throws(DiskFailure) { try memory.rename(name, to: newName) }
    func exchange(_ name: String, _ other: String) throws(DiskFailure) { try memory.exchange(name, other) }
    func remove(_ name: String) throws(DiskFailure) { try memory.remove(name) }
    func syncDirectory() throws(DiskFailure) { try memory.syncDirectory() }
}
