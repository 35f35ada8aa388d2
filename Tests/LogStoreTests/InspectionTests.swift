import Glibc
import LogStore
import Primitives
import Testing

/// What the inspection of a store tells, and that it changes nothing.
@Suite struct InspectionTests {
    private static let group = GroupID(7)

    /// Several segments, most of them sealed, with a snapshot; ends with an attested frame.
    private func sample() throws -> MemoryDisk {
        var log = try LogFixture()
        try log.append([
            .groupCreated(group: InspectionTests.group, Bytes("p")),
            .hardState(group: InspectionTests.group, term: Term(1), vote: NodeID(2)),
        ])
        for index in 1...40 as ClosedRange<UInt64> {
            try log.log.prepareSegments()
            try log.append([.entry(entry(index, size: 900))])
        }
        try log.append([
            .snapshotChunk(
                SnapshotChunk(
                    group: InspectionTests.group, index: LogIndex(10), term: Term(1), offset: 0, bytes: Bytes("state"))
            ),
            .snapshotCurrent(
                SnapshotMark(
                    group: InspectionTests.group, index: LogIndex(10), term: Term(1), byteCount: 5,
                    live: [LogIndex(3)...LogIndex(4)])),
        ])
        try log.attest()
        return log.disk
    }

    private func verify(_ disk: MemoryDisk) throws -> StoreVerification {
        try StoreInspection(disk: disk).verify()
    }

    private func flip(_ disk: MemoryDisk, _ name: String, _ position: Int) -> MemoryDisk {
        let copy = disk.clone()
        var bytes = copy.contents(name)
        bytes[position] ^= 0x10
        copy.replace(name, with: bytes)
        return copy
    }

    @Test func aWholeStoreHasNoProblemsAndStaysAsItIs() throws {
        let disk = try sample()
        let names = try disk.list()
        let before = names.map { disk.contents($0) }
        let syncs = disk.syncs
        let result = try verify(disk)
        _ = try StoreInspection(disk: disk).contents()
        #expect(result.problems == [] && result.tornTails == [])
        #expect(result.frames == 43 && result.records == 44 && result.segments > 3)
        #expect(result.bytes > 40 * 900)
        #expect(try disk.list() == names && names.map { disk.contents($0) } == before && disk.syncs == syncs)
    }

    @Test func contentsAreWhatAStartFinds() throws {
        let disk = try sample()
        let contents = try StoreInspection(disk: disk).contents()
        let store = try LogFixture(disk: disk.clone()).store
        let found = try #require(contents.groups.first)
        let expected = try #require(store.group(7))
        #expect(contents.storeID == store.storeID && contents.incarnation == Incarnation(1))
        #expect(contents.groups.count == 1 && found.recovered.entries == expected.entries)
        #expect(found.recovered.retained == expected.retained && found.recovered.retained.count == 2)
        #expect(found.recovered.term == Term(1) && found.recovered.vote == NodeID(2))
        #expect(found.recovered.created == Bytes("p") && found.recovered.mayVote && found.recovered.mayLead)
        #expect(found.recovered.snapshot?.bytes == Bytes("state"))
        let entryBytes = (expected.entries + expected.retained).reduce(0) { $0 + Int($1.length) }
        #expect(found.liveBytes > entryBytes && found.liveBytes < entryBytes + 100)
        #expect(contents.segments.first?.isSealed == true && contents.segments.first?.generation == 0)
        #expect(contents.segments.reduce(0) { $0 + $1.frames } == 43)
    }

    @Test func aDamagedRecordIsNamedWithItsPlace() throws {
        let disk = try sample()
        for location in try LogFixture(disk: disk.clone()).store.group(7)?.entries ?? [] {
            let name = "segment-000000000\(location.segment)"
            let result = try verify(flip(disk, name, Int(location.offset + location.length) - 1))
            let problem = try #require(result.problems.first)
            #expect(result.problems.count == 1)
            #expect(problem.segment == location.segment && problem.offset == Int(location.offset))
            #expect(problem.group == InspectionTests.group && problem.index == location.index)
            #expect(problem.description.contains("group 7, index \(location.index.rawValue): the checksum of"))
        }
    }

    @Test func everyByteOfASealedSegmentThatCountsIsCovered() throws {
        let disk = try sample()
        let image = disk.contents(firstSegment)
        // What is zero is padding, or becomes visible with what stands beside it.
        for position in stride(from: 0, to: image.count, by: 1) where image[position] != 0 {
            let result = try verify(flip(disk, firstSegment, position))
            #expect(!result.problems.isEmpty, "byte \(position)")
            #expect(result.tornTails.isEmpty)
        }
    }

    @Test func everyByteOfTheStoreFileIsCovered() throws {
        let disk = try sample()
        let image = disk.contents("store")
        for position in image.indices where image[position] != 0 {
            #expect(try !verify(flip(disk, "store", position)).problems.isEmpty, "byte \(position)")
        }
        disk.replace("store", with: [UInt8](repeating: 0, count: image.count))
        #expect(try verify(disk).problems.map(\.description) == ["store: no copy is intact"])
        disk.lose("store")
        #expect(try verify(disk).problems.map(\.description) == ["store: the file is missing"])
    }

    @Test func aTornTailIsNamedAndIsNoProblem() throws {
        var log = try LogFixture()
        try log.append([.entry(entry(1))])
        let last = try log.append([.entry(entry(2))])
        let torn = flip(log.disk, firstSegment, Int(last[0].offset))
        let result = try verify(torn)
        #expect(result.problems == [] && result.tornTails.count == 1 && result.frames == 1)
        #expect(result.tornTails.first?.what.contains("torn tail of 512 bytes") == true)
        // The next frame proves that it was synced: the same flip is damage then.
        try log.attest()
        let damaged = try verify(flip(log.disk, firstSegment, Int(last[0].offset)))
        #expect(damaged.tornTails == [] && damaged.problems.map(\.index) == [LogIndex(2)])
    }

    @Test func aMissingSegmentIsNamed() throws {
        let disk = try sample()
        disk.lose("segment-0000000002")
        let problems = try verify(disk).problems.map(\.description)
        #expect(problems.contains { $0.hasPrefix("segment 2: missing; the log goes on in it behind segment 1") })
        #expect(problems.contains { $0.contains("no readable headers of frames") })
        #expect(try StoreInspection(disk: disk).contents().groups.first?.recovered.mayVote == false)
    }

    @Test func aTruncatedSegmentIsNamed() throws {
        let disk = try sample()
        let image = disk.contents(firstSegment)
        for length in [0, 100, 4_096, 8_192, 9_000, image.count - 512, image.count - 1] {
            let copy = disk.clone()
            copy.replace(firstSegment, with: Array(image[..<length]))
            let problems = try verify(copy).problems
            #expect(problems.contains { $0.segment == 1 }, "cut to \(length)")
        }
    }

    @Test func whatIsNoStoreIsRefused() {
        #expect(throws: LogStoreFailure.identityMissing) { _ = try StoreInspection(disk: MemoryDisk()) }
    }

    @Test func aReadOnlyDiskMakesNothingAndRespectsTheLock() throws {
        let path = "/tmp/warren-inspection-\(getpid())"
        #expect(throws: DiskFailure.notFound(path)) { _ = try ReadOnlyDisk(path: path) }
        #expect(access(path, F_OK) != 0)
        defer {
            unlink(path + "/" + FileDisk.lockName)
            rmdir(path)
        }
        do {
            let disk = try FileDisk(path: path)
            #expect(throws: DiskFailure.system(errno: EWOULDBLOCK, operation: "lock", file: FileDisk.lockName)) {
                _ = try ReadOnlyDisk(path: path)
            }
            _ = try disk.list()
        }
        let reader = try ReadOnlyDisk(path: path)
        let second = try ReadOnlyDisk(path: path)
        #expect(throws: DiskFailure.self) { _ = try FileDisk(path: path) }
        #expect(throws: DiskFailure.self) { _ = try second.create("file") }
        #expect(try reader.list() == [FileDisk.lockName])
    }
}
