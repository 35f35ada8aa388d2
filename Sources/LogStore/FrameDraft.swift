import Primitives

/// What waits to be written: one call of `NodeLog.stage`.
struct Submission: Sendable {
    var ticket: UInt64
    var records: [LogRecord]
    var byteCount: Int

    init(ticket: UInt64, records: [LogRecord]) {
        self.ticket = ticket
        self.records = records
        byteCount = records.reduce(0) { $0 + $1.payloadLength + DirectoryItem.singleSize }
        precondition(byteCount <= LogConfiguration.submissionLimit, "submission over the limit")
    }
}

/// A frame's contents before it has a place.
struct FrameDraft: Sendable {
    var flags: FrameHeader.Flags
    var directory: Bytes
    var payloads: [Bytes]
    var recordsLength: Int
    /// The offsets of the locations count from the first record.
    var completions: [LogCompletion]

    /// Builds the directory of `submissions`; sequence numbers go on from `sequence`.
    init(_ submissions: [Submission], flags: FrameHeader.Flags, sequence: inout UInt64) {
        self.flags = flags
        var encoder = DirectoryEncoder()
        directory = Bytes()
        payloads = []
        recordsLength = 0
        completions = []
        completions.reserveCapacity(submissions.count)
        for submission in submissions {
            var locations: [EntryLocation] = []
            locations.reserveCapacity(submission.records.count)
            for record in submission.records {
                add(record, sequence: sequence, to: &encoder, locations: &locations)
                sequence += 1
            }
            completions.append(LogCompletion(ticket: submission.ticket, locations: locations))
        }
        directory = encoder.finish()
    }

    private mutating func add(
        _ record: LogRecord, sequence: UInt64, to encoder: inout DirectoryEncoder, locations: inout [EntryLocation]
    ) {
        switch record {
        case .entry(let entry):
            let checksum = CRC32C.checksum(entry.bytes)
            encoder.entry(entry, sequence: sequence, checksum: checksum)
            locations.append(
                EntryLocation(
                    group: entry.group, index: entry.index, term: entry.term, segment: 0, offset: UInt32(recordsLength),
                    length: UInt32(entry.bytes.count), checksum: checksum))
            append(entry.bytes)
        case .hardState(let group, let term, let vote):
            precondition(vote?.rawValue != 0, "nodes count from 1")
            encoder.single(
                .hardState, sequence: sequence, group: group, index: UInt64(vote?.rawValue ?? 0), term: term)
        case .truncate(let group, let from):
            encoder.single(.truncate, sequence: sequence, group: group, index: from.rawValue)
        case .groupRemoved(let group):
            encoder.single(.groupRemoved, sequence: sequence, group: group)
        case .configuration(let group, let bytes):
            encoder.single(
                .configuration, sequence: sequence, group: group, length: bytes.count,
                checksum: CRC32C.checksum(bytes))
            append(bytes)
        case .groupCreated(let group, let bytes):
            encoder.single(
                .groupCreated, sequence: sequence, group: group, length: bytes.count, checksum: CRC32C.checksum(bytes))
            append(bytes)
        }
    }

    private mutating func append(_ bytes: Bytes) {
        guard !bytes.isEmpty else { return }
        payloads.append(bytes)
        recordsLength += bytes.count
    }
}
