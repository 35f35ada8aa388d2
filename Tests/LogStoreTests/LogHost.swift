import LogStore
import Primitives
import Testing

/// What one group must hold, in the simplest form.
struct HostGroup: Equatable {
    struct Item: Equatable {
        var term: UInt64
        var size: Int
    }

    var term: UInt64 = 0
    var vote: UInt16?
    var created: String?
    var configuration: String?
    var base: UInt64 = 0
    var baseTerm: UInt64 = 0
    var snapshot: [UInt8]?
    /// Entries by index: all above `base`, and those at or below it that are live.
    var entries: [UInt64: Item] = [:]
    var last: UInt64 = 0

    init() {}

    init(_ group: RecoveredGroup) {
        term = group.term.rawValue
        vote = group.vote?.rawValue
        created = group.created.map { String(decoding: $0.toArray(), as: UTF8.self) }
        configuration = group.configuration.map { String(decoding: $0.toArray(), as: UTF8.self) }
        base = group.snapshot?.index.rawValue ?? 0
        baseTerm = group.snapshot?.term.rawValue ?? 0
        snapshot = group.snapshot?.bytes.toArray()
        for location in group.retained + group.entries {
            entries[location.index.rawValue] = Item(
                term: location.term.rawValue, size: Int(location.length) - EntryHeader.size)
        }
        last = group.lastIndex.rawValue
    }
}

/// Plays the part of the shards: makes records, knows where entries stand, and says what is live.
struct LogHost {
    struct Key: Hashable {
        var group: UInt64
        var index: UInt64
    }

    struct Incoming {
        var index: UInt64
        var term: UInt64
        var entries: [UInt64: HostGroup.Item]
    }

    var groups: [UInt64: HostGroup] = [:]
    var nextGroup: UInt64 = 1
    private(set) var locations: [Key: EntryLocation] = [:]
    /// Snapshots on their way from a leader: their entries are here before they are part of the log.
    private(set) var incoming: [UInt64: Incoming] = [:]
    /// Died and are not yet released.
    private var releases: [SegmentRelease] = []

    init() {}

    /// After a start.
    init(_ store: RecoveredStore, nextGroup: UInt64) {
        self.nextGroup = nextGroup
        for group in store.groups {
            groups[group.group.rawValue] = HostGroup(group)
            for location in group.retained + group.entries { locations[Key(location)] = location }
        }
    }

    // MARK: The node log

    mutating func completed(_ completions: [LogCompletion]) {
        for location in completions.flatMap(\.locations) {
            let id = location.group.rawValue
            let index = location.index.rawValue
            let item = groups[id]?.entries[index] ?? incoming[id]?.entries[index]
            if item?.term == location.term.rawValue {
                if let old = locations[Key(location)] { releases.append(SegmentRelease(old)) }
                locations[Key(location)] = location
            } else {
                releases.append(SegmentRelease(location))
            }
        }
    }

    mutating func relocated(_ relocations: [Relocation]) {
        for relocation in relocations {
            if locations[Key(relocation.from)] == relocation.from {
                locations[Key(relocation.from)] = relocation.to
                releases.append(SegmentRelease(relocation.from))
            } else {
                releases.append(SegmentRelease(relocation.to))
            }
        }
    }

    func isLive(_ asked: [EntryLocation]) -> [Bool] { asked.map { locations[Key($0)] == $0 } }

    mutating func takeReleases() -> [SegmentRelease] {
        defer { releases = [] }
        return releases
    }

    /// Bytes that are needed, each record with its share of a directory.
    var liveBytes: Int {
        groups.values.reduce(0) { sum, group in
            sum + 4 * 100 + (group.snapshot?.count ?? 0) + 20 * group.entries.count
                + group.entries.values.reduce(0) { $0 + $1.size + EntryHeader.size + 48 }
        }
    }

    // MARK: Records

    mutating func create() -> [LogRecord] {
        let id = nextGroup
        nextGroup += 1
        var group = HostGroup()
        group.created = "group \(id)"
        groups[id] = group
        return [.groupCreated(group: GroupID(id), Bytes("group \(id)"))]
    }

    mutating func append(_ id: UInt64, size: Int) -> [LogRecord] {
        guard var group = groups[id] else { return [] }
        group.last += 1
        group.entries[group.last] = HostGroup.Item(term: group.term, size: size)
        groups[id] = group
        return [.entry(entry(group.last, term: group.term, group: id, size: size))]
    }

    mutating func vote(_ id: UInt64, for node: UInt16?) -> [LogRecord] {
        guard var group = groups[id] else { return [] }
        group.term += 1
        group.vote = node
        groups[id] = group
        return [.hardState(group: GroupID(id), term: Term(group.term), vote: node.map { NodeID($0) })]
    }

    mutating func configure(_ id: UInt64, _ text: String) -> [LogRecord] {
        groups[id]?.configuration = text
        return [.configuration(group: GroupID(id), Bytes(text))]
    }

    /// Entries behind `index`, which is at or above the snapshot's, go.
    mutating func truncate(_ id: UInt64, behind index: UInt64) -> [LogRecord] {
        guard var group = groups[id], index >= group.base else { return [] }
        for gone in group.entries.keys.filter({ $0 > index }).sorted() { drop(gone, of: id, &group) }
        group.last = index
        group.term += 1
        group.vote = nil
        groups[id] = group
        return [
            .truncate(group: GroupID(id), from: LogIndex(index + 1)),
            .hardState(group: GroupID(id), term: Term(group.term), vote: nil),
        ]
    }

    /// A snapshot up to `index`; of the entries up to there those stay that `isKept` says.
    mutating func snapshot(
        _ id: UInt64, at index: UInt64, bytes: [UInt8], chunk: Int, keeping isKept: (UInt64) -> Bool
    ) -> [LogRecord] {
        guard var group = groups[id], index > group.base, let last = group.entries[index] else { return [] }
        for gone in group.entries.keys.filter({ $0 <= index && !isKept($0) }).sorted() { drop(gone, of: id, &group) }
        group.base = index
        group.baseTerm = last.term
        group.snapshot = bytes
        groups[id] = group
        let live = group.entries.keys.filter { $0 <= index }.sorted()
        return LogHost.snapshotRecords(
            id, at: index, term: last.term, bytes: bytes, chunk: chunk, live: live.ranges)
    }

    static func snapshotRecords(
        _ id: UInt64, at index: UInt64, term: UInt64, bytes: [UInt8], chunk: Int, live: [ClosedRange<LogIndex>],
        replacesLog: Bool = false
    ) -> [LogRecord] {
        var records: [LogRecord] = []
        for offset in stride(from: 0, to: bytes.count, by: chunk) {
            let part = Bytes(Array(bytes[offset..<min(offset + chunk, bytes.count)]))
            records.append(
                .snapshotChunk(
                    SnapshotChunk(
                        group: GroupID(id), index: LogIndex(index), term: Term(term), offset: offset, bytes: part)))
        }
        let mark = SnapshotMark(
            group: GroupID(id), index: LogIndex(index), term: Term(term), byteCount: bytes.count, live: live,
            replacesLog: replacesLog)
        return records + [.snapshotCurrent(mark)]
    }

    /// Begins to take over a snapshot: entries above the end of the log, with gaps.
    mutating func beginInstall(_ id: UInt64, sizes: [Int]) -> [LogRecord] {
        guard var group = groups[id], incoming[id] == nil else { return [] }
        group.term += 1
        group.vote = nil
        groups[id] = group
        var records: [LogRecord] = [.hardState(group: GroupID(id), term: Term(group.term), vote: nil)]
        var transfer = Incoming(index: group.last + 3 * UInt64(sizes.count) + 1, term: group.term, entries: [:])
        for (position, size) in sizes.enumerated() {
            let index = group.last + 2 + 3 * UInt64(position)
            transfer.entries[index] = HostGroup.Item(term: group.term, size: size)
            records.append(.entry(entry(index, term: group.term, group: id, size: size)))
        }
        incoming[id] = transfer
        return records
    }

    /// Makes it current; of the group's own entries those stay that `isKept` says.
    mutating func finishInstall(_ id: UInt64, bytes: [UInt8], keeping isKept: (UInt64) -> Bool) -> [LogRecord] {
        guard var group = groups[id], let transfer = incoming.removeValue(forKey: id) else { return [] }
        for gone in group.entries.keys.filter({ !isKept($0) }).sorted() { drop(gone, of: id, &group) }
        group.entries.merge(transfer.entries) { $1 }
        group.base = transfer.index
        group.baseTerm = transfer.term
        group.last = transfer.index
        group.snapshot = bytes
        groups[id] = group
        let records = LogHost.snapshotRecords(
            id, at: group.base, term: group.baseTerm, bytes: bytes, chunk: 700, live: group.entries.keys.sorted().ranges
        )
        return [.truncate(group: GroupID(id), from: LogIndex(group.base + 1))] + records
    }

    /// Undoes what has come so far, also before a start that nothing is known of.
    mutating func abortInstall(_ id: UInt64, always: Bool = false) -> [LogRecord] {
        guard let group = groups[id], always || incoming[id] != nil else { return [] }
        forgetInstall(id)
        return [.truncate(group: GroupID(id), from: LogIndex(group.last + 1))]
    }

    private mutating func forgetInstall(_ id: UInt64) {
        for index in incoming.removeValue(forKey: id)?.entries.keys.sorted() ?? [] {
            if let location = locations.removeValue(forKey: Key(group: id, index: index)) {
                releases.append(SegmentRelease(location))
            }
        }
    }

    mutating func remove(_ id: UInt64) -> [LogRecord] {
        guard var group = groups[id] else { return [] }
        forgetInstall(id)
        for gone in group.entries.keys.sorted() { drop(gone, of: id, &group) }
        groups[id] = nil
        return [.groupRemoved(group: GroupID(id), at: LogIndex(id))]
    }

    private mutating func drop(_ index: UInt64, of id: UInt64, _ group: inout HostGroup) {
        group.entries[index] = nil
        if let location = locations.removeValue(forKey: Key(group: id, index: index)) {
            releases.append(SegmentRelease(location))
        }
    }
}

extension LogHost.Key {
    init(_ location: EntryLocation) {
        self.init(group: location.group.rawValue, index: location.index.rawValue)
    }
}

extension [UInt64] {
    /// Ascending numbers as ranges.
    var ranges: [ClosedRange<LogIndex>] {
        var ranges: [ClosedRange<LogIndex>] = []
        for number in self {
            if let last = ranges.last, last.upperBound.rawValue + 1 == number {
                ranges[ranges.count - 1] = last.lowerBound...LogIndex(number)
            } else {
                ranges.append(LogIndex(number)...LogIndex(number))
            }
        }
        return ranges
    }
}

/// A host and its node log, on a disk that may stop.
struct HostedLog<D: Disk> {
    let disk: D
    var log: NodeLog<D>
    var host: LogHost
    let store: RecoveredStore
    private(set) var submitted: UInt64 = 0
    /// Submissions known to be durable.
    private(set) var completed: UInt64 = 0

    static var small: LogConfiguration {
        LogConfiguration(segmentSize: 32 << 10, firstSegmentSize: 32 << 10, readySegments: 1)
    }

    init(disk: D, nextGroup: UInt64 = 1, seed: UInt64 = 1, configuration: LogConfiguration = HostedLog.small) throws {
        var random = SeededRandom(seed: seed)
        self.disk = disk
        (log, store) = try NodeLog.open(disk: disk, configuration: configuration, randomness: &random)
        host = LogHost(store, nextGroup: nextGroup)
    }

    /// Stages what `make` returns, as one submission.
    mutating func stage(_ make: (inout LogHost) -> [LogRecord]) {
        let records = make(&host)
        submitted += 1
        log.stage(records, ticket: submitted)
        log.release(host.takeReleases())
    }

    mutating func write(_ make: (inout LogHost) -> [LogRecord]) throws {
        stage(make)
        try flush()
    }

    mutating func flush() throws {
        while let write = try log.prepareFrame() {
            try disk.write(write.file, at: write.offset, write.parts)
            try disk.sync(write.file)
            let completions = log.frameDurable(write)
            if let last = completions.last { completed = last.ticket }
            host.completed(completions)
            host.relocated(log.takeRelocations())
            log.release(host.takeReleases())
        }
    }

    mutating func reclaimStep() throws -> ReclaimProgress {
        let host = host
        return try log.reclaimStep { host.isLive($0) }
    }

    /// Reclaims until nothing is worth it.
    /// - Returns: the segments that were retired.
    @discardableResult
    mutating func reclaim(limit: Int = 100_000) throws -> [UInt32] {
        var retired: [UInt32] = []
        for _ in 0..<limit {
            switch try reclaimStep() {
            case .idle: return retired
            case .waiting: try flush()
            case .stepped: break
            case .retired(let segment): retired.append(segment)
            }
        }
        Issue.record("reclamation does not end")
        return retired
    }

    /// Reads every entry that the host knows, where it believes it to be.
    func verifyEntries() throws {
        var reader = EntryReader(disk: disk)
        for (key, location) in host.locations.sorted(by: { ($0.key.group, $0.key.index) < ($1.key.group, $1.key.index) }
        ) {
            let item = try #require(
                host.groups[key.group]?.entries[key.index] ?? host.incoming[key.group]?.entries[key.index])
            let expected = entry(key.index, term: item.term, group: key.group, size: item.size)
            #expect(try reader.read(location).bytes == expected.bytes)
        }
        reader.close()
    }
}

extension MemoryDisk {
    /// Bytes of all segments' files.
    func segmentBytes() throws -> Int {
        try list().filter { $0.hasPrefix("segment-") }.reduce(0) { $0 + contents($1).count }
    }
}
