public import Primitives

/// The one log of a node, shared by all of its groups: takes records, makes frames of them and says where entries
/// stand.
///
/// The core decides and the caller writes: stage records, take a `FrameWrite`, write and sync it, report it durable.
/// Only one write is under way at a time, so that every frame attests that the one before was synced.
public struct NodeLog<D: Disk>: Sendable {
    /// Where the log is.
    public let disk: D
    /// The sizes of this start.
    public let configuration: LogConfiguration
    /// The identity of the data directory.
    public let storeID: StoreID
    /// The number of this start.
    public let incarnation: Incarnation

    /// The segment that takes frames. Its frames are numbered without gaps up to `chain.number`.
    private(set) var active: ActiveSegment<D.File>
    /// Segments that follow `active`, ascending by number.
    private(set) var ready: [PreparedSegment<D.File>]
    private var isPreparing = false
    /// Emptied files that become the next segments; listed as retired.
    var spares: [SpareSegment] = []
    private var nextSegment: UInt32
    private var salts: SeededRandom
    private let zeros = Bytes([UInt8](repeating: 0, count: 256 << 10))
    private var nextSequence: UInt64
    private var chain: FrameChain
    private var staged = Ring<Submission>()
    /// Bytes of the submissions that wait for a frame.
    public private(set) var stagedBytes = 0
    /// A frame that waits until the segment before it is sealed.
    private var draft: FrameDraft?
    private var inFlight: InFlight?
    private var attestation: Attestation

    /// As it stands in the file `store`.
    var identity: StoreIdentity
    var accounts: SegmentAccounts
    var ledger: ControlLedger
    var reclaimer: SegmentReclaimer
    var scrub = ScrubCursor()
    /// Set while the disk has no room for another segment: nothing dead is tolerated that could become one.
    public var isShortOfSpace = false
    /// Copies that wait for a frame.
    var stagedCopies: RelocationBatch?
    /// Copies that became durable and were not yet taken.
    var durableCopies: [Relocation] = []
    var retiredSegments: [UInt32] = []
    /// Copies are in a frame that is not durable yet.
    var isCopyUnderWay: Bool { draft?.copies.isEmpty == false || inFlight?.draft?.copies.isEmpty == false }
    /// Submissions staged and submissions durable, in all.
    private(set) var stagedCount: UInt64 = 0
    private(set) var durableCount: UInt64 = 0

    private struct InFlight: Sendable {
        var write: FrameWrite<D.File>
        var header: FrameHeader?
        var checksum: UInt32
        var draft: FrameDraft?
    }

    private enum Attestation: Sendable {
        /// The last frame holds no records, or there is none.
        case notNeeded
        /// Nothing on the disk says yet that the last frame was synced.
        case wanted
        case requested
        case cleanStop
    }

    init(_ start: LogStart<D>, disk: D, configuration: LogConfiguration) {
        self.disk = disk
        self.configuration = configuration
        storeID = start.identity.storeID
        incarnation = start.identity.incarnation
        active = start.active
        ready = start.ready
        nextSegment = start.nextSegment
        salts = start.salts
        nextSequence = start.nextSequence
        chain = start.chain
        attestation = chain.directory.isEmpty ? .notNeeded : .wanted
        identity = start.identity
        accounts = start.accounts
        ledger = start.ledger
        reclaimer = SegmentReclaimer(contents: start.contents)
    }

    /// Whether `prepareFrame` has something to write.
    public var hasWork: Bool {
        !staged.isEmpty || draft != nil || stagedCopies != nil || attestation == .requested || attestation == .cleanStop
    }

    /// Whether the last durable frame wants its attestation after `LogConfiguration.attestationDelay` of idleness.
    public var needsAttestation: Bool { attestation == .wanted && !hasWork && inFlight == nil }

    /// Whether the log may not grow further until `prepared(_:)` is called.
    public var isWaitingForSegment: Bool {
        isPreparing && ready.isEmpty && active.position >= configuration.growthLimit
    }

    /// Whether `beginPreparation` has something to make ready.
    var lacksReadySegment: Bool { !isPreparing && ready.count < configuration.readySegments }

    /// The number of the segment that takes frames.
    public var activeSegment: UInt32 { active.header.segment }
    /// Segments that are ready to follow.
    public var readySegmentCount: Int { ready.count }
    /// Whether the file will soon grow because no segment is ready.
    public var isShortOfSegments: Bool { ready.isEmpty && active.position * 2 > active.fileLength }

    /// Queues records. Those of one call stay together in one frame: after a crash all of them are there, or none.
    /// - Parameter ticket: comes back in the completion. No records make a ticket that completes after everything
    ///   before.
    public mutating func stage(_ records: [LogRecord], ticket: UInt64) {
        stage(Submission(ticket: ticket, records: records))
    }

    mutating func stage(_ submission: Submission) {
        stagedBytes += submission.byteCount
        stagedCount += 1
        staged.append(submission)
    }

    /// Asks for a bare frame that attests the last one; after `cleanStop` nothing may be staged any more.
    public mutating func stageAttestation(cleanStop: Bool = false) {
        if cleanStop {
            attestation = .cleanStop
        } else if attestation == .wanted {
            attestation = .requested
        }
    }

    /// The next write, or nil when there is nothing to write (or `isWaitingForSegment`). Call it again after
    /// `frameDurable`: a full segment is sealed with a write of its own first.
    ///
    /// A full disk loses nothing. When this throws a failure that `isOutOfSpace`, call it again later; when
    /// `disk.write` does, write the same `FrameWrite` again later. A failed sync is final, whatever its reason, and so
    /// is any other failure.
    public mutating func prepareFrame() throws(LogStoreFailure) -> FrameWrite<D.File>? {
        precondition(inFlight == nil, "one write at a time")
        if draft == nil { draft = makeDraft() }
        guard let draft else { return nil }
        let head = FrameHeader.size + chain.directory.count + draft.directory.count
        // A page that the device loses, or gives back as it was before, must not take frames and their proof with it.
        let gap = draft.onlyAttests ? active.pageRest : 0
        let frameLength = gap + align(head + draft.recordsLength, to: SegmentHeader.alignment)
        if !active.hasRoom(for: frameLength, directoryLength: draft.directory.count) {
            if ready.isEmpty && active.position >= configuration.growthLimit {
                if isPreparing { return nil }
                try prepareSegments(atLeast: 1)
            }
            if let next = ready.first { return seal(next: next.header.segment) }
        }
        try extend(to: active.lengthNeeded(for: frameLength, directoryLength: draft.directory.count))
        self.draft = nil
        if gap > 0 { active.leavePage() }
        return place(draft)
    }

    /// Takes note that a write was synced. Returns what it completed, in the order of staging.
    public mutating func frameDurable(_ write: FrameWrite<D.File>) -> [LogCompletion] {
        guard let done = inFlight, done.write.offset == write.offset, done.write.segment == write.segment else {
            preconditionFailure("not the write under way")
        }
        inFlight = nil
        guard let header = done.header, let draft = done.draft else {
            accounts.seal(write.segment, size: write.offset + write.byteCount, lastFrame: chain.number)
            switchSegment()
            accounts.open(active.header.segment, size: active.fileLength, firstFrame: chain.number + 1)
            return []
        }
        chain = FrameChain(number: header.number, checksum: done.checksum, directory: draft.directory)
        active.append(
            FrameSummary(
                number: header.number, recordsOffset: header.offset + header.headLength,
                recordsLength: header.recordsLength, holdsDamage: false, directory: draft.directory), end: header.end)
        if attestation != .cleanStop || header.flags.contains(.cleanStop) {
            attestation = draft.directory.isEmpty ? .notNeeded : .wanted
        }
        durableCount += UInt64(draft.completions.count)
        account(for: draft, in: header.segment, recordsOffset: header.offset + header.headLength)
        return draft.completions
    }

    /// Lets the file grow before anything is placed in it: should the disk be full, the frame waits, and finds the next
    /// segment as soon as one is ready. A footer never needs space of its own.
    private mutating func extend(to length: Int) throws(LogStoreFailure) {
        let end = align(length, to: SegmentHeader.alignment)
        guard length > active.fileLength else { return }
        try disking { () throws(DiskFailure) in
            var position = active.fileLength
            while position < end {
                let count = min(zeros.count, end - position)
                try disk.write(active.file, at: position, [zeros[0..<count]])
                position += count
            }
        }
        active.extended(to: end)
    }

    private mutating func makeDraft() -> FrameDraft? {
        var flags: FrameHeader.Flags = [.attestsPrevious]
        var batch: [Submission] = []
        var bytes = 0
        while let next = staged.first, batch.isEmpty || bytes + next.byteCount <= configuration.frameLimit {
            bytes += next.byteCount
            batch.append(next)
            staged.popFirst()
        }
        stagedBytes -= bytes
        // Nothing is copied any more while the log is stopped.
        let copies = attestation == .cleanStop ? nil : stagedCopies
        stagedCopies = nil
        if batch.isEmpty && copies == nil {
            guard attestation == .requested || attestation == .cleanStop else { return nil }
            if attestation == .cleanStop { flags.insert(.cleanStop) }
        }
        return FrameDraft(batch, copies: copies, flags: flags, sequence: &nextSequence)
    }

    private mutating func place(_ draft: FrameDraft) -> FrameWrite<D.File> {
        var draft = draft
        let header = FrameHeader(
            flags: draft.flags, segment: active.header.segment, generation: active.header.generation,
            offset: active.position, number: chain.number + 1, previousChecksum: chain.checksum,
            directoryLength: draft.directory.count, directoryChecksum: CRC32C.checksum(draft.directory),
            previousDirectoryLength: chain.directory.count,
            previousDirectoryChecksum: CRC32C.checksum(chain.directory), recordsLength: draft.recordsLength,
            incarnation: incarnation)
        var writer = ByteWriter(capacity: header.headLength)
        let checksum = header.encode(into: &writer, seed: active.header.seed)
        writer.write(chain.directory)
        writer.write(draft.directory)
        var parts: [Bytes] = []
        parts.reserveCapacity(draft.payloads.count + 2)
        parts.append(writer.take())
        parts.append(contentsOf: draft.payloads)
        var padding = ByteWriter()
        // Whole pages: one that is not in memory would have to be read before a part of it can be written.
        let end = min(align(header.end, to: SegmentHeader.pageSize), max(header.end, active.fileLength))
        padding.writeZeros(end - header.offset - header.length)
        parts.append(padding.take())
        draft.payloads = []
        draft.settle(segment: header.segment, recordsOffset: header.offset + header.headLength)
        let write = FrameWrite(
            file: active.file, segment: header.segment, offset: header.offset, parts: parts,
            byteCount: header.end - header.offset,
            content: draft.completions.isEmpty && !draft.copies.isEmpty ? .copies : .frame)
        inFlight = InFlight(write: write, header: header, checksum: checksum, draft: draft)
        return write
    }

    /// Closes the log's files. What is staged is dropped.
    public func close() {
        disk.close(active.file)
        for segment in ready { disk.close(segment.file) }
    }

    // MARK: Segments

    private mutating func seal(next: UInt32) -> FrameWrite<D.File> {
        let footer = SegmentFooter(
            segment: active.header.segment, generation: active.header.generation, lastChecksum: chain.checksum,
            next: next, index: active.index)
        let start = active.footerStart
        let bytes = footer.encode(at: start, seed: active.header.seed)
        let write = FrameWrite(
            file: active.file, segment: active.header.segment, offset: start, parts: [bytes], byteCount: bytes.count,
            content: .footer)
        inFlight = InFlight(write: write, header: nil, checksum: 0, draft: nil)
        return write
    }

    private mutating func switchSegment() {
        precondition(!ready.isEmpty, "sealed without a successor")
        disk.close(active.file)
        active = ActiveSegment(ready.removeFirst())
    }

    /// The next segment to make ready, if there are too few; hand the result to `prepared(_:)`. One is made at a time.
    public mutating func beginPreparation() -> SegmentPreparation<D>? {
        lacksReadySegment ? startPreparation() : nil
    }

    private mutating func startPreparation() -> SegmentPreparation<D> {
        isPreparing = true
        let spare = spares.popLast()
        let header = SegmentHeader(
            segment: nextSegment, generation: spare.map { $0.generation + 1 } ?? 0, storeID: storeID,
            salt: salts.next(), incarnation: incarnation)
        nextSegment += 1
        return SegmentPreparation(disk: disk, header: header, size: configuration.segmentSize, spare: spare)
    }

    /// Takes over a segment made ready.
    public mutating func prepared(_ segment: PreparedSegment<D.File>) {
        precondition(isPreparing && segment.header.segment == nextSegment - 1, "not the segment being prepared")
        isPreparing = false
        ready.append(segment)
    }

    /// The segment begun last could not be made ready; its number is used again.
    /// - Parameter spare: what `SegmentPreparation.abandon` gave back.
    public mutating func preparationFailed(_ spare: SpareSegment?) {
        precondition(isPreparing, "no segment is being prepared")
        isPreparing = false
        nextSegment -= 1
        if let spare { spares.append(spare) }
    }

    /// Makes all segments ready that are wanted, here and now: for the simulator and for tests.
    public mutating func prepareSegments() throws(LogStoreFailure) {
        try prepareSegments(atLeast: configuration.readySegments)
    }

    private mutating func prepareSegments(atLeast count: Int) throws(LogStoreFailure) {
        while ready.count < count {
            var preparation = startPreparation()
            do throws(DiskFailure) {
                prepared(try preparation.run())
            } catch {
                preparationFailed(preparation.abandon(after: error))
                throw .disk(error)
            }
        }
    }
}

extension FrameDraft {
    /// Turns the locations' offsets into offsets in the file.
    mutating func settle(segment: UInt32, recordsOffset: Int) {
        for completion in completions.indices {
            for location in completions[completion].locations.indices {
                completions[completion].locations[location].segment = segment
                completions[completion].locations[location].offset += UInt32(recordsOffset)
            }
        }
    }
}
