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
    /// The records that are no entries; their segment is not known yet.
    var controls: [ControlRecord] = []
    /// Copies, the offsets counting from the first record, and what they are copies of.
    var copies: [(record: PlacedRecord, offset: Int)] = []
    /// The active segment when it was asked which of them are live.
    var copiesAsked: UInt32 = 0

    /// It brings nothing, and says that the frame before was synced.
    var onlyAttests: Bool { completions.isEmpty && copies.isEmpty }

    /// Builds the directory of `submissions`; sequence numbers go on from `sequence`. Copies come last and keep theirs.
    init(
        _ submissions: [Submission], copies batch: RelocationBatch?, flags: FrameHeader.Flags, sequence: inout UInt64
    ) {
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
        if let batch {
            copiesAsked = batch.asked
            for copy in batch.records {
                encoder.relocated(copy.record)
                copies.append((copy.record, recordsLength))
                append(copy.payload)
            }
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
            add(
                ControlRecord(.hardState, sequence, group, index: UInt64(vote?.rawValue ?? 0), term: term), [], &encoder
            )
        case .truncate(let group, let from):
            add(ControlRecord(.truncate, sequence, group, index: from.rawValue), [], &encoder)
        case .groupRemoved(let group, let index):
            add(ControlRecord(.groupRemoved, sequence, group, index: index.rawValue), [], &encoder)
        case .configuration(let group, let bytes):
            add(ControlRecord(.configuration, sequence, group), [bytes], &encoder)
        case .groupCreated(let group, let bytes):
            add(ControlRecord(.groupCreated, sequence, group), [bytes], &encoder)
        case .snapshotChunk(let chunk):
            var control = ControlRecord(
                .snapshotChunk, sequence, chunk.group, index: chunk.index.rawValue, term: chunk.term)
            control.chunkOffset = chunk.offset
            add(control, chunk.payload, &encoder)
        case .snapshotCurrent(let mark):
            add(
                ControlRecord(.snapshotCurrent, sequence, mark.group, index: mark.index.rawValue, term: mark.term),
                [mark.payload], &encoder, replacesLog: mark.replacesLog)
        }
    }

    private mutating func add(
        _ control: ControlRecord, _ parts: [Bytes], _ encoder: inout DirectoryEncoder, replacesLog: Bool = false
    ) {
        var control = control
        control.length = parts.reduce(0) { $0 + $1.count }
        encoder.single(
            control.kind, sequence: control.sequence, group: control.group, index: control.index, term: control.term,
            length: control.length, checksum: parts.reduce(0) { CRC32C.checksum($1, seed: $0) },
            replacesLog: replacesLog)
        controls.append(control)
        for part in parts { append(part) }
    }

    private mutating func append(_ bytes: Bytes) {
        guard !bytes.isEmpty else { return }
        payloads.append(bytes)
        recordsLength += bytes.count
    }
}
