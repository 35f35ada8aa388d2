import Primitives

/// What a step of reclamation did.
public enum ReclaimProgress: Hashable, Sendable {
    /// There is nothing worth reclaiming.
    case idle
    /// It waits until what is staged is written.
    case waiting
    /// One step is done.
    case stepped
    /// The segment's file is gone, or kept to become another segment.
    case retired(UInt32)
}

// Reclamation. All that is live in a segment is copied to the head of the log, then its file goes.
extension NodeLog {
    /// What every segment that holds frames is worth, ascending by number; the last one takes frames.
    public var segmentAccounts: [SegmentAccount] { accounts.accounts }

    /// Whether space is taken up much faster than it is given back: copies need no limit on their rate.
    public var isReclamationUrgent: Bool {
        accounts.sealedDeadBytes > max(reclamationTolerance, 2 * accounts.sealedPackedBytes)
    }

    /// Bytes that may be dead in sealed segments whatever is live.
    private var reclamationTolerance: Int { isShortOfSpace ? 0 : configuration.segmentSize }
    /// Bytes copied with one frame at most, one larger record excepted.
    private var copyLimit: Int { min(256 << 10, configuration.segmentSize / 4) }

    /// Takes note of entries that are not needed any more, at the places where they stand: truncated, dropped by a
    /// snapshot, of a group that was removed, or repaired elsewhere. Stage the record that says so first.
    public mutating func release(_ releases: [SegmentRelease]) {
        for release in releases { accounts.release(release) }
    }

    /// The copies that became durable since the last call. Whoever knows an entry at `from` knows it at `to` from now
    /// on; an entry that is not needed any more is released at `to`.
    public mutating func takeRelocations() -> [Relocation] {
        defer { durableCopies = [] }
        return durableCopies
    }

    /// The segments whose files went since the last call: descriptors of them are of no use.
    public mutating func takeRetiredSegments() -> [UInt32] {
        defer { retiredSegments = [] }
        return retiredSegments
    }

    /// Does one step of reclamation, here and now: for the simulator and for tests. Take the relocations after each
    /// frame, before the next step.
    /// - Parameter isLive: see `ReclaimJob.ask`.
    public mutating func reclaimStep(
        isLive: ([EntryLocation]) -> [Bool]
    ) throws(LogStoreFailure) -> ReclaimProgress {
        guard let job = nextReclaimJob() else { return reclaimer.isIdle ? .idle : .waiting }
        let segment = reclaimer.victim?.segment
        let outcome: ReclaimOutcome
        switch job {
        case .ask(let locations): outcome = .answers(isLive(locations))
        case .work(let work): outcome = work.run()
        }
        reclaimed(outcome)
        if let failure = outcome.failure { throw failure }
        if case .retired = outcome.kind, let segment { return .retired(segment) }
        return .stepped
    }

    /// The next job; nil when there is none now: one is under way, copies wait to be durable, or nothing is worth it.
    public mutating func nextReclaimJob() -> ReclaimJob<D>? {
        while true {
            switch reclaimer.phase {
            case .idle:
                guard let victim = accounts.victim(tolerance: reclamationTolerance) else { return nil }
                if !reclaimer.begin(victim) { return work(.survey(victim)) }
            case .examining:
                let group = reclaimer.nextGroup()
                guard !group.isEmpty else {
                    reclaimer.confirm()
                    continue
                }
                reclaimer.ask(group, active: activeSegment)
                if let job = question(group) { return job }
                examined(group, answers: [])
            case .copying:
                guard stagedCopies == nil, !isCopyUnderWay else { return nil }
                let batch = reclaimer.nextBatch(limit: copyLimit)
                if !batch.isEmpty { return work(.load(batch)) }
            case .confirming:
                let group = reclaimer.nextGroup()
                guard !group.isEmpty else {
                    reclaimer.settle(until: stagedCount)
                    continue
                }
                guard !group.contains(where: isNeeded) else {
                    giveUp()
                    continue
                }
                reclaimer.askAgain()
                if let job = question(group) { return job }
                reclaimer.goOnConfirming()
            case .settling(let count):
                guard durableCount >= count else { return nil }
                guard let job = retirement() else {
                    giveUp()
                    continue
                }
                reclaimer.retire()
                return job
            case .surveying, .asking, .loading, .askingAgain, .retiring:
                return nil
            }
        }
    }

    /// Takes what became of a job.
    public mutating func reclaimed(_ outcome: ReclaimOutcome) {
        switch (reclaimer.phase, outcome.kind) {
        case (.surveying(let segment), .surveyed(let contents)):
            if !reclaimer.surveyed(contents) { giveUp(segment) }
        case (.surveying(let segment), .unreadable), (.surveying(let segment), .failed):
            giveUp(segment)
        case (.asking(let group), .answers(let answers)):
            precondition(answers.count == group.count { $0.kind == .entries }, "an answer for each entry")
            examined(group, answers: answers)
        case (.loading, .loaded(let records)):
            reclaimer.loaded()
            if !records.isEmpty { stagedCopies = RelocationBatch(records: records, asked: reclaimer.asked) }
        case (.askingAgain, .answers(let answers)):
            // What could not be read is live still: the segment stays until it is repaired.
            if answers.contains(true) { giveUp() } else { reclaimer.goOnConfirming() }
        case (.retiring, .retired(let identity, let spare)):
            retired(identity, spare)
        case (.loading, .failed), (.retiring, .failed):
            reclaimer.end(isRetired: false)
        default:
            preconditionFailure("not the outcome of the job under way")
        }
    }

    // MARK: Steps

    private func work(_ kind: ReclaimWork<D>.Kind) -> ReclaimJob<D> { .work(ReclaimWork(disk: disk, kind: kind)) }

    private func question(_ group: [PlacedRecord]) -> ReclaimJob<D>? {
        let entries = group.filter { $0.kind == .entries }.map(\.location)
        return entries.isEmpty ? nil : .ask(entries)
    }

    private mutating func examined(_ group: [PlacedRecord], answers: [Bool]) {
        var answers = answers[...]
        let live = group.filter { record in
            record.kind == .entries ? answers.popFirst() ?? true : isNeeded(record)
        }
        reclaimer.copy(live)
    }

    func isNeeded(_ record: PlacedRecord) -> Bool {
        record.kind != .entries
            && ledger.isNeeded(record, in: record.segment, lowestOther: accounts.lowest(except: record.segment))
    }

    private mutating func giveUp(_ segment: UInt32? = nil) {
        if let segment = segment ?? reclaimer.victim?.segment { accounts.block(segment) }
        reclaimer.end(isRetired: false)
    }

    private func retirement() -> ReclaimJob<D>? {
        guard let victim = reclaimer.victim, let range = victim.retirement else { return nil }
        var identity = identity
        identity.retired.insert(range)
        let fits = victim.length == SegmentPreparation<D>.fileSize(configuration.segmentSize)
        let keep = fits && spares.count < configuration.readySegments && victim.generation < .max
        return work(
            .retire(
                identity, SpareSegment(segment: victim.segment, generation: victim.generation), keep: keep))
    }

    private mutating func retired(_ identity: StoreIdentity, _ spare: SpareSegment?) {
        self.identity = identity
        if let victim = reclaimer.victim {
            accounts.remove(victim.segment)
            retiredSegments.append(victim.segment)
        }
        reclaimer.end(isRetired: true)
        if let spare { spares.append(spare) }
        if let lowest = accounts.lowest(except: nil) { ledger.prune(lowest: lowest, accounts: &accounts) }
    }

    // MARK: Accounts

    /// Counts a durable frame.
    mutating func account(for draft: FrameDraft, in segment: UInt32, recordsOffset: Int) {
        var bytes = 0
        var count = 0
        for completion in draft.completions {
            count += completion.locations.count
            for location in completion.locations { bytes += Int(location.length) }
        }
        if count > 0 { accounts.add(segment, bytes: bytes, count: count) }
        for control in draft.controls {
            var control = control
            control.segment = segment
            ledger.add(control, accounts: &accounts)
        }
        guard !draft.copies.isEmpty else { return }
        ledger.copiesArrived(in: segment, asked: draft.copiesAsked)
        for (record, offset) in draft.copies {
            guard record.kind == .entries else {
                ledger.relocated(record, to: segment, accounts: &accounts)
                continue
            }
            accounts.add(segment, bytes: Int(record.length))
            var copy = record.location
            copy.segment = segment
            copy.offset = UInt32(recordsOffset + offset)
            durableCopies.append(Relocation(from: record.location, to: copy))
        }
    }
}
