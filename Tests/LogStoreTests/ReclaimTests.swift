import LogStore
import Primitives
import Testing

/// What counts as live, and what becomes of a segment in which little is.
@Suite struct ReclaimTests {
    /// A log with one group and many small segments, everything in it durable.
    private func filled(
        entries count: Int = 60, size: Int = 900, disk: MemoryDisk = MemoryDisk()
    ) throws -> HostedLog<MemoryDisk> {
        var hosted = try HostedLog(disk: disk)
        try hosted.write { $0.create() + $0.vote(1, for: 2) + $0.configure(1, "three nodes") }
        for _ in 0..<count {
            try hosted.log.prepareSegments()
            try hosted.write { $0.append(1, size: size) }
        }
        return hosted
    }

    private func name(of segment: UInt32) -> String {
        let digits = String(segment)
        return "segment-" + String(repeating: "0", count: 10 - digits.count) + digits
    }

    private func reopened(_ hosted: HostedLog<MemoryDisk>) throws -> HostedLog<MemoryDisk> {
        let again = try HostedLog(disk: hosted.disk.clone(), nextGroup: hosted.host.nextGroup)
        #expect(again.host.groups == hosted.host.groups && again.host.locations == hosted.host.locations)
        #expect(again.store.mayVote && again.store.groups.allSatisfy { $0.mayLead })
        try again.verifyEntries()
        return again
    }

    // MARK: Accounts

    @Test func liveBytesAreTheSameBeforeAndAfterAStart() throws {
        var hosted = try filled()
        try hosted.write {
            $0.snapshot(1, at: 30, bytes: [UInt8](repeating: 7, count: 999), chunk: 300) { $0.isMultiple(of: 3) }
        }
        let again = try reopened(hosted)
        let accounts = hosted.log.segmentAccounts
        #expect(accounts.map(\.segment) == again.log.segmentAccounts.map(\.segment))
        #expect(accounts.map(\.liveRecords) == again.log.segmentAccounts.map(\.liveRecords))
        #expect(accounts.map(\.liveBytes) == again.log.segmentAccounts.map(\.liveBytes))
        #expect(accounts.map(\.isSealed) == accounts.map { $0.segment != hosted.log.activeSegment })
        // 40 entries, the group's creation, configuration and hard state, four chunks and a mark.
        #expect(accounts.reduce(0) { $0 + $1.liveRecords } == 48)
        let entryBytes = hosted.host.locations.values.reduce(0) { $0 + Int($1.length) }
        // Ten live ranges of two bytes each.
        let controlBytes = "group 1".utf8.count + "three nodes".utf8.count + 999 + 4 * 8 + 8 + 1 + 10 * 2
        #expect(accounts.reduce(0) { $0 + $1.liveRecordBytes } == entryBytes + controlBytes)
        #expect(accounts.reduce(0) { $0 + $1.liveBytes } == entryBytes + controlBytes + 48 * 48)
    }

    @Test func onlyTheNewestControlRecordsAreLive() throws {
        var hosted = try HostedLog(disk: MemoryDisk())
        try hosted.write { $0.create() }
        for round in 0..<20 {
            try hosted.write { $0.vote(1, for: 2) + $0.configure(1, "configuration \(round)") }
        }
        #expect(hosted.log.segmentAccounts.map(\.liveRecords) == [3])
        // A lower term, and no vote where there was one, change nothing.
        hosted.log.stage([.hardState(group: GroupID(1), term: Term(3), vote: NodeID(1))], ticket: 100)
        hosted.log.stage([.hardState(group: GroupID(1), term: Term(20), vote: nil)], ticket: 101)
        try hosted.flush()
        #expect(hosted.log.segmentAccounts.map(\.liveRecords) == [3])
        try hosted.write { $0.remove(1) }
        #expect(hosted.log.segmentAccounts.map(\.liveRecords) == [1])
    }

    @Test func releasesAreCountedOnceAndUnknownSegmentsIgnored() throws {
        var hosted = try filled(entries: 5)
        let before = hosted.log.segmentAccounts[0]
        var release = SegmentRelease(try #require(hosted.host.locations.values.first))
        release.add(try #require(hosted.host.locations.values.first))
        hosted.log.release([SegmentRelease(segment: 999, bytes: 1, count: 1), release])
        let after = hosted.log.segmentAccounts[0]
        #expect(after.liveRecords == before.liveRecords - 2)
        #expect(after.liveRecordBytes == before.liveRecordBytes - release.bytes)
        hosted.log.release([SegmentRelease(segment: 1, bytes: .max, count: .max)])
        #expect(hosted.log.segmentAccounts[0].liveBytes == 0)
    }

    // MARK: Reclamation

    @Test func nothingIsCopiedWhileMostIsLive() throws {
        var hosted = try filled(size: 1_800)
        #expect(try hosted.reclaim().isEmpty)
    }

    @Test func deadSegmentsGoAndTheirNumbersStayKnown() throws {
        var hosted = try filled(entries: 100)
        let before = try hosted.disk.segmentBytes()
        try hosted.write { $0.snapshot(1, at: 99, bytes: [1], chunk: 1) { _ in false } }
        let retired = try hosted.reclaim()
        #expect(retired.count >= 6)
        #expect(try hosted.disk.segmentBytes() < before / 2)
        let again = try reopened(hosted)
        #expect(again.log.activeSegment == hosted.log.activeSegment)
        // The numbers are never used again.
        for _ in 0..<30 {
            try hosted.log.prepareSegments()
            try hosted.write { $0.append(1, size: 900) }
        }
        #expect(hosted.log.segmentAccounts.allSatisfy { !retired.contains($0.segment) })
        _ = try reopened(hosted)
    }

    @Test func sparseSegmentsAreCopiedAndEntriesStayReadable() throws {
        var hosted = try filled(entries: 100)
        let old = hosted.host.locations
        try hosted.write { $0.snapshot(1, at: 99, bytes: [1], chunk: 1) { $0.isMultiple(of: 10) } }
        let retired = try hosted.reclaim()
        #expect(!retired.isEmpty)
        try hosted.verifyEntries()
        let moved = hosted.host.locations.filter { old[$0.key] != $0.value }
        #expect(!moved.isEmpty)
        _ = try reopened(hosted)
        // The old places give an error, or the entry as long as the file is kept, never other bytes.
        let names = try hosted.disk.list()
        for (key, location) in old where hosted.host.locations[key] != location && retired.contains(location.segment) {
            var reader = EntryReader(disk: hosted.disk)
            let name = name(of: location.segment)
            if names.contains(name) {
                #expect(try reader.read(location).index == location.index)
            } else {
                #expect(throws: EntryReadFailure.damaged(location)) { try reader.read(location) }
            }
        }
    }

    @Test func anOpenDescriptorOfARecycledSegmentGivesNoOtherData() throws {
        var hosted = try filled(entries: 100)
        let old = hosted.host.locations.values.sorted { $0.index < $1.index }
        var reader = EntryReader(disk: hosted.disk)
        for result in reader.read(old) { _ = try result.get() }
        try hosted.write { $0.snapshot(1, at: 99, bytes: [1], chunk: 1) { _ in false } }
        let retired = try hosted.reclaim()
        for _ in 0..<60 {
            try hosted.log.prepareSegments()
            try hosted.write { $0.append(1, size: 900) }
            try hosted.reclaim()
        }
        for location in old where retired.contains(location.segment) {
            do throws(EntryReadFailure) {
                // A file that was removed and not recycled still holds the entry.
                #expect(try reader.read(location).index == location.index)
            } catch {
                #expect(error == .damaged(location))
            }
        }
        for location in old where retired.contains(location.segment) {
            reader.forget(location.segment)
            #expect(throws: EntryReadFailure.damaged(location)) { try reader.read(location) }
        }
    }

    @Test func filesAreRecycledWithoutBeingFilledAgain() throws {
        var hosted = try filled(entries: 100)
        try hosted.write { $0.snapshot(1, at: 99, bytes: [1], chunk: 1) { _ in false } }
        #expect(try !hosted.reclaim().isEmpty)
        let names = try hosted.disk.list()
        let count = names.count
        // The next segment is made of an old file: no file more, and its old frames do not count.
        for _ in 0..<100 {
            try hosted.log.prepareSegments()
            try hosted.write { $0.append(1, size: 700) }
        }
        try hosted.write { $0.snapshot(1, at: 190, bytes: [2], chunk: 1) { _ in false } }
        try hosted.reclaim()
        #expect(try hosted.disk.list().count <= count + 1)
        for _ in 0..<3 { _ = try reopened(hosted) }
    }

    @Test func aLiveRecordThatCannotBeReadKeepsItsSegment() throws {
        var hosted = try filled(entries: 100)
        let location = try #require(hosted.host.locations[LogHost.Key(group: 1, index: 10)])
        let name = name(of: location.segment)
        var bytes = hosted.disk.contents(name)
        bytes[Int(location.offset) + 70] ^= 1
        hosted.disk.replace(name, with: bytes)
        try hosted.write { $0.snapshot(1, at: 99, bytes: [1], chunk: 1) { $0.isMultiple(of: 10) } }
        #expect(try !hosted.reclaim().contains(location.segment))
        #expect(try hosted.disk.list().contains(name))
        // Repaired from a peer's copy, it does not hold the file any more.
        try hosted.write { _ in [.entry(entry(10, term: location.term.rawValue, group: 1, size: 900))] }
        #expect(try hosted.reclaim().contains(location.segment))
        _ = try reopened(hosted)
    }

    @Test func aTruncationOutlivesWhatItSuppresses() throws {
        var hosted = try filled(entries: 40)
        try hosted.write { $0.truncate(1, behind: 20) }
        for _ in 0..<30 {
            try hosted.log.prepareSegments()
            try hosted.write { $0.append(1, size: 900) }
        }
        // Step by step, with a start from a copy of the disk after each.
        for _ in 0..<2_000 {
            let progress = try hosted.reclaimStep()
            if progress == .idle { break }
            if progress == .waiting { try hosted.flush() }
            if case .retired = progress { _ = try reopened(hosted) }
        }
        try hosted.write { $0.remove(1) }
        try hosted.write { $0.create() }
        while true {
            let progress = try hosted.reclaimStep()
            if progress == .idle { break }
            if progress == .waiting { try hosted.flush() }
            if case .retired = progress { _ = try reopened(hosted) }
        }
        // With the segments the removal went, or will.
        #expect(hosted.log.segmentAccounts.count <= 3)
    }

    /// Without a snapshot of the metadata the next start replays the command that created the group.
    @Test func aRemovalIsForgottenOnceTheMetadataIsSnapshotted() throws {
        var hosted = try filled()
        try hosted.write { $0.remove(1) }
        func turnOver(_ hosted: inout HostedLog<MemoryDisk>) throws -> [GroupID] {
            for _ in 0..<200 {
                try hosted.log.prepareSegments()
                hosted.log.stage([], ticket: 1_000)
                try hosted.flush()
                try hosted.reclaim()
            }
            return try HostedLog(disk: hosted.disk.clone()).store.removedGroups
        }
        #expect(try turnOver(&hosted) == [GroupID(1)])
        // The state of a metadata snapshot may be older than a removal that comes before its mark.
        try hosted.write { _ in [.groupRemoved(group: GroupID(75), at: LogIndex(75))] }
        try hosted.write { _ in LogHost.snapshotRecords(0, at: 70, term: 1, bytes: [1], chunk: 1, live: []) }
        #expect(try turnOver(&hosted) == [GroupID(75)])
        try hosted.write { _ in LogHost.snapshotRecords(0, at: 80, term: 1, bytes: [1], chunk: 1, live: []) }
        #expect(try turnOver(&hosted) == [])
    }

    // MARK: What is missing

    @Test func aRetiredSegmentIsNoLossAndALostOneIs() throws {
        var hosted = try filled(entries: 100)
        try hosted.write { $0.snapshot(1, at: 99, bytes: [1], chunk: 1) { $0 > 60 } }
        let retired = try hosted.reclaim()
        #expect(!retired.isEmpty)
        _ = try reopened(hosted)
        for account in hosted.log.segmentAccounts {
            let name = name(of: account.segment)
            let copy = hosted.disk.clone()
            copy.lose(name)
            for _ in 0..<2 { #expect(try !HostedLog(disk: copy).store.mayVote, "\(name)") }
        }
    }

    @Test func aStoreWhoseRecordsAllDiedIsNotFresh() throws {
        var hosted = try filled(entries: 60)
        try hosted.write { $0.remove(1) }
        // Attestations alone fill segments, until even the removal is needed no more.
        for _ in 0..<200 {
            try hosted.log.prepareSegments()
            hosted.log.stage([], ticket: 1_000)
            try hosted.flush()
            try hosted.reclaim()
        }
        let again = try HostedLog(disk: hosted.disk)
        #expect(!again.store.isFresh && again.store.mayVote)
    }

    @Test func theSignOfADamagedSnapshotOutlivesItsSegment() throws {
        var hosted = try filled(entries: 60)
        let pattern = (0..<200).map { UInt8(255 - $0) }
        try hosted.write { $0.snapshot(1, at: 60, bytes: pattern, chunk: 300) { _ in false } }
        hosted.log.stageAttestation()
        try hosted.flush()
        #expect(try !hosted.reclaim().isEmpty)
        let segment = hosted.log.activeSegment
        let name = name(of: segment)
        var retired: [UInt32] = []
        var bytes = hosted.disk.contents(name)
        let place = try #require(bytes.indices.dropLast(199).first { Array(bytes[$0..<$0 + 200]) == pattern })
        bytes[place] ^= 1
        hosted.disk.replace(name, with: bytes)
        for life in 100..<104 as Range<UInt64> {
            var again = try HostedLog(disk: hosted.disk, nextGroup: 2)
            let group = try #require(again.store.groups.first)
            #expect(!group.mayVote && !group.mayLead && group.snapshot == nil)
            // The host drops what it cannot use, and another group leaves sparse segments, which are copied.
            again.host = LogHost()
            again.host.nextGroup = life
            try again.write { $0.create() }
            for _ in 0..<60 {
                try again.log.prepareSegments()
                try again.write { $0.append(life, size: 900) }
            }
            try again.write { $0.snapshot(life, at: 60, bytes: [1], chunk: 1) { $0.isMultiple(of: 4) } }
            retired += try again.reclaim()
        }
        // The segment with the mark went, too.
        #expect(retired.contains(segment))
        // One at a lower index, of a replica that begins anew, does not heal it: what was there is still missing.
        var anew = try HostedLog(disk: hosted.disk, nextGroup: 2)
        try anew.write { _ in LogHost.snapshotRecords(1, at: 40, term: 1, bytes: [1], chunk: 1, live: []) }
        let short = try #require(try HostedLog(disk: hosted.disk, nextGroup: 2).store.groups.first)
        #expect(!short.mayVote && !short.mayLead && short.snapshot?.index == LogIndex(40))
        // Another snapshot heals it.
        var healed = try HostedLog(disk: hosted.disk, nextGroup: 2)
        try healed.write { _ in LogHost.snapshotRecords(1, at: 70, term: 1, bytes: [1], chunk: 1, live: []) }
        let group = try #require(try HostedLog(disk: hosted.disk, nextGroup: 2).store.groups.first)
        #expect(group.mayVote && group.mayLead && group.snapshot?.index == LogIndex(70))
    }

    @Test func aDamagedFooterStopsNeitherAStartNorReclamation() throws {
        let hosted = try filled(entries: 100)
        for number in 2...4 {
            let copy = hosted.disk.clone()
            let name = name(of: UInt32(number))
            var bytes = copy.contents(name)
            bytes[bytes.count - 500] ^= 1
            copy.replace(name, with: bytes)
            var again = try HostedLog(disk: copy, nextGroup: 2)
            #expect(again.store.mayVote && again.host.groups == hosted.host.groups)
            try again.write { $0.snapshot(1, at: 99, bytes: [1], chunk: 1) { $0.isMultiple(of: 10) } }
            #expect(try again.reclaim().contains(UInt32(number)))
            _ = try reopened(again)
        }
    }

    // MARK: Crashes

    @Test func aCrashAtAnyStepOfReclamationLosesNothing() throws {
        let hosted = try filled(entries: 40)
        let before = hosted.host.groups
        var ends = 0
        var operations = 0
        while ends < 3 {
            operations += 1
            let copy = hosted.disk.clone()
            let stopping = StoppingDisk(copy, stopAfter: operations)
            var after = before
            var isDurable = false
            do {
                var log = try HostedLog(disk: stopping, nextGroup: 2, seed: UInt64(operations))
                defer { isDurable = log.completed > 0 }
                log.stage { $0.snapshot(1, at: 39, bytes: [5, 6], chunk: 1) { $0.isMultiple(of: 9) } }
                after = log.host.groups
                try log.flush()
                try log.reclaim()
                // A spare file is recycled, too.
                try log.log.prepareSegments()
                for _ in 0..<15 {
                    try log.write { _ in [] }
                    try log.log.prepareSegments()
                }
                ends += 1
            } catch is LogStoreFailure {
            } catch is DiskFailure {}
            for seed in 0..<6 as Range<UInt64> {
                let crashed = copy.clone()
                var random = SeededRandom(seed: seed)
                crashed.crash(&random)
                for _ in 0..<2 {
                    let again = try HostedLog(disk: crashed, nextGroup: 2)
                    #expect(again.store.mayVote && again.store.groups.allSatisfy { $0.mayVote && $0.mayLead })
                    let found = again.host.groups
                    #expect(found == after || (found == before && !isDurable), "\(operations) operations")
                    try again.verifyEntries()
                }
            }
        }
        // Opening, the snapshot, a dozen copies and retirements.
        #expect(operations > 50)
    }

    @Test func theListOfRetiredSegmentsIsKeptTwice() throws {
        var hosted = try filled(entries: 100)
        try hosted.write { $0.snapshot(1, at: 99, bytes: [1], chunk: 1) { _ in false } }
        try hosted.reclaim()
        let image = hosted.disk.contents("store")
        #expect(image.count > 12_288)
        let isListed = image.indices.filter { $0 >= 8_192 && image[$0] != 0 }
        #expect(isListed.count >= 16)
        for place in isListed {
            let copy = hosted.disk.clone()
            var bytes = image
            bytes[place] ^= 4
            copy.replace("store", with: bytes)
            #expect(try HostedLog(disk: copy).store.mayVote)
            bytes[place < 12_288 ? place + 4_096 : place - 4_096] ^= 4
            copy.replace("store", with: bytes)
            #expect(throws: LogStoreFailure.identityDamaged) { try HostedLog(disk: copy) }
        }
    }
}
