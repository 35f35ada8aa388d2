import LogStore
import Primitives
import Testing

/// Random work with reclamation between its steps, on disks that stop at any operation and then lose power: what was
/// completed is recovered with its bytes, and the disk does not fill with what is dead.
@Suite struct ReclaimModelTests {
    private struct Run {
        var random: SeededRandom
        let disk = MemoryDisk()
        /// After each submission since the last start; the first is what the start found.
        var states: [[UInt64: HostGroup]] = [[:]]
        var completed = 0
        var nextGroup: UInt64 = 1
        /// Segments retired over all lives.
        var retired = 0

        init(seed: UInt64) { random = SeededRandom(seed: seed) }

        mutating func records(_ host: inout LogHost) -> [LogRecord] {
            var records: [LogRecord] = []
            for _ in 0..<1 + random.next(below: 3) {
                let ids = host.groups.keys.sorted()
                guard !ids.isEmpty, !(ids.count < 4 && random.oneIn(6)) else {
                    records += host.create()
                    continue
                }
                let id = ids[Int(random.next(below: UInt64(ids.count)))]
                records += change(id, &host)
            }
            return records
        }

        private mutating func change(_ id: UInt64, _ host: inout LogHost) -> [LogRecord] {
            if host.incoming[id] != nil && random.oneIn(2) {
                // Meanwhile it takes no other records, but for its term.
                guard random.oneIn(2) else { return host.vote(id, for: nil) }
                let bytes = [UInt8](repeating: 3, count: Int(random.next(below: 2_000)))
                let isKept = random.oneIn(2)
                return host.finishInstall(id, bytes: bytes) { $0.isMultiple(of: 2) == isKept }
            }
            let aborted = host.abortInstall(id)
            return aborted + ordinaryChange(id, &host)
        }

        private mutating func ordinaryChange(_ id: UInt64, _ host: inout LogHost) -> [LogRecord] {
            guard let group = host.groups[id] else { return [] }
            switch random.next(below: 20) {
            case 0: return host.vote(id, for: random.oneIn(2) ? nil : UInt16(1 + random.next(below: 3)))
            case 1: return host.configure(id, "configuration \(random.next(below: 1_000))")
            case 2 where group.last > group.base:
                return host.truncate(id, behind: group.base + random.next(below: group.last - group.base + 1))
            case 3, 4, 5:
                guard group.last > group.base else { return [] }
                let index = group.base + 1 + random.next(below: group.last - group.base)
                let bytes = (0..<random.next(below: 3_000)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
                let sparse = 1 + random.next(below: 4)
                let keep = Set(group.entries.keys.sorted().filter { _ in random.oneIn(sparse) })
                return host.snapshot(
                    id, at: index, bytes: bytes, chunk: 200 + Int(random.next(below: 2_000)), keeping: keep.contains)
            case 6 where random.oneIn(4): return host.remove(id)
            case 7 where group.last > 0:
                return host.beginInstall(
                    id, sizes: (0..<random.next(below: 6)).map { _ in Int(random.next(below: 1_000)) })
            default: return host.append(id, size: Int(random.next(below: 1_500)))
            }
        }

        /// One life: ends when the disk stops.
        mutating func live(steps: Int) throws {
            let stopping = StoppingDisk(disk, stopAfter: Int(20 + random.next(below: 400)))
            do {
                var hosted = try HostedLog(disk: stopping, nextGroup: nextGroup, seed: random.next())
                try check(hosted.store)
                states = [hosted.host.groups]
                completed = 0
                defer { nextGroup = hosted.host.nextGroup }
                do {
                    try work(&hosted, steps: steps)
                } catch is LogStoreFailure {
                } catch is DiskFailure {}
                completed = Int(hosted.completed)
            } catch is LogStoreFailure {}
            disk.crash(&random)
        }

        /// A transfer that a crash cut off is undone, as it is when the leader gives it up.
        private mutating func clean<D: Disk>(_ hosted: inout HostedLog<D>) {
            hosted.stage { host in host.groups.keys.sorted().flatMap { host.abortInstall($0, always: true) } }
            states.append(hosted.host.groups)
        }

        private mutating func work(_ hosted: inout HostedLog<StoppingDisk>, steps: Int) throws {
            clean(&hosted)
            for _ in 0..<steps {
                if random.oneIn(3) { try hosted.log.prepareSegments() }
                for _ in 0..<1 + random.next(below: 3) {
                    var generator = self
                    hosted.stage { generator.records(&$0) }
                    random = generator.random
                    states.append(hosted.host.groups)
                }
                // Reclamation goes on while some of it is not durable.
                for _ in 0..<random.next(below: 4) { try step(&hosted) }
                if !random.oneIn(4) { try hosted.flush() }
                for _ in 0..<random.next(below: 12) {
                    if try step(&hosted) == .waiting { try hosted.flush() }
                }
                if random.oneIn(5) { hosted.log.stageAttestation() }
                if random.oneIn(20) {
                    try hosted.flush()
                    try hosted.verifyEntries()
                }
            }
        }

        @discardableResult
        private mutating func step(_ hosted: inout HostedLog<StoppingDisk>) throws -> ReclaimProgress {
            let progress = try hosted.reclaimStep()
            if case .retired = progress { retired += 1 }
            return progress
        }

        func check(_ store: RecoveredStore) throws {
            let found = Dictionary(uniqueKeysWithValues: store.groups.map { ($0.group.rawValue, HostGroup($0)) })
            let position = states.lastIndex(of: found)
            #expect(position ?? -1 >= completed, "found \(String(describing: position)), completed \(completed)")
            #expect(store.mayVote && store.report.damagedRecords == 0 && store.report.lostFrames == 0)
            #expect(store.groups.allSatisfy { $0.mayVote && $0.mayLead && $0.missing.isEmpty })
        }

        /// The last life: nothing stops it.
        mutating func end() throws {
            var hosted = try HostedLog(disk: disk, nextGroup: nextGroup, seed: random.next())
            try check(hosted.store)
            try hosted.verifyEntries()
            clean(&hosted)
            for _ in 0..<30 {
                try hosted.log.prepareSegments()
                var generator = self
                try hosted.write { generator.records(&$0) }
                random = generator.random
            }
            clean(&hosted)
            try hosted.flush()
            retired += try hosted.reclaim().count
            try hosted.verifyEntries()
            let segment = HostedLog<MemoryDisk>.small.segmentSize
            let limit = 3 * (hosted.host.liveBytes + 2 * segment)
            let used = try disk.segmentBytes()
            #expect(
                used < limit,
                """
                \(used) used, \(hosted.host.liveBytes) live, \(hosted.log.readySegmentCount) ready; \
                \(hosted.log.segmentAccounts.map { ($0.segment, $0.size, $0.liveBytes, $0.liveRecords) })
                """)
            // Nothing of it depends on memory only.
            let again = try HostedLog(disk: disk, nextGroup: 1, seed: random.next())
            #expect(again.host.groups == hosted.host.groups && again.host.locations == hosted.host.locations)
            try again.verifyEntries()
            // Nothing is counted that is dead. A start counts truncations and removals that had been found unneeded.
            for (account, found) in zip(hosted.log.segmentAccounts, again.log.segmentAccounts) {
                #expect(account.segment == found.segment && account.size <= found.size)
                #expect(account.liveRecords <= found.liveRecords && account.liveRecordBytes <= found.liveRecordBytes)
            }
        }
    }

    @Test(arguments: 0..<20 as Range<UInt64>)
    func whatIsLiveSurvivesReclamationAndCrashes(block: UInt64) throws {
        var retired = 0
        for seed in 50 * block..<50 * (block + 1) {
            var run = Run(seed: seed)
            for _ in 0..<4 { try run.live(steps: 40) }
            try run.end()
            retired += run.retired
        }
        #expect(retired > 100)
    }
}
