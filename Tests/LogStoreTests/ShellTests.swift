import Glibc
import LogStore
import Primitives
import Synchronization
import Testing

/// A directory that goes with the test.
private final class TemporaryDirectory {
    let path: String

    init() throws {
        var template = Array("/tmp/logstore-XXXXXX".utf8CString)
        let made = template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!).map { String(cString: $0) } }
        path = try #require(made)
    }

    deinit {
        if let disk = try? FileDisk(path: path) { for name in (try? disk.list()) ?? [] { try? disk.remove(name) } }
        rmdir(path)
    }
}

/// Collects what threads report and lets the test wait for it.
private final class Inbox<Element: Sendable>: Sendable {
    private let items = Mutex<[Element]>([])
    private let arrived: AsyncStream<Void>
    private let signal: AsyncStream<Void>.Continuation

    init() { (arrived, signal) = AsyncStream.makeStream(bufferingPolicy: .unbounded) }

    func add(_ new: [Element]) {
        items.withLock { $0 += new }
        signal.yield()
    }

    var all: [Element] { items.withLock { $0 } }

    func wait(for count: Int) async -> [Element] { await wait { $0.count >= count } }

    /// What has come when `condition` holds.
    func wait(until condition: ([Element]) -> Bool) async -> [Element] {
        var iterator = arrived.makeAsyncIterator()
        while true {
            let items = all
            if condition(items) { return items }
            await iterator.next()
        }
    }
}

/// A host that callbacks and the test share.
private final class SharedHost: Sendable {
    private let host = Mutex(LogHost())

    func records(_ make: (inout LogHost) -> [LogRecord]) -> [LogRecord] { host.withLock { make(&$0) } }
    func completed(_ completions: [LogCompletion]) { host.withLock { $0.completed(completions) } }
    func relocated(_ relocations: [Relocation]) { host.withLock { $0.relocated(relocations) } }
    func isLive(_ locations: [EntryLocation]) -> [Bool] { host.withLock { $0.isLive(locations) } }
    func takeReleases() -> [SegmentRelease] { host.withLock { $0.takeReleases() } }
    func location(_ index: UInt64) -> EntryLocation? {
        host.withLock { $0.locations[LogHost.Key(group: 1, index: index)] }
    }
    /// Whether the store has the same groups, and at the places that were named last.
    func holds(_ store: RecoveredStore) -> Bool {
        let found = LogHost(store, nextGroup: 1)
        return host.withLock { $0.groups == found.groups && $0.locations == found.locations }
    }
}

@Suite struct ShellTests {
    private let configuration = LogConfiguration(segmentSize: 64 << 10, firstSegmentSize: 64 << 10)

    @Test func theWriterCompletesEverythingInOrderAndTheReaderFindsIt() async throws {
        let directory = try TemporaryDirectory()
        let completions = Inbox<LogCompletion>()
        let failures = Inbox<LogStoreFailure>()
        let count: UInt64 = 300
        do {
            let disk = try FileDisk(path: directory.path)
            var random = SystemRandomNumberGenerator()
            let (log, store) = try NodeLog.open(disk: disk, configuration: configuration, randomness: &random)
            #expect(store.isFresh)
            let writer = LogWriter(
                log: log, onCompletion: { completions.add($0) }, onFailure: { failures.add([$0]) })
            for index in 1...count { writer.submit([.entry(entry(index, size: 900))], ticket: index) }
            let done = await completions.wait(for: Int(count))
            #expect(done.map(\.ticket) == Array(1...count))
            #expect(writer.totals.syncs > 0 && writer.totals.bytes > count * 900)
            writer.shutdown()
            writer.submit([.entry(entry(count + 1))], ticket: count + 1)
            #expect(completions.all.count == Int(count) && failures.all.isEmpty)
        }
        let disk = try FileDisk(path: directory.path)
        var random = SystemRandomNumberGenerator()
        let (log, store) = try NodeLog.open(disk: disk, configuration: configuration, randomness: &random)
        defer { log.close() }
        #expect(store.report.cleanStop && store.incarnation == Incarnation(2))
        let entries = try #require(store.group(7)?.entries)
        #expect(entries == completions.all.flatMap(\.locations))

        let reader = LogReader(disk: disk)
        let results = Inbox<Result<Entry, EntryReadFailure>>()
        reader.submit(entries) { results.add($0) }
        let read = await results.wait(for: entries.count)
        for (index, result) in read.enumerated() {
            #expect(try result.get().bytes == entry(UInt64(index) + 1, size: 900).bytes)
        }
        // Just written and read: the page cache has it, where the filesystem can tell.
        if let cached = reader.readCached(entries[0]) { #expect(cached.bytes == entry(1, size: 900).bytes) }
        var wrong = entries[0]
        wrong.index = LogIndex(99)
        #expect(reader.readCached(wrong) == nil)
        reader.shutdown()
    }

    @Test func theWriterReclaimsSegmentsBesideItsWork() async throws {
        let directory = try TemporaryDirectory()
        let completions = Inbox<LogCompletion>()
        let failures = Inbox<LogStoreFailure>()
        let retirements = Inbox<UInt32>()
        let host = SharedHost()
        // More than a MiB is released, which wakes the writer.
        let count: UInt64 = 900
        var configuration = configuration
        configuration.frameLimit = 16 << 10
        configuration.growthLimit = 64 << 10
        do {
            let disk = try FileDisk(path: directory.path)
            let reader = LogReader(disk: disk)
            var random = SystemRandomNumberGenerator()
            let (log, _) = try NodeLog.open(disk: disk, configuration: configuration, randomness: &random)
            let writer = LogWriter(
                log: log,
                onCompletion: {
                    host.completed($0)
                    completions.add($0)
                }, onFailure: { failures.add([$0]) },
                isLive: { locations, answer in answer(host.isLive(locations)) },
                onRelocation: { host.relocated($0) },
                onRetirement: {
                    reader.forget($0)
                    retirements.add($0)
                })
            writer.submit(host.records { $0.create() }, ticket: 1)
            for index in 1...count { writer.submit(host.records { $0.append(1, size: 1_500) }, ticket: index + 1) }
            _ = await completions.wait(for: Int(count) + 1)
            let old = try #require(host.location(1))
            #expect(reader.readCached(old) != nil || host.location(1) != nil)
            writer.submit(
                host.records {
                    $0.snapshot(1, at: 890, bytes: [1, 2, 3], chunk: 2) { $0 > 100 && $0.isMultiple(of: 20) }
                },
                ticket: count + 2)
            writer.release(host.takeReleases())
            // At least a dozen segments of 64 KiB are dead or sparse.
            let retired = await retirements.wait(for: 8)
            #expect(retired.contains(old.segment) && reader.readCached(old) == nil)
            let results = Inbox<Result<Entry, EntryReadFailure>>()
            reader.submit([old]) { results.add($0) }
            let read = try #require(await results.wait(for: 1).first)
            #expect(throws: EntryReadFailure.self) { try read.get() }
            writer.shutdown()
            reader.shutdown()
            #expect(failures.all.isEmpty)
        }
        let disk = try FileDisk(path: directory.path)
        var random = SystemRandomNumberGenerator()
        let (log, store) = try NodeLog.open(disk: disk, configuration: configuration, randomness: &random)
        defer { log.close() }
        #expect(store.mayVote && store.report.cleanStop)
        #expect(host.holds(store))
    }

    @Test func aFailedSyncEndsTheWriterAndConfirmsNothing() async throws {
        let disk = MemoryDisk()
        var random = SeededRandom(seed: 1)
        let (log, _) = try NodeLog.open(disk: disk, configuration: LogFixture.small, randomness: &random)
        disk.failSyncs()
        let completions = Inbox<LogCompletion>()
        let failures = Inbox<LogStoreFailure>()
        let writer = DiskLogWriter(
            log: log, onCompletion: { completions.add($0) }, onFailure: { failures.add([$0]) })
        writer.submit([.entry(entry(1))], ticket: 1)
        let met = await failures.wait(for: 1)
        #expect(met == [.disk(.system(errno: 5, operation: "fdatasync", file: ""))])
        writer.submit([.entry(entry(2))], ticket: 2)
        writer.shutdown()
        #expect(completions.all.isEmpty && failures.all.count == 1)
    }

    /// A writer on a full disk that has `ready` segments left, after its first record.
    private func stalling(
        _ disk: FullDisk, ready: Int, _ completions: Inbox<LogCompletion>, _ spaces: Inbox<LogSpace>
    ) throws -> DiskLogWriter<FullDisk> {
        var random = SeededRandom(seed: 1)
        var configuration = LogFixture.small
        configuration.readySegments = max(ready, 1)
        var (log, _) = try NodeLog.open(disk: disk, configuration: configuration, randomness: &random)
        if ready > 0 { try log.prepareSegments() }
        try disk.fill()
        return DiskLogWriter(
            log: log, onCompletion: { completions.add($0) },
            onFailure: { Issue.record("the log failed: \($0)") }, onSpaceChange: { spaces.add([$0]) })
    }

    @Test func aFullDiskHoldsTheWriterUpAndLosesNothing() async throws {
        let disk = FullDisk()
        let completions = Inbox<LogCompletion>()
        let spaces = Inbox<LogSpace>()
        let writer = try stalling(disk, ready: 0, completions, spaces)
        // The first segment takes some of these, and the disk no other.
        let count: UInt64 = 60
        for index in 1...count { writer.submit([.entry(entry(index, size: 900))], ticket: index) }
        _ = await spaces.wait { $0.contains(.exhausted) }
        #expect(completions.all.count < Int(count))
        #expect(writer.oldestUnfinishedSync(at: .distantFuture) > .zero)
        disk.makeRoom()
        let done = await completions.wait(for: Int(count))
        #expect(done.map(\.ticket) == Array(1...count))
        _ = await spaces.wait { $0.last == .sufficient }
        writer.shutdown()
        #expect(writer.oldestUnfinishedSync(at: .distantFuture) == .zero)
        var random = SeededRandom(seed: 2)
        let (_, store) = try NodeLog.open(disk: disk.memory, configuration: LogFixture.small, randomness: &random)
        #expect(store.report.cleanStop && store.group(7)?.entries.count == Int(count))
    }

    @Test func readySegmentsAreUsedWhileTheDiskIsFull() async throws {
        let disk = FullDisk()
        let completions = Inbox<LogCompletion>()
        let spaces = Inbox<LogSpace>()
        let writer = try stalling(disk, ready: 2, completions, spaces)
        // More than the first segment holds, less than there is.
        for index in 1...10 as ClosedRange<UInt64> {
            writer.submit([.entry(entry(index, size: 900))], ticket: index)
            _ = await completions.wait(for: Int(index))
        }
        #expect(await spaces.wait(for: 1) == [.short])
        disk.makeRoom()
        #expect(await spaces.wait(for: 2) == [.short, .sufficient])
        writer.shutdown()
    }

    @Test func aWriterThatWaitsForSpaceCanBeStopped() async throws {
        let disk = FullDisk()
        let completions = Inbox<LogCompletion>()
        let spaces = Inbox<LogSpace>()
        let writer = try stalling(disk, ready: 0, completions, spaces)
        writer.submit([.entry(entry(1))], ticket: 1)
        _ = await completions.wait(for: 1)
        writer.submit([.entry(entry(2, size: 100_000))], ticket: 2)
        _ = await spaces.wait { $0.contains(.exhausted) }
        writer.shutdown()
        #expect(completions.all.map(\.ticket) == [1])
        disk.makeRoom()
        var random = SeededRandom(seed: 2)
        let (_, store) = try NodeLog.open(disk: disk.memory, configuration: LogFixture.small, randomness: &random)
        #expect(store.mayVote && !store.report.cleanStop && store.group(7)?.entries.count == 1)
    }

    @Test func aDirectoryHasOneOwner() throws {
        let directory = try TemporaryDirectory()
        let disk = try FileDisk(path: directory.path)
        #expect(throws: DiskFailure.system(errno: EWOULDBLOCK, operation: "lock", file: FileDisk.lockName)) {
            try FileDisk(path: directory.path)
        }
        #expect(try disk.list() == [FileDisk.lockName])
    }

    @Test func manyPartsAreWrittenInOneGo() throws {
        let directory = try TemporaryDirectory()
        let disk = try FileDisk(path: directory.path)
        let file = try disk.create("many")
        defer { disk.close(file) }
        let parts = (0..<3_000).map { Bytes([UInt8](repeating: UInt8(truncatingIfNeeded: $0), count: $0 % 7)) }
        try disk.write(file, at: 10, parts)
        let expected = [UInt8](repeating: 0, count: 10) + parts.flatMap { $0.toArray() }
        #expect(try disk.length(of: file) == expected.count)
        var found = [UInt8](repeating: 0, count: expected.count + 5)
        let count = try found.withUnsafeMutableBytes { buffer throws(DiskFailure) in
            try disk.read(file, at: 0, into: buffer)
        }
        #expect(count == expected.count && Array(found.prefix(count)) == expected)
        #expect(throws: DiskFailure.notFound("none")) { try disk.open("none") }
        try disk.rename("many", to: "renamed")
        #expect(try disk.list() == [FileDisk.lockName, "renamed"])
    }
}
