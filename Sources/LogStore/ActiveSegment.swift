import Primitives

/// The segment that takes frames.
struct ActiveSegment<File: Sendable>: Sendable {
    let header: SegmentHeader
    let file: File
    /// Where the next frame goes: a multiple of the alignment.
    private(set) var position: Int
    /// Bytes of the file; up to here it is filled with zeros.
    private(set) var fileLength: Int
    /// All frames in it, for the footer.
    private(set) var index = FrameIndex()

    init(header: SegmentHeader, file: File, position: Int, fileLength: Int, frames: [FrameSummary]) {
        self.header = header
        self.file = file
        self.position = position
        self.fileLength = align(max(fileLength, position), to: SegmentHeader.alignment)
        for frame in frames { index.append(frame) }
    }

    init(_ prepared: PreparedSegment<File>) {
        self.init(
            header: prepared.header, file: prepared.file, position: SegmentHeader.size, fileLength: prepared.length,
            frames: [])
    }

    /// Whether a frame fits, and the footer behind it. An empty segment takes anything: a frame may be larger than a
    /// segment.
    func hasRoom(for frameLength: Int, directoryLength: Int) -> Bool {
        index.isEmpty || lengthNeeded(for: frameLength, directoryLength: directoryLength) <= fileLength
    }

    /// Bytes of the file with another frame and the footer behind it.
    func lengthNeeded(for frameLength: Int, directoryLength: Int) -> Int {
        let footer = index.encoded.count + FrameSummary.size + directoryLength
        return position + frameLength + SegmentFooter.pieceLength(footerLength: footer)
    }

    /// Where footer and trailer begin, so that they end the file.
    var footerStart: Int {
        max(position, fileLength - SegmentFooter.pieceLength(footerLength: index.encoded.count))
    }

    /// Leaves the rest of the page empty: the next frame begins with another.
    mutating func leavePage() { position = align(position, to: SegmentHeader.pageSize) }

    /// Bytes that `leavePage()` would leave empty.
    var pageRest: Int { align(position, to: SegmentHeader.pageSize) - position }

    /// The file has been filled with zeros up to there.
    mutating func extended(to length: Int) { fileLength = max(fileLength, length) }

    mutating func append(_ frame: FrameSummary, end: Int) {
        index.append(frame)
        position = end
        fileLength = max(fileLength, end)
    }
}

/// The end of the chain of frames.
struct FrameChain: Sendable {
    /// 0 before the first frame.
    var number: UInt64
    /// The last frame header's checksum.
    var checksum: UInt32
    /// The last frame's directory, for the next to repeat.
    var directory: Bytes

    static let empty = FrameChain(number: 0, checksum: 0, directory: Bytes())
}

/// What recovery hands to the log.
struct LogStart<D: Disk>: Sendable {
    var identity: StoreIdentity
    var active: ActiveSegment<D.File>
    var ready: [PreparedSegment<D.File>]
    var nextSegment: UInt32
    var salts: SeededRandom
    var nextSequence: UInt64
    var chain: FrameChain
    /// Of all segments that hold frames, and the active one.
    var accounts: SegmentAccounts
    var ledger = ControlLedger()
    /// Of sealed segments whose footers are damaged.
    var contents: [SegmentContents]

    /// Counts what was recovered as live. Everything else is dead.
    mutating func settle(
        _ store: RecoveredStore, controls: [ControlRecord], evidence: [ControlRecord],
        suppressors: [(item: RecoveredItem, bound: UInt32)]
    ) {
        for group in store.groups {
            for entry in group.retained { accounts.add(entry.segment, bytes: Int(entry.length)) }
            for entry in group.entries { accounts.add(entry.segment, bytes: Int(entry.length)) }
        }
        for (item, bound) in suppressors { ledger.add(ControlRecord(item), bound: bound, accounts: &accounts) }
        for control in controls { ledger.add(control, accounts: &accounts) }
        for control in evidence { ledger.keep(control, accounts: &accounts) }
    }
}
