public import Primitives

/// What reclamation wants to be done next.
public enum ReclaimJob<D: Disk>: Sendable {
    /// To be told which of these entries are needed, in their order. Answer true for an entry that the group's log, or
    /// a transfer under way, has at exactly this place, or whose place it does not know yet; and answer only after the
    /// records that made the others dead were staged.
    case ask([EntryLocation])
    /// To have `work.run()` called, on any thread, though not on the log writer's: it reads, and at the end removes.
    case work(ReclaimWork<D>)
}

/// What became of a job; for `NodeLog.reclaimed`.
public struct ReclaimOutcome: Sendable {
    enum Kind: Sendable {
        case answers([Bool])
        case surveyed(SegmentContents)
        case loaded([RelocatedRecord])
        case retired(StoreIdentity, SpareSegment?)
        case failed(LogStoreFailure)
        /// The segment's footer cannot be read.
        case unreadable
    }

    let kind: Kind

    /// The answers to a question, one for each entry.
    public static func answers(_ answers: [Bool]) -> ReclaimOutcome { ReclaimOutcome(kind: .answers(answers)) }

    /// Why the work failed, if it did. It is tried again; meanwhile nothing is lost.
    public var failure: LogStoreFailure? { if case .failed(let failure) = kind { failure } else { nil } }
}

/// A bounded piece of reclamation that waits for the disk.
public struct ReclaimWork<D: Disk>: Sendable {
    enum Kind: Sendable {
        /// Read the segment's footer.
        case survey(UInt32)
        /// Read and verify records.
        case load([PlacedRecord])
        /// Write the identity, which lists the segment as retired, then give its file up or keep it.
        case retire(StoreIdentity, SpareSegment, keep: Bool)
    }

    let disk: D
    let kind: Kind

    /// Bytes that the work will add to the log, for a limit on their rate.
    public var relocatedBytes: Int {
        guard case .load(let records) = kind else { return 0 }
        return records.reduce(0) { $0 + Int($1.length) + SegmentAccount.directoryShare }
    }

    /// Does the work.
    public func run() -> ReclaimOutcome {
        do throws(LogStoreFailure) {
            switch kind {
            case .survey(let segment):
                guard let contents = try SegmentContents.read(segment, from: disk) else {
                    return ReclaimOutcome(kind: .unreadable)
                }
                return ReclaimOutcome(kind: .surveyed(contents))
            case .load(let records): return ReclaimOutcome(kind: .loaded(try load(records)))
            case .retire(let identity, let segment, let keep):
                return ReclaimOutcome(kind: try retire(identity, segment, keep: keep))
            }
        } catch {
            return ReclaimOutcome(kind: .failed(error))
        }
    }

    /// Those records that are intact.
    private func load(_ records: [PlacedRecord]) throws(LogStoreFailure) -> [RelocatedRecord] {
        guard let segment = records.first?.segment else { return [] }
        let name = SegmentName.name(of: segment)
        let (file, length) = try disking { () throws(DiskFailure) in
            let file = try disk.open(name)
            return (file, try disk.length(of: file))
        }
        defer { disk.close(file) }
        // One read for neighbours; the window is as long as a batch and more.
        var window = ScanWindow(disk: disk, file: file, fileLength: length)
        var loaded: [RelocatedRecord] = []
        loaded.reserveCapacity(records.count)
        for record in records {
            if record.length == 0 {
                loaded.append(RelocatedRecord(record: record, payload: Bytes()))
                continue
            }
            guard record.offset > 0, let bytes = window.bytes(at: record.offset, count: Int(record.length)),
                CRC32C.checksum(bytes) == record.checksum
            else { continue }
            loaded.append(RelocatedRecord(record: record, payload: bytes))
        }
        return loaded
    }

    private func retire(
        _ identity: StoreIdentity, _ segment: SpareSegment, keep: Bool
    ) throws(LogStoreFailure) -> ReclaimOutcome.Kind {
        try identity.write(to: disk)
        if keep { return .retired(identity, segment) }
        do throws(DiskFailure) {
            try disk.remove(SegmentName.name(of: segment.segment))
            try disk.syncDirectory()
        } catch {
            // It is listed: the next start removes it.
        }
        return .retired(identity, nil)
    }
}
