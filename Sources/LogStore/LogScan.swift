import Primitives

/// Reads all segments forward and decides what each frame is worth.
///
/// A frame is written only after the one before was synced. So whatever stands before an intact frame header was
/// durable: if it is bad, it was damaged, and its identity is in its directory or in the copy in the next frame. Only
/// the last frame can be torn: bad, and nothing behind it.
struct LogScan<D: Disk> {
    let disk: D
    /// Reads the frames of sealed segments, too, and compares them with the footer: for inspection.
    let readsEverything: Bool
    /// Damage other than that of records, in the order in which it was met; complete when everything is read.
    private(set) var findings: [ScanFinding] = []
    /// Bytes of intact frames and footers read.
    private(set) var verifiedBytes = 0
    private(set) var segments: [FoundSegment<D.File>] = []
    private(set) var items: [RecoveredItem] = []
    private(set) var report = RecoveryReport()
    /// The end of the chain as far as frames are settled.
    private(set) var chain = FrameChain.empty
    /// Records may be missing of which nothing is known.
    private(set) var isIdentityLost = false

    /// The last frame found, and the segment (as a position in `segments`) that it is in.
    private var pending: (frame: FoundFrame, segment: Int)?
    /// Where the current scan met something that is not a header, before it found the next one.
    private var missingAt: Int?
    /// The segment, as a position in `segments`, of which the device does not give the place where the next frame would
    /// begin: there may be one.
    private var unreadableEnd: Int?
    /// The segment scanned last was preceded by retired ones.
    private var hasPassed = false

    init(disk: D, readsEverything: Bool = false) {
        self.disk = disk
        self.readsEverything = readsEverything
    }

    private var lastNumber: UInt64 { pending?.frame.header.number ?? chain.number }

    /// Scans the next segment in the order of their numbers.
    mutating func scan(_ found: FoundSegment<D.File>) throws(LogStoreFailure) {
        segments.append(found)
        let index = segments.count - 1
        var window = ScanWindow(disk: disk, file: found.file, fileLength: found.length)
        defer {
            report.bytesRead += window.bytesRead
            report.readErrors += window.readErrors
            hasPassed = false
        }
        if !readsEverything, try takeFooter(of: index) { return }
        // Behind an unsealed segment there are frames only if its footer was damaged: then this one begins with a
        // frame.
        if index > 0 && !segments[index - 1].isSealed && looksUnused(&window) { return }
        try scanFrames(of: index, in: &window)
        if readsEverything { try compareFooter(of: index) }
    }

    /// Scans one sealed segment and nothing else. Its last frame was synced, or it would not have been sealed.
    /// - Parameter first: the number of its first frame.
    mutating func scanAlone(_ found: FoundSegment<D.File>, from first: UInt64) throws(LogStoreFailure) {
        let header = try read(found, at: SegmentHeader.size, count: FrameHeader.size)?.withUnsafeBytes {
            buffer throws(LogStoreFailure) in
            try FrameHeader.decode(buffer, at: SegmentHeader.size, of: found.header)?.header
        }
        chain = FrameChain(number: first - 1, checksum: header?.previousChecksum ?? 0, directory: Bytes())
        try scan(found)
        try settlePending(repeated: nil)
    }

    /// Goes on behind segments that reclamation has emptied. They came after the frames met so far, which so are proven
    /// to have been synced.
    mutating func pass(_ range: RetiredRange) throws(LogStoreFailure) {
        try settlePending(repeated: nil)
        hasPassed = true
        unreadableEnd = nil
        if range.firstFrame > chain.number + 1 {
            note(.missing(chain.number + 1...range.firstFrame - 1), range.first, nil)
            loseFrames(range.firstFrame - chain.number - 1)
        }
        guard range.lastFrame > chain.number else { return }
        chain = FrameChain(number: range.lastFrame, checksum: range.lastChecksum, directory: Bytes())
    }

    /// Notes that records are missing: a segment is not there or unreadable, or an earlier start met such a loss.
    mutating func loseSegment() { isIdentityLost = true }

    // MARK: Sealed segments

    /// What stands where a footer would: the trailer, and the frames when the footer is intact.
    private mutating func footer(
        of index: Int
    ) throws(LogStoreFailure) -> (place: SegmentFooter.Place, frames: [FrameSummary]?)? {
        let segment = segments[index]
        let trailerOffset = segment.length - SegmentFooter.trailerSize
        guard trailerOffset >= SegmentHeader.size, let trailer = read(segment, at: trailerOffset, count: 64),
            let place = try trailer.withUnsafeBytes({ buffer throws(LogStoreFailure) in
                try SegmentFooter.decodeTrailer(buffer, fileLength: segment.length, of: segment.header)
            })
        else { return nil }
        guard place.offset >= SegmentHeader.size,
            let footer = read(segment, at: place.offset, count: place.length),
            CRC32C.checksum(footer) == place.checksum
        else { return (place, nil) }
        return (place, SegmentFooter.frames(of: footer, place: place))
    }

    private mutating func takeFooter(of index: Int) throws(LogStoreFailure) -> Bool {
        guard let (place, found) = try footer(of: index), let frames = found,
            frames.isEmpty || place.firstNumber > lastNumber
        else { return false }
        try settlePending(repeated: nil)
        unreadableEnd = nil
        var expected = chain.number + 1
        for frame in frames {
            if frame.number > expected { loseFrames(frame.number - expected) }
            expected = frame.number + 1
        }
        segments[index].isSealed = true
        segments[index].sealedFrames = frames.count
        if let first = frames.first, let last = frames.last {
            segments[index].footerFrames = (first.number, last.number)
        }
        segments[index].next = place.next
        for frame in frames { try take(frame, of: index) }
        if let last = frames.last {
            chain = FrameChain(number: last.number, checksum: place.lastChecksum, directory: last.directory)
        }
        report.segments += 1
        report.sealedSegments += 1
        return true
    }

    private mutating func take(_ frame: FrameSummary, of index: Int) throws(LogStoreFailure) {
        let number = segments[index].header.segment
        if frame.holdsDamage {
            add(try verified(frame.directory, of: index, base: frame.recordsOffset))
        } else {
            add(try RecoveredItem.items(of: frame.directory, segment: number, base: frame.recordsOffset))
        }
        report.frames += 1
    }

    /// A read that leaves the window where it is.
    private mutating func read(_ segment: FoundSegment<D.File>, at offset: Int, count: Int) -> Bytes? {
        var window = ScanWindow(disk: disk, file: segment.file, fileLength: min(segment.length, offset + count))
        defer {
            report.bytesRead += window.bytesRead
            report.readErrors += window.readErrors
        }
        return window.bytes(at: offset, count: count)
    }

    /// Compares the footer, if there is one, with the frames read. It proves that they were synced.
    private mutating func compareFooter(of index: Int) throws(LogStoreFailure) {
        guard let (place, found) = try footer(of: index) else { return }
        let segment = segments[index].header.segment
        guard let frames = found else { return note(.footerDamaged, segment, place.offset) }
        try settlePending(repeated: frames.last { $0.number == lastNumber }?.directory)
        segments[index].isSealed = true
        segments[index].next = place.next
        verifiedBytes += place.length + SegmentFooter.trailerSize
        let comparison = FooterComparison(frames: frames, read: segments[index].frames)
        for number in comparison.differing { note(.footerDiffers(number), segment, place.offset) }
        for frame in comparison.unread {
            note(.unreadableHeader(frame.number), segment, nil)
            add(try verified(frame.directory, of: index, base: frame.recordsOffset))
            report.frames += 1
        }
        guard let last = frames.last else { return }
        if last.number > chain.number {
            segments[index].frames.append(last)
            chain = FrameChain(number: last.number, checksum: place.lastChecksum, directory: last.directory)
        } else if place.lastChecksum != segments[index].lastChecksum {
            note(.footerDiffers(last.number), segment, place.offset)
        }
    }

    private mutating func note(_ kind: ScanFinding.Kind, _ segment: UInt32, _ offset: Int?) {
        findings.append(ScanFinding(kind: kind, segment: segment, offset: offset))
    }

    // MARK: Open segments

    private func looksUnused(_ window: inout ScanWindow<D>) -> Bool {
        let count = min(SegmentPreparation<D>.clearedSize, window.fileLength) - SegmentHeader.size
        guard count > 0 else { return true }
        return window.bytes(at: SegmentHeader.size, count: count)?.withUnsafeBytes { $0.isAllZero } ?? false
    }

    private mutating func scanFrames(of index: Int, in window: inout ScanWindow<D>) throws(LogStoreFailure) {
        let segment = segments[index].header
        var position = SegmentHeader.size
        missingAt = nil
        while position + FrameHeader.size <= window.fileLength {
            let readErrors = window.readErrors
            if let frame = try frame(at: position, of: segment, in: &window) {
                try follow(frame, in: index)
                missingAt = nil
                position = frame.header.end
                segments[index].garbageEnd = max(segments[index].garbageEnd, min(position, window.fileLength))
            } else {
                if missingAt == nil {
                    missingAt = position
                    if window.readErrors > readErrors && takesNextFrame(index) { unreadableEnd = index }
                }
                noteGarbage(at: position, of: index, in: &window)
                position += SegmentHeader.alignment
            }
        }
        missingAt = nil
    }

    /// Whether the log goes on in the segment, as far as it was scanned.
    private func takesNextFrame(_ index: Int) -> Bool {
        index == 0 || hasPassed || segments[index - 1].isSealed || pending?.segment == index
            || !segments[index].frames.isEmpty
    }

    private mutating func noteGarbage(at position: Int, of index: Int, in window: inout ScanWindow<D>) {
        // A recycled file is full of what it held before.
        guard segments[index].header.generation == 0 else { return }
        let count = min(SegmentHeader.alignment, window.fileLength - position)
        let isZero = window.bytes(at: position, count: count)?.withUnsafeBytes { $0.isAllZero } ?? false
        if !isZero { segments[index].garbageEnd = position + count }
    }

    /// The frame whose intact header stands at `position` and continues the chain; nil when there is none.
    private mutating func frame(
        at position: Int, of segment: SegmentHeader, in window: inout ScanWindow<D>
    ) throws(LogStoreFailure) -> FoundFrame? {
        let readErrors = window.readErrors
        guard let bytes = window.bytes(at: position, count: FrameHeader.size),
            let (header, checksum) = try bytes.withUnsafeBytes({ buffer throws(LogStoreFailure) in
                try FrameHeader.decode(buffer, at: position, of: segment)
            }), header.number > lastNumber
        else { return nil }
        if header.number == lastNumber + 1 {
            guard header.previousChecksum == pending?.frame.checksum ?? chain.checksum else { return nil }
        }
        let previousStart = position + FrameHeader.size
        let previous = window.bytes(at: previousStart, count: header.previousDirectoryLength)
        let own = window.bytes(at: previousStart + header.previousDirectoryLength, count: header.directoryLength)
        var frame = FoundFrame(
            header: header, checksum: checksum, directory: own?.ifIntact(header.directoryChecksum)?.compacted(),
            previousDirectory: previous?.ifIntact(header.previousDirectoryChecksum)?.compacted())
        if let directory = frame.directory {
            // Now, while the window is here.
            var items = try RecoveredItem.items(of: directory, segment: segment.segment, base: frame.recordsOffset)
            for position in items.indices { items[position].verify(in: &window) }
            frame.items = items
        }
        frame.isUnreadable = window.readErrors > readErrors
        return frame
    }

    /// Takes the next frame: it proves that everything before it was synced.
    private mutating func follow(_ frame: FoundFrame, in index: Int) throws(LogStoreFailure) {
        let header = frame.header
        unreadableEnd = nil
        if header.number == lastNumber + 1 {
            try settlePending(repeated: frame.previousDirectory)
        } else {
            // Should the place be another's, the records' checksums say so.
            let place = missingAt
            try settlePending(repeated: nil)
            try recoverMissing(before: frame, at: place, in: index)
        }
        pending = (frame, index)
    }

    /// Frames between the settled chain and `frame` have no readable header. The last of them is known by its
    /// directory's copy.
    private mutating func recoverMissing(
        before frame: FoundFrame, at place: Int?, in index: Int
    ) throws(LogStoreFailure) {
        let missing = frame.header.number - chain.number - 1
        note(.missing(chain.number + 1...frame.header.number - 1), segments[index].header.segment, place)
        guard let directory = frame.previousDirectory else {
            loseFrames(missing)
            chain = FrameChain(
                number: frame.header.number - 1, checksum: frame.header.previousChecksum, directory: Bytes())
            return
        }
        if missing > 1 { loseFrames(missing - 1) }
        var base = 0
        if missing == 1, let place { base = place + FrameHeader.size + chain.directory.count + directory.count }
        report.repeatedDirectories += 1
        add(try verified(directory, of: index, base: base))
        segments[index].frames.append(
            FrameSummary(
                number: frame.header.number - 1, recordsOffset: base, recordsLength: 0, holdsDamage: true,
                directory: directory))
        segments[index].lastChecksum = frame.header.previousChecksum
        report.frames += 1
        chain = FrameChain(
            number: frame.header.number - 1, checksum: frame.header.previousChecksum, directory: directory)
    }

    private mutating func loseFrames(_ count: UInt64) {
        report.lostFrames += Int(clamping: count)
        isIdentityLost = true
    }

    // MARK: Settling

    /// Accepts the pending frame: it was synced. `repeated` is its directory as the next frame has it.
    private mutating func settlePending(repeated: Bytes?) throws(LogStoreFailure) {
        guard let (frame, index) = pending else { return }
        pending = nil
        let segment = segments[index].header.segment
        if frame.directory == nil { note(.directoryDamaged(frame.header.number), segment, frame.header.offset) }
        if frame.previousDirectory == nil { note(.repeatedDamaged(frame.header.number), segment, frame.header.offset) }
        if frame.directory == nil && repeated != nil { report.repeatedDirectories += 1 }
        guard let directory = frame.directory ?? repeated else {
            loseFrames(1)
            // Not in the footer: the gap in the numbers shows the loss.
            chain = FrameChain(number: frame.header.number, checksum: frame.checksum, directory: Bytes())
            segments[index].end = frame.header.end
            return
        }
        let items: [RecoveredItem]
        if let known = frame.items {
            items = known
        } else {
            items = try verified(directory, of: index, base: frame.recordsOffset)
        }
        add(items)
        let holdsDamage = !items.allSatisfy { $0.damaged.isEmpty }
        advance(past: frame, directory: directory, holdsDamage: holdsDamage, in: index)
    }

    private mutating func advance(past frame: FoundFrame, directory: Bytes, holdsDamage: Bool, in index: Int) {
        chain = FrameChain(number: frame.header.number, checksum: frame.checksum, directory: directory)
        if segments[index].frames.isEmpty { report.segments += 1 }
        segments[index].frames.append(
            FrameSummary(
                number: frame.header.number, recordsOffset: frame.recordsOffset,
                recordsLength: frame.header.recordsLength, holdsDamage: holdsDamage, directory: directory))
        segments[index].end = frame.header.end
        segments[index].lastChecksum = frame.checksum
        report.frames += 1
        verifiedBytes += frame.header.length
        report.cleanStop = frame.header.flags.contains(.cleanStop)
    }

    /// Verifies records whose directory came from elsewhere than their frame.
    private mutating func verified(
        _ directory: Bytes, of index: Int, base: Int
    ) throws(LogStoreFailure) -> [RecoveredItem] {
        let segment = segments[index]
        var window = ScanWindow(disk: disk, file: segment.file, fileLength: segment.length)
        defer {
            report.bytesRead += window.bytesRead
            report.readErrors += window.readErrors
        }
        var items = try RecoveredItem.items(of: directory, segment: segment.header.segment, base: base)
        for position in items.indices { items[position].verify(in: &window) }
        return items
    }

    private mutating func add(_ found: [RecoveredItem]) {
        for item in found {
            report.records += item.item.records.count
            report.damagedRecords += item.damaged.count
        }
        items.append(contentsOf: found)
    }

    /// The log ends here: the last frame counts if it is whole, otherwise it was torn. What the device does not give is
    /// not torn: a write that did not end leaves sectors that can be read.
    /// - Returns: the last frame's segment (as a position in `segments`) and its range of bytes, when its sync is in
    ///   doubt.
    mutating func finish() throws(LogStoreFailure) -> (segment: Int, range: Range<Int>)? {
        if let index = unreadableEnd {
            loseFrames(1)
            leavePage(of: index)
        }
        guard let (frame, index) = pending else { return nil }
        guard frame.isWhole || frame.isUnreadable else {
            pending = nil
            return nil
        }
        try settlePending(repeated: nil)
        if frame.isUnreadable { leavePage(of: index) }
        return (index, frame.header.offset..<frame.header.end)
    }

    /// Nothing is written behind the end in its page: the kernel would have to read that first.
    private mutating func leavePage(of index: Int) {
        segments[index].end = align(segments[index].end, to: SegmentHeader.pageSize)
    }

    /// Reads and verifies the bytes of a record other than an entry.
    func payload(of item: RecoveredItem) -> Bytes? {
        guard item.damaged.isEmpty, let record = item.item.records.first else { return nil }
        if record.length == 0 { return Bytes() }
        guard let segment = segments.first(where: { $0.header.segment == item.segment }) else { return nil }
        do throws(DiskFailure) {
            let file = try disk.open(SegmentName.name(of: segment.header.segment))
            defer { disk.close(file) }
            return disk.readPatiently(file, at: item.offset, count: Int(record.length))?.ifIntact(record.checksum)
        } catch {
            return nil
        }
    }

    /// Notes that a segment which is not the last has frames and no intact footer.
    mutating func noteDamagedFooter() { report.damagedFooters += 1 }

    /// Notes the bytes behind the end that will be cleared.
    mutating func noteTorn(_ count: Int) { report.tornBytes += count }
}

extension Bytes {
    fileprivate func ifIntact(_ checksum: UInt32) -> Bytes? { CRC32C.checksum(self) == checksum ? self : nil }
}
