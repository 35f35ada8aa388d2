public import Primitives

/// A sealed segment to be read in the background and compared with its checksums.
public struct ScrubJob: Sendable {
    /// The segment's number.
    public let segment: UInt32
    /// The numbers of its frames.
    let frames: ClosedRange<UInt64>
    let storeID: StoreID

    /// Reads all of it, on any thread. Blocks for as long as the disk takes.
    public func run<D: Disk>(on disk: D) -> ScrubOutcome {
        var outcome = ScrubOutcome(segment: segment)
        do throws(LogStoreFailure) {
            try read(from: disk, into: &outcome)
        } catch {
            outcome.add("it cannot be read: \(error)")
        }
        return outcome
    }

    private func read<D: Disk>(from disk: D, into outcome: inout ScrubOutcome) throws(LogStoreFailure) {
        let name = SegmentName.name(of: segment)
        let (file, length) = try disking { () throws(DiskFailure) in
            let file = try disk.open(name)
            return (file, try disk.length(of: file))
        }
        defer { disk.close(file) }
        var window = ScanWindow(disk: disk, file: file, fileLength: length)
        guard let head = window.bytes(at: 0, count: SegmentHeader.size),
            let header = try head.withUnsafeBytes({ buffer throws(LogStoreFailure) in
                try SegmentHeader(decoding: buffer, file: name)
            })
        else { return outcome.add("no copy of the header is intact", at: 0) }
        guard header.segment == segment, header.storeID == storeID else {
            return outcome.add("it belongs to another store or place", at: 0)
        }
        if let offset = head.difference(from: header.encode()) {
            outcome.add("one of the header's copies is damaged", at: offset)
        }
        var scan = LogScan(disk: disk, readsEverything: true)
        try scan.scanAlone(FoundSegment(header: header, file: file, length: length), from: frames.lowerBound)
        outcome.bytes = scan.report.bytesRead + window.bytesRead
        take(scan, into: &outcome)
    }

    private func take<D: Disk>(_ scan: LogScan<D>, into outcome: inout ScrubOutcome) {
        outcome.records = scan.items.flatMap(\.damagedRecords)
        for finding in scan.findings { outcome.add(finding.what, at: finding.offset) }
        if scan.chain.number < frames.upperBound {
            outcome.add("no readable headers of frames \(scan.chain.number + 1) to \(frames.upperBound)")
        }
        guard let found = scan.segments.first, !found.isSealed else { return }
        outcome.add("the footer is not intact")
        // What stands for the footer must name every frame: whatever it does not name would go with the segment.
        // The places of a frame without a readable header are a guess.
        guard scan.report.lostFrames == 0, !scan.findings.contains(where: \.isMissing),
            scan.chain.number == frames.upperBound,
            found.frames.first?.number == frames.lowerBound
        else { return }
        outcome.contents = SegmentContents(
            segment: segment, generation: found.header.generation, length: found.length, frames: found.frames,
            lastChecksum: scan.chain.checksum, next: 0)
    }
}

/// What reading a segment found; for `NodeLog.scrubbed`.
public struct ScrubOutcome: Sendable {
    let segment: UInt32
    /// Bytes read.
    var bytes = 0
    /// Records whose bytes are not what the directory says.
    var records: [PlacedRecord] = []
    /// Damage to the segment itself.
    var problems: [StoreProblem] = []
    /// What stands for the footer when that is damaged; its `next` is not known.
    var contents: SegmentContents?

    init(segment: UInt32) { self.segment = segment }

    mutating func add(_ what: String, at offset: Int? = nil) {
        problems.append(StoreProblem(what, segment: segment, offset: offset))
    }
}

/// What is wrong with a segment that was scrubbed, and must be mended by the shards and by reclamation.
public struct ScrubReport: Sendable {
    /// The segment's number.
    public let segment: UInt32
    /// Bytes read.
    public let bytes: Int
    /// Entries whose bytes are damaged, needed or not: other members have those that are needed.
    public internal(set) var entries: [EntryLocation] = []
    /// Damaged records beside the entries that are needed: to be staged anew.
    public internal(set) var records: [DamagedRecord] = []
    /// Damage to the segment itself: what is live in it is being moved.
    public internal(set) var problems: [StoreProblem] = []

    package init(segment: UInt32, bytes: Int, entries: [EntryLocation] = [], records: [DamagedRecord] = []) {
        self.segment = segment
        self.bytes = bytes
        self.entries = entries
        self.records = records
    }

    /// Whether nothing is wrong.
    public var isClean: Bool { entries.isEmpty && records.isEmpty && problems.isEmpty }
}

/// A damaged record that is no entry. The running node knows what it said.
public struct DamagedRecord: Hashable, Sendable {
    /// What it said.
    public enum Kind: Hashable, Sendable {
        case configuration
        case groupCreated
        /// A part of the group's snapshot, or its mark.
        case snapshot
    }

    /// What it said.
    public var kind: Kind
    /// Whose record it is.
    public var group: GroupID
    /// The segment that it stands in.
    public var segment: UInt32
    /// Bytes from the beginning of the segment's file; 0 when the place is not known.
    public var offset: Int

    package init(_ kind: Kind, group: GroupID, segment: UInt32, offset: Int) {
        self.kind = kind
        self.group = group
        self.segment = segment
        self.offset = offset
    }

    /// Nil for an entry, and for records that have no bytes beside the directory.
    init?(_ record: PlacedRecord) {
        switch record.kind {
        case .configuration: kind = .configuration
        case .groupCreated: kind = .groupCreated
        case .snapshotChunk, .snapshotCurrent: kind = .snapshot
        case .entries, .hardState, .truncate, .groupRemoved: return nil
        }
        group = record.group
        segment = record.segment
        offset = record.offset
    }
}

extension Bytes {
    /// The first place at which the two differ; nil when they are equal.
    func difference(from other: Bytes) -> Int? {
        guard self != other else { return nil }
        return zip(toArray(), other.toArray()).enumerated().first { $0.element.0 != $0.element.1 }?.offset
            ?? min(count, other.count)
    }
}
