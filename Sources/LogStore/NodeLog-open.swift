public import Primitives

extension NodeLog {
    /// Opens the store on `disk`, or makes one when the disk is empty. On return the incarnation is one higher, and
    /// everything recovered is durable.
    /// - Parameters:
    ///   - firstIncarnation: of a store that is made here; at least 1.
    ///   - randomness: of the store's identity and of the segments' salts.
    ///   - progress: called before each segment.
    public static func open<R: RandomNumberGenerator>(
        disk: D, configuration: LogConfiguration = LogConfiguration(), firstIncarnation: Incarnation = Incarnation(1),
        randomness: inout R,
        progress: (OpeningProgress) -> Void = { _ in }
    ) throws(LogStoreFailure) -> (log: NodeLog<D>, store: RecoveredStore) {
        precondition(configuration.growthLimit <= 2 << 30 && configuration.readySegments >= 1)
        var opening = LogOpening(disk: disk, salts: SeededRandom(seed: randomness.next()))
        let store = StoreID(high: randomness.next(), low: randomness.next())
        try opening.identify(newStore: store, from: firstIncarnation)
        let recovered = try opening.recover(progress)
        var start = try opening.makeStart(configuration: configuration, nextSequence: recovered.nextSequence)
        let (found, controls, evidence) = recovered.store(opening)
        start.settle(found, controls: controls, evidence: evidence, suppressors: recovered.suppressors)
        return (NodeLog(start, disk: disk, configuration: configuration), found)
    }
}

/// The steps of opening a store.
struct LogOpening<D: Disk> {
    let disk: D
    var salts: SeededRandom
    private(set) var identity = StoreIdentity(
        storeID: StoreID(high: 0, low: 0), incarnation: Incarnation(0), lastSegment: 0)
    private var numbers: [UInt32] = []
    private var scan: LogScan<D>
    private var doubtful: (segment: Int, range: Range<Int>)?

    init(disk: D, salts: SeededRandom) {
        self.disk = disk
        self.salts = salts
        scan = LogScan(disk: disk)
    }

    var report: RecoveryReport { scan.report }
    var mayVote: Bool { !scan.isIdentityLost }

    // MARK: Identity

    /// More segments than a store makes between two starts.
    private static var strayDistance: UInt32 { 1 << 24 }

    /// Reads or makes the store's identity and makes the new incarnation durable.
    mutating func identify(newStore: StoreID, from first: Incarnation) throws(LogStoreFailure) {
        let names = try disking { () throws(DiskFailure) in
            let names = try disk.list()
            for name in names where SegmentName.isTemporary(name) { try disk.remove(name) }
            // What is listed may be a rename that only memory knows.
            try disk.syncDirectory()
            return names
        }
        numbers = names.compactMap(SegmentName.number).sorted()
        if names.contains(StoreIdentity.fileName) {
            identity = try StoreIdentity.read(from: disk)
            try removeRetired()
            guard identity.incarnation.rawValue < CounterBound.segment else { throw .identityDamaged }
            if identity.hasLostRecords || identity.lastSegment > numbers.last ?? 0 { scan.loseSegment() }
        } else {
            guard numbers.isEmpty else { throw .identityMissing }
            identity.storeID = newStore
            identity.incarnation = Incarnation(max(1, first.rawValue) - 1)
        }
        // Numbers follow each other: a file far above all that are known is none of the log's.
        let known = max(identity.lastSegment, identity.retired.last?.next ?? 0)
        if let last = numbers.last, last > known, last - known > LogOpening.strayDistance {
            throw .foreignSegment(SegmentName.name(of: last))
        }
        identity.incarnation.rawValue += 1
        identity.lastSegment = max(identity.lastSegment, numbers.last ?? 0)
        try identity.write(to: disk)
    }

    /// What is listed as retired was kept to be recycled, or a crash came before it was removed.
    private mutating func removeRetired() throws(LogStoreFailure) {
        let retired = numbers.filter { identity.retired.range(of: $0) != nil }
        guard !retired.isEmpty else { return }
        for number in retired {
            try disking { () throws(DiskFailure) in try disk.remove(SegmentName.name(of: number)) }
        }
        try disking { () throws(DiskFailure) in try disk.syncDirectory() }
        numbers.removeAll { retired.contains($0) }
    }

    // MARK: Recovery

    /// Scans the segments, clears the torn tail, and writes once more what may be in memory only.
    mutating func recover(_ progress: (OpeningProgress) -> Void) throws(LogStoreFailure) -> RecoveredLog {
        var retired = identity.retired[...]
        for (position, number) in numbers.enumerated() {
            progress(OpeningProgress(segments: position, of: numbers.count, bytesRead: scan.report.bytesRead))
            while let range = retired.first, range.first < number {
                try scan.pass(range)
                retired.removeFirst()
            }
            guard let segment = try find(number) else {
                scan.loseSegment()
                continue
            }
            try scan.scan(segment)
        }
        for range in retired { try scan.pass(range) }
        doubtful = try scan.finish()
        if hasGap { scan.loseSegment() }
        let next = scan.segments.filter(\.isSealed).map(\.next) + identity.retired.map(\.next)
        for segment in next where !numbers.contains(identity.retired.existing(from: segment)) { scan.loseSegment() }
        if scan.isIdentityLost && !identity.hasLostRecords {
            identity.hasLostRecords = true
            try identity.write(to: disk)
        }
        try clean()
        return RecoveredLog(
            LogReplay(scan.items), hasRecords: !scan.items.isEmpty || !identity.retired.isEmpty)
    }

    /// Whether a file is missing below one that is there: numbers follow each other, but for those retired. It may be
    /// the one that took frames, which no footer names.
    private var hasGap: Bool {
        var expected = identity.retired.existing(from: 1)
        for number in numbers {
            if number != expected { return true }
            expected = identity.retired.existing(from: number + 1)
        }
        return false
    }

    private func find(_ number: UInt32) throws(LogStoreFailure) -> FoundSegment<D.File>? {
        let name = SegmentName.name(of: number)
        let (file, length, head) = try disking { () throws(DiskFailure) in
            let file = try disk.open(name)
            return (file, try disk.length(of: file), try disk.readReadable(file, limit: SegmentHeader.size))
        }
        let header = try head.withUnsafeBytes { buffer throws(LogStoreFailure) in
            try SegmentHeader(decoding: buffer, file: name)
        }
        guard let header else {
            disk.close(file)
            return nil
        }
        guard header.segment == number, header.storeID == identity.storeID else { throw .foreignSegment(name) }
        return FoundSegment(header: header, file: file, length: length)
    }

    /// The position in `scan.segments` of the last one that holds frames.
    private var lastUsed: Int? { scan.segments.lastIndex { $0.isSealed || !$0.frames.isEmpty } }

    /// The position in `scan.segments` of the segment that takes the next frame.
    private var activePosition: Int? {
        let last = lastUsed
        let segment = last.map { scan.segments[$0].header.segment } ?? 0
        let next: UInt32
        if let retired = identity.retired.last, retired.last > segment {
            next = retired.next
        } else if let last {
            guard scan.segments[last].isSealed else { return last }
            next = identity.retired.existing(from: scan.segments[last].next)
        } else {
            return scan.segments.isEmpty ? nil : 0
        }
        return scan.segments.firstIndex { $0.header.segment == next }
    }

    private mutating func clean() throws(LogStoreFailure) {
        let activePosition = activePosition
        // Also when the log goes on in a new segment: a torn frame has the number that its first frame gets.
        for position in scan.segments.indices.dropFirst(activePosition ?? lastUsed ?? 0) {
            var segment = scan.segments[position]
            let isTorn = segment.garbageEnd > segment.end
            if position == activePosition && segment.header.generation > 0 {
                // Of a recycled file only a torn frame with a readable header can be told from what was there
                // before. The next header's place is cleared in any case, with the rest of its page.
                let next = min(align(segment.end + SegmentHeader.alignment, to: SegmentHeader.pageSize), segment.length)
                segment.garbageEnd = max(segment.garbageEnd, next)
            }
            guard !segment.isSealed, segment.garbageEnd > segment.end else { continue }
            if isTorn { scan.noteTorn(segment.garbageEnd - segment.end) }
            try disking { () throws(DiskFailure) in
                try clear(segment.file, segment.end..<segment.garbageEnd)
            }
        }
        guard let doubtful else { return }
        let file = scan.segments[doubtful.segment].file
        try disking { () throws(DiskFailure) in
            // The page cache may hold what a failed or missing sync never brought to the device. What cannot be read is
            // not in it.
            for start in stride(from: doubtful.range.lowerBound, to: doubtful.range.upperBound, by: 1 << 20) {
                try rewrite(file, start..<min(start + 1 << 20, doubtful.range.upperBound))
            }
            try disk.sync(file)
        }
    }

    private func rewrite(_ file: D.File, _ range: Range<Int>) throws(DiskFailure) {
        if let bytes = disk.readPatiently(file, at: range.lowerBound, count: range.count) {
            return try disk.write(file, at: range.lowerBound, [bytes])
        }
        for start in stride(from: range.lowerBound, to: range.upperBound, by: SegmentHeader.alignment) {
            let count = min(SegmentHeader.alignment, range.upperBound - start)
            guard let bytes = disk.readPatiently(file, at: start, count: count) else { continue }
            try disk.write(file, at: start, [bytes])
        }
    }

    private func clear(_ file: D.File, _ range: Range<Int>) throws(DiskFailure) {
        var zeros = ByteWriter()
        zeros.writeZeros(min(range.count, 1 << 20))
        let chunk = zeros.take()
        var position = range.lowerBound
        while position < range.upperBound {
            let count = min(chunk.count, range.upperBound - position)
            try disk.write(file, at: position, [chunk[0..<count]])
            position += count
        }
        try disk.sync(file)
    }

    /// Reads and verifies the bytes of a record other than an entry.
    func payload(of item: RecoveredItem) -> Bytes? { scan.payload(of: item) }

    // MARK: Start

    /// Chooses the segment to go on in, or makes it, and closes the others.
    mutating func makeStart(
        configuration: LogConfiguration, nextSequence: UInt64
    ) throws(LogStoreFailure) -> LogStart<D> {
        var highest = max(identity.lastSegment, numbers.last ?? 0)
        for segment in scan.segments { highest = max(highest, segment.next) }
        if let retired = identity.retired.last { highest = max(highest, retired.next) }
        var accounts = SegmentAccounts()
        var contents: [SegmentContents] = []
        var active: ActiveSegment<D.File>
        var ready: [PreparedSegment<D.File>] = []
        if let position = activePosition {
            let found = scan.segments[position]
            active = ActiveSegment(
                header: found.header, file: found.file, position: found.end, fileLength: found.length,
                frames: found.frames)
            for segment in scan.segments[(position + 1)...] {
                ready.append(PreparedSegment(header: segment.header, file: segment.file, length: segment.length))
            }
            for segment in scan.segments[..<position] {
                if segment.isSealed || !segment.frames.isEmpty {
                    let frames = segment.frameNumbers
                    accounts.open(segment.header.segment, size: segment.length, firstFrame: frames.first)
                    accounts.seal(segment.header.segment, size: segment.length, lastFrame: frames.last)
                }
                if !segment.isSealed {
                    if !segment.frames.isEmpty { scan.noteDamagedFooter() }
                    contents.append(self.contents(of: segment))
                }
                disk.close(segment.file)
            }
        } else {
            for segment in scan.segments { disk.close(segment.file) }
            highest += 1
            active = ActiveSegment(try makeSegment(highest, size: configuration.firstSegmentSize))
            identity.lastSegment = highest
            try identity.write(to: disk)
        }
        accounts.open(
            active.header.segment, size: active.fileLength,
            firstFrame: active.index.isEmpty ? scan.chain.number + 1 : active.index.firstNumber)
        return LogStart(
            identity: identity, active: active, ready: ready, nextSegment: highest + 1, salts: salts,
            nextSequence: nextSequence, chain: scan.chain, accounts: accounts, contents: contents)
    }

    /// What stands for the footer of a segment whose own is damaged.
    private func contents(of segment: FoundSegment<D.File>) -> SegmentContents {
        let number = segment.header.segment
        let behind = numbers.filter { $0 > number } + identity.retired.map(\.first).filter { $0 > number }
        return SegmentContents(
            segment: number, generation: segment.header.generation, length: segment.length, frames: segment.frames,
            lastChecksum: segment.lastChecksum, next: behind.min() ?? 0)
    }

    private mutating func makeSegment(
        _ number: UInt32, size: Int
    ) throws(LogStoreFailure) -> PreparedSegment<D.File> {
        let header = SegmentHeader(
            segment: number, generation: 0, storeID: identity.storeID, salt: salts.next(),
            incarnation: identity.incarnation)
        var preparation = SegmentPreparation(disk: disk, header: header, size: size)
        return try disking { () throws(DiskFailure) in try preparation.run() }
    }
}

/// The groups as replayed.
struct RecoveredLog {
    private let replay: LogReplay
    private let hasRecords: Bool

    init(_ replay: LogReplay, hasRecords: Bool) {
        self.replay = replay
        self.hasRecords = hasRecords
    }

    var nextSequence: UInt64 { replay.nextSequence }
    var suppressors: [(item: RecoveredItem, bound: UInt32)] { replay.suppressors }

    /// The store as its user sees it, and the records other than entries that still count.
    /// Evidence is what shows that other records are damaged.
    func store<D: Disk>(
        _ opening: LogOpening<D>
    ) -> (store: RecoveredStore, controls: [ControlRecord], evidence: [ControlRecord]) {
        let groups = replay.recovered(isIdentityLost: !opening.mayVote) { opening.payload(of: $0) }
        let store = RecoveredStore(
            storeID: opening.identity.storeID, incarnation: opening.identity.incarnation,
            isFresh: !hasRecords && opening.mayVote, mayVote: opening.mayVote, groups: groups.map(\.group),
            removedGroups: replay.removedGroups, report: opening.report)
        return (store, groups.flatMap(\.controls), groups.compactMap(\.evidence))
    }
}
