import LogStore
import Primitives
import Testing

@Suite struct IdentityTests {
    private func filled() throws -> LogFixture {
        var log = try LogFixture()
        for index in 1...40 as ClosedRange<UInt64> {
            try log.log.prepareSegments()
            try log.append([.entry(entry(index, size: 900))])
        }
        return log
    }

    @Test func storesDiffer() throws {
        #expect(try LogFixture(seed: 1).store.storeID != LogFixture(seed: 2).store.storeID)
    }

    /// A store in the place of a lost one counts on from it; afterwards only its own starts count.
    @Test func aNewStoreBeginsWithTheIncarnationThatItIsGiven() throws {
        let disk = MemoryDisk()
        for (first, expected) in [(700, 700), (5, 701), (900, 702)] as [(UInt32, UInt32)] {
            var random = SeededRandom(seed: 1)
            let (log, store) = try NodeLog.open(
                disk: disk, configuration: LogConfiguration(segmentSize: 64 << 10, firstSegmentSize: 64 << 10),
                firstIncarnation: Incarnation(first), randomness: &random)
            #expect(store.incarnation == Incarnation(expected))
            log.close()
        }
    }

    @Test func segmentsWithoutAStoreAreRefused() throws {
        let log = try filled()
        log.disk.lose("store")
        #expect(throws: LogStoreFailure.identityMissing) { try LogFixture(disk: log.disk) }
    }

    @Test func oneCopyOfTheIdentityIsEnough() throws {
        let log = try LogFixture()
        let image = log.disk.contents("store")
        for damage in [0..<48, 4_096..<4_144] {
            var bytes = image
            for position in damage { bytes[position] = 0 }
            log.disk.replace("store", with: bytes)
            let store = try LogFixture(disk: log.disk.clone()).store
            #expect(store.storeID == log.store.storeID && store.incarnation == Incarnation(2))
        }
        log.disk.replace("store", with: [UInt8](repeating: 0, count: image.count))
        #expect(throws: LogStoreFailure.identityDamaged) { try LogFixture(disk: log.disk) }
    }

    @Test func anotherStoresSegmentIsRefused() throws {
        let log = try LogFixture(seed: 1)
        let other = try LogFixture(seed: 2)
        log.disk.replace(firstSegment, with: other.disk.contents(firstSegment))
        #expect(throws: LogStoreFailure.foreignSegment(firstSegment)) { try LogFixture(disk: log.disk) }
    }

    @Test func anyMissingSegmentCostsTheVote() throws {
        let log = try filled()
        for name in try log.disk.list() where name.hasPrefix("segment-") {
            // Those behind the active one hold nothing yet.
            guard let number = UInt32(name.suffix(10)), number <= log.log.activeSegment else { continue }
            let copy = log.disk.clone()
            copy.lose(name)
            let store = try LogFixture(disk: copy).store
            #expect(!store.mayVote && !store.isFresh, "\(name)")
            #expect(store.groups.allSatisfy { !$0.mayVote && !$0.mayLead })
        }
    }

    /// No footer names the segment that takes frames; those made ready behind it show that it was there.
    @Test func aStoreThatLostTheSegmentInUseIsNotFresh() throws {
        var log = try LogFixture()
        try log.log.prepareSegments()
        try log.append([.entry(entry(1))])
        log.disk.lose(firstSegment)
        let store = try LogFixture(disk: log.disk).store
        #expect(!store.mayVote && !store.isFresh)
    }

    @Test func aStoreThatLostItsOnlySegmentIsNotFresh() throws {
        let log = try LogFixture()
        log.disk.lose(firstSegment)
        for _ in 0..<3 {
            let store = try LogFixture(disk: log.disk).store
            #expect(!store.isFresh && !store.mayVote)
        }
    }

    @Test func aNewerVersionIsRefusedRatherThanRepaired() throws {
        let log = try LogFixture()
        var bytes = log.disk.contents("store")
        for start in [0, 4_096] {
            bytes[start + 8] = 3
            let checksum = bytes.withUnsafeBytes {
                CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[start + 8..<start + 48]))
            }
            withUnsafeBytes(of: checksum.littleEndian) { bytes.replaceSubrange(start + 4..<start + 8, with: $0) }
        }
        log.disk.replace("store", with: bytes)
        #expect(throws: LogStoreFailure.unsupportedVersion(file: "store", version: 3)) {
            try LogFixture(disk: log.disk)
        }
    }

    @Test func aCrashAtAnyStepOfTheFirstStartLeavesAFreshStore() throws {
        for seed in 0..<40 as Range<UInt64> {
            var random = SeededRandom(seed: seed)
            let disk = StoppingDisk(stopAfter: Int(seed))
            var generator = random
            let first = Result { try NodeLog.open(disk: disk, configuration: LogFixture.small, randomness: &generator) }
            disk.memory.crash(&random)
            let store = try LogFixture(disk: disk.memory, seed: seed).store
            #expect(store.isFresh && store.mayVote)
            if case .success(let opened) = first {
                #expect(store.storeID == opened.store.storeID && store.incarnation > opened.store.incarnation)
            }
        }
    }
}

extension IdentityTests {
    /// What is written after a loss is there at the next start like everything else.
    @Test(arguments: [0, 1, 2, 3]) func aStoreThatLostAllItsSegmentsKeepsWhatComesLater(loss: Int) throws {
        let sizes = LogConfiguration(segmentSize: 16 << 10, firstSegmentSize: 16 << 10, readySegments: 1)
        var log = try LogFixture(configuration: sizes)
        if loss < 2 { try log.log.prepareSegments() }
        let names = try log.disk.list().filter { $0.hasPrefix("segment-") }
        log.disk.lose(firstSegment)
        for name in names.dropFirst() where loss == 1 {
            log.disk.replace(name, with: [UInt8](repeating: 0, count: log.disk.contents(name).count))
        }
        if loss == 2 {
            let bytes = log.disk.contents("store")
            log.disk.replace("store", with: [UInt8](repeating: 0, count: 512) + bytes.dropFirst(512))
        }
        if loss == 3 { log.disk.lose("store") }
        log = try LogFixture(disk: log.disk, configuration: sizes)
        #expect(log.store.mayVote == (loss == 3))
        try log.append([.groupCreated(group: GroupID(7), Bytes("new")), .entry(entry(1))])
        _ = try log.log.reclaimStep { $0.map { _ in true } }
        log.log.close()
        let store = try LogFixture(disk: log.disk, configuration: sizes).store
        #expect(store.groups.first?.lastIndex == LogIndex(1))
    }
}
