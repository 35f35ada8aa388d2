public import Primitives

/// Looks into a store that no node works on, and changes nothing: `NodeLog.open` makes a new incarnation and clears the
/// torn tail, this only reads. Give it a disk that cannot write, as ``ReadOnlyDisk`` is.
public struct StoreInspection<D: Disk>: Sendable {
    private let disk: D
    private let numbers: [UInt32]

    /// Looks at what files there are.
    /// - Throws: `identityMissing` when there is neither a file `store` nor a segment: that is no store.
    public init(disk: D) throws(LogStoreFailure) {
        self.disk = disk
        let names = try disking { () throws(DiskFailure) in try disk.list() }
        numbers = names.compactMap(SegmentName.number).sorted()
        if numbers.isEmpty && !names.contains(StoreIdentity.fileName) { throw .identityMissing }
    }

    // MARK: Verification

    /// Reads everything and compares it with its checksums: the file `store`, segment headers, frames, directories,
    /// every record, and footers with the frames they stand for.
    /// - Throws: what newer versions wrote, and a disk that does not answer. Damage is not thrown but listed.
    public func verify() throws(LogStoreFailure) -> StoreVerification {
        var result = StoreVerification()
        let identity = try verifyIdentity(&result)
        var scan = LogScan(disk: disk, readsEverything: true)
        _ = try run(&scan, identity, &result)
        defer { close(scan) }
        result.segments = scan.segments.count
        result.frames = scan.report.frames
        result.records = scan.report.records
        result.bytes += scan.verifiedBytes
        for finding in scan.findings {
            result.problems.append(StoreProblem(finding.what, segment: finding.segment, offset: finding.offset))
        }
        for item in scan.items { result.problems += StoreInspection.damage(of: item) }
        verifyChain(scan, identity, &result)
        return result
    }

    private func verifyIdentity(_ result: inout StoreVerification) throws(LogStoreFailure) -> StoreIdentity? {
        let identity: StoreIdentity
        do throws(LogStoreFailure) {
            identity = try StoreIdentity.read(from: disk)
        } catch {
            switch error {
            case .identityDamaged: result.problems.append(StoreProblem("no copy is intact"))
            case .disk(.notFound): result.problems.append(StoreProblem("the file is missing"))
            default: throw error
            }
            return nil
        }
        let expected = identity.encode()
        let bytes = try disking { () throws(DiskFailure) in
            let file = try disk.open(StoreIdentity.fileName)
            defer { disk.close(file) }
            return try disk.readReadable(file, limit: expected.count)
        }
        if let offset = bytes.difference(from: expected) {
            result.problems.append(StoreProblem("one of the copies is damaged", offset: offset))
        }
        if identity.hasLostRecords {
            result.problems.append(StoreProblem("an earlier start found records lost whose identity nobody knows"))
        }
        result.bytes += bytes.count
        return identity
    }

    private func verifyChain(_ scan: LogScan<D>, _ identity: StoreIdentity?, _ result: inout StoreVerification) {
        let last = scan.segments.lastIndex { $0.isSealed || !$0.frames.isEmpty } ?? 0
        for (position, segment) in scan.segments.enumerated() where !segment.isSealed {
            let number = segment.header.segment
            if position < last {
                result.problems.append(
                    StoreProblem("no intact footer, although the log goes on behind it", segment: number))
            } else if segment.garbageEnd > segment.end {
                let count = segment.garbageEnd - segment.end
                result.tornTails.append(
                    StoreProblem("torn tail of \(count) bytes, never confirmed", segment: number, offset: segment.end))
            }
        }
        guard let identity else { return }
        for segment in scan.segments where segment.isSealed {
            let next = identity.retired.existing(from: segment.next)
            guard !numbers.contains(next) else { continue }
            result.problems.append(
                StoreProblem("missing; the log goes on in it behind segment \(segment.header.segment)", segment: next))
        }
        for range in identity.retired {
            let next = identity.retired.existing(from: range.next)
            guard !numbers.contains(next) else { continue }
            result.problems.append(
                StoreProblem("missing; the log goes on in it behind retired segment \(range.last)", segment: next))
        }
        if identity.lastSegment > numbers.last ?? 0, identity.retired.range(of: identity.lastSegment) == nil {
            result.problems.append(
                StoreProblem("missing; it was there at the last start", segment: identity.lastSegment))
        }
    }

    /// One problem for each damaged record.
    private static func damage(of item: RecoveredItem) -> [StoreProblem] {
        item.damagedRecords.map { record in
            let hasIndex = record.kind == .entries || record.index > 0
            let what =
                record.offset == 0
                ? "the place of a record of kind \(record.kind) is not known"
                : "the checksum of a record of kind \(record.kind) and \(record.length) bytes does not match"
            return StoreProblem(
                what, segment: record.segment, offset: record.offset == 0 ? nil : record.offset, group: record.group,
                index: hasIndex ? LogIndex(record.index) : nil)
        }
    }

    // MARK: Contents

    /// What a start would find, as `NodeLog.open` would decide it. Sealed segments are known from their footers.
    public func contents() throws(LogStoreFailure) -> StoreContents {
        let identity = try StoreIdentity.read(from: disk)
        var scan = LogScan(disk: disk)
        if identity.hasLostRecords || identity.lastSegment > numbers.last ?? 0 { scan.loseSegment() }
        var ignored = StoreVerification()
        let doubtful = try run(&scan, identity, &ignored)
        defer { close(scan) }
        let next = scan.segments.filter(\.isSealed).map(\.next) + identity.retired.map(\.next)
        for segment in next where !numbers.contains(identity.retired.existing(from: segment)) { scan.loseSegment() }
        let replay = LogReplay(scan.items)
        let groups = replay.recovered(isIdentityLost: scan.isIdentityLost) { scan.payload(of: $0) }
        return StoreContents(
            storeID: identity.storeID, incarnation: identity.incarnation,
            segments: scan.segments.enumerated().map { position, segment in
                let end = doubtful?.segment == position ? doubtful?.range.lowerBound : nil
                return StoreContents.Segment(
                    number: segment.header.segment, generation: segment.header.generation,
                    frames: segment.isSealed ? segment.sealedFrames : segment.frames.count, bytes: segment.length,
                    usedBytes: segment.isSealed ? segment.length : end ?? segment.end, isSealed: segment.isSealed)
            },
            groups: groups.map { found in
                let entries = found.group.retained + found.group.entries
                let liveBytes =
                    entries.reduce(0) { $0 + Int($1.length) } + found.controls.reduce(0) { $0 + $1.length }
                return StoreContents.Group(recovered: found.group, liveBytes: liveBytes)
            },
            removedGroups: replay.removedGroups)
    }

    // MARK: Scanning

    /// Scans the segments in order, as a start does; what is not a segment of this store is listed and passed over.
    /// - Returns: the last frame, when its sync is in doubt: the segment (as a position in `scan.segments`) and its
    ///   place.
    private func run(
        _ scan: inout LogScan<D>, _ identity: StoreIdentity?, _ result: inout StoreVerification
    ) throws(LogStoreFailure) -> (segment: Int, range: Range<Int>)? {
        var retired = (identity?.retired ?? [])[...]
        // A start removes retired segments that are still there.
        for number in numbers where identity?.retired.range(of: number) == nil {
            while let range = retired.first, range.first < number {
                try scan.pass(range)
                retired.removeFirst()
            }
            if let segment = try find(number, identity, &result) {
                try scan.scan(segment)
            } else {
                scan.loseSegment()
            }
        }
        for range in retired { try scan.pass(range) }
        return try scan.finish()
    }

    private func find(
        _ number: UInt32, _ identity: StoreIdentity?, _ result: inout StoreVerification
    ) throws(LogStoreFailure) -> FoundSegment<D.File>? {
        let name = SegmentName.name(of: number)
        let (file, length, head) = try disking { () throws(DiskFailure) in
            let file = try disk.open(name)
            return (file, try disk.length(of: file), try disk.readReadable(file, limit: SegmentHeader.size))
        }
        let header = try head.withUnsafeBytes { buffer throws(LogStoreFailure) in
            try SegmentHeader(decoding: buffer, file: name)
        }
        guard let header, header.segment == number, header.storeID == identity?.storeID ?? header.storeID else {
            disk.close(file)
            let what = header == nil ? "no copy of the header is intact" : "it belongs to another store or place"
            result.problems.append(StoreProblem(what, segment: number, offset: 0))
            return nil
        }
        if let offset = head.difference(from: header.encode()) {
            result.problems.append(
                StoreProblem("one of the header's copies is damaged", segment: number, offset: offset))
        }
        result.bytes += head.count
        return FoundSegment(header: header, file: file, length: length)
    }

    private func close(_ scan: LogScan<D>) { for segment in scan.segments { disk.close(segment.file) } }
}
