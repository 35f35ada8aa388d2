import LogStore
import Primitives
import Testing

/// What a log must hold, in the simplest form.
private struct Model: Equatable {
    struct Group: Equatable {
        var term: UInt64 = 0
        var vote: UInt16?
        var entries: [Entry] = []
    }
    struct Entry: Equatable {
        var index: UInt64
        var term: UInt64
        var size: Int
    }

    var groups: [UInt64: Group] = [:]

    init() {}

    init(_ store: RecoveredStore) {
        for group in store.groups {
            groups[group.group.rawValue] = Group(
                term: group.term.rawValue, vote: group.vote?.rawValue,
                entries: group.entries.map {
                    Entry(index: $0.index.rawValue, term: $0.term.rawValue, size: Int($0.length) - EntryHeader.size)
                })
        }
    }

    /// A few records that continue the model's log, and the model after them.
    mutating func next(_ random: inout SeededRandom) -> [LogRecord] {
        var records: [LogRecord] = []
        for _ in 0..<1 + random.next(below: 4) {
            let id = 1 + random.next(below: 3)
            var group = groups[id, default: Group()]
            switch random.next(below: 8) {
            case 0:
                group.term += 1
                group.vote = random.oneIn(2) ? nil : UInt16(1 + random.next(below: 3))
                records.append(
                    .hardState(group: GroupID(id), term: Term(group.term), vote: group.vote.map { NodeID($0) }))
            case 1 where !group.entries.isEmpty:
                let kept = Int(random.next(below: UInt64(group.entries.count)))
                group.entries.removeLast(group.entries.count - kept)
                group.term += 1
                group.vote = nil
                records.append(.truncate(group: GroupID(id), from: LogIndex(UInt64(kept) + 1)))
                records.append(.hardState(group: GroupID(id), term: Term(group.term), vote: nil))
            default:
                let new = Entry(
                    index: UInt64(group.entries.count) + 1, term: group.term, size: Int(random.next(below: 1_500)))
                group.entries.append(new)
                records.append(.entry(entry(new.index, term: new.term, group: id, size: new.size)))
            }
            groups[id] = group
        }
        return records
    }
}

/// Random work, random crashes, in the log and while it is opened: after each, the log holds everything that was
/// completed, and beyond it only whole submissions in their order.
@Suite struct CrashTests {
    private struct Run {
        var random: SeededRandom
        let disk = MemoryDisk()
        /// After each submission since the last start; the first is what the start found.
        var states: [Model] = [Model()]
        /// Position in `states` of the last one known to be durable.
        var completed = 0

        init(seed: UInt64) { random = SeededRandom(seed: seed) }

        mutating func work(_ log: inout NodeLog<MemoryDisk>) throws {
            let rounds = random.next(below: 12)
            for round in 0...rounds {
                if random.oneIn(3) { try log.prepareSegments() }
                for _ in 0..<1 + random.next(below: 3) {
                    var model = states[states.count - 1]
                    log.stage(model.next(&random), ticket: UInt64(states.count))
                    states.append(model)
                }
                if random.oneIn(6) { log.stageAttestation() }
                // The last round ends in the middle of something.
                let end = round == rounds ? random.next(below: 4) : 3
                while let write = try log.prepareFrame() {
                    if end == 0 { return }
                    let count = end == 1 ? Int(random.next(below: UInt64(write.parts.count))) : write.parts.count
                    try disk.write(write.file, at: write.offset, Array(write.parts.prefix(count)))
                    if end <= 2 { return }
                    try disk.sync(write.file)
                    for completion in log.frameDurable(write) { completed = Int(completion.ticket) }
                }
                if random.oneIn(4) {
                    log.stageAttestation()
                    while let write = try log.prepareFrame() {
                        try disk.write(write.file, at: write.offset, write.parts)
                        if random.oneIn(4) { return }
                        try disk.sync(write.file)
                        _ = log.frameDurable(write)
                    }
                }
            }
        }

        mutating func start() throws -> NodeLog<MemoryDisk> {
            let configuration = LogConfiguration(segmentSize: 32 << 10, firstSegmentSize: 32 << 10, readySegments: 1)
            disk.crash(&random)
            if random.oneIn(3) {
                var generator = SeededRandom(seed: random.next())
                let stopping = StoppingDisk(disk, stopAfter: Int(random.next(below: 14)))
                _ = try? NodeLog.open(disk: stopping, configuration: configuration, randomness: &generator)
                disk.crash(&random)
            }
            var generator = SeededRandom(seed: random.next())
            let (log, store) = try NodeLog.open(disk: disk, configuration: configuration, randomness: &generator)
            let found = Model(store)
            let position = states.lastIndex(of: found)
            #expect(position ?? -1 >= completed, "found \(String(describing: position)), completed \(completed)")
            #expect(store.mayVote && store.report.damagedRecords == 0)
            try verifyEntries(of: store)
            states = [found]
            completed = 0
            return log
        }

        func verifyEntries(of store: RecoveredStore) throws {
            var reader = EntryReader(disk: disk)
            for group in store.groups {
                for (result, location) in zip(reader.read(group.entries), group.entries) {
                    let size = Int(location.length) - EntryHeader.size
                    let expected = entry(
                        location.index.rawValue, term: location.term.rawValue, group: group.group.rawValue, size: size)
                    #expect(try result.get().bytes == expected.bytes)
                }
            }
        }
    }

    @Test(arguments: 1...60 as ClosedRange<UInt64>)
    func whatWasCompletedSurvives(seed: UInt64) throws {
        var run = Run(seed: seed)
        for _ in 0..<8 {
            var log = try run.start()
            try run.work(&log)
        }
        _ = try run.start()
    }
}
