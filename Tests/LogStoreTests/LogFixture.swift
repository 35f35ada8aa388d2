import LogStore
import Primitives
import Testing

/// A log on a memory disk, driven step by step.
struct LogFixture {
    let disk: MemoryDisk
    var log: NodeLog<MemoryDisk>
    let store: RecoveredStore
    private var ticket: UInt64 = 0

    static let small = LogConfiguration(segmentSize: 20 << 10, firstSegmentSize: 20 << 10)

    init(
        disk: MemoryDisk = MemoryDisk(), configuration: LogConfiguration = LogFixture.small, seed: UInt64 = 1
    ) throws {
        var random = SeededRandom(seed: seed)
        self.disk = disk
        (log, store) = try NodeLog.open(disk: disk, configuration: configuration, randomness: &random)
    }

    /// Writes records as one frame and returns where the entries stand.
    @discardableResult
    mutating func append(_ records: [LogRecord]) throws -> [EntryLocation] {
        ticket += 1
        log.stage(records, ticket: ticket)
        let completions = try flush()
        #expect(completions.map(\.ticket) == [ticket])
        return completions.flatMap(\.locations)
    }

    /// Writes all that is staged.
    @discardableResult
    mutating func flush() throws -> [LogCompletion] {
        var completions: [LogCompletion] = []
        while let write = try log.prepareFrame() {
            try disk.write(write.file, at: write.offset, write.parts)
            try disk.sync(write.file)
            completions += log.frameDurable(write)
        }
        return completions
    }

    mutating func attest() throws {
        log.stageAttestation()
        try flush()
    }

    func read(_ location: EntryLocation) throws -> Entry {
        var reader = EntryReader(disk: disk)
        return try reader.read(location)
    }
}

/// An entry with a recognisable body.
func entry(_ index: UInt64, term: UInt64 = 1, group: UInt64 = 7, size: Int = 40) -> Entry {
    let body = (0..<size).map { UInt8(truncatingIfNeeded: Int(index) &* 31 &+ Int(term) &* 7 &+ $0) }
    return body.withUnsafeBytes { body in
        Entry(
            kind: .commands, group: GroupID(group), index: LogIndex(index), term: Term(term),
            timestamp: WallTime(milliseconds: 1), headers: UnsafeRawBufferPointer(rebasing: body[0..<size / 4]),
            bodies: UnsafeRawBufferPointer(rebasing: body[(size / 4)...]))
    }
}

extension RecoveredStore {
    func group(_ id: UInt64) -> RecoveredGroup? { groups.first { $0.group == GroupID(id) } }
}

let firstSegment = "segment-0000000001"
