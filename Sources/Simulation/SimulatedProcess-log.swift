import LogStore
import PeerLink
import Primitives
import QueueClient
import QuorumQueue
import Replication
import Topology

// The node log of a simulated process: production's core; a crash may come between its writes and syncs.
extension SimulatedProcess {
    func submit(_ records: [LogRecord], ticket: UInt64) {
        var records = records
        if simulation.plant == .voteNotPersisted {
            records.removeAll { if case .hardState = $0 { true } else { false } }
        }
        if simulation.plant == .termNotPersisted {
            records.removeAll { if case .hardState(_, _, nil) = $0 { true } else { false } }
        }
        records = records.map { planted($0) }
        log.stage(records, ticket: ticket)
        if simulation.plant == .ackBeforeFsync {
            loop(after: .microseconds(1)) { [unowned self] in
                completed([LogCompletion(ticket: ticket, locations: [])])
            }
        }
        wakeWriter()
    }

    /// The record as a planted bug makes it.
    private func planted(_ record: LogRecord) -> LogRecord {
        switch (simulation.plant, record) {
        case (.snapshotForgetsSessions, .snapshotChunk(var chunk)),
            (.snapshotForgetsDeliveries, .snapshotChunk(var chunk)):
            guard let state = try? LZ4Frame.decompress(chunk.bytes, limit: 1 << 30),
                var machine = try? QueueMachine(snapshot: state, settings: QueueSettings())
            else { return record }
            if simulation.plant == .snapshotForgetsSessions {
                machine.forgetSessions()
            } else {
                machine.forgetDeliveries()
            }
            var writer = ByteWriter()
            machine.encodeSnapshot(into: &writer)
            chunk.bytes = LZ4Frame.compress(writer.take())
            plantedSizes[chunk.group] = chunk.bytes.count
            return .snapshotChunk(chunk)
        case (.snapshotForgetsSessions, .snapshotCurrent(var mark)),
            (.snapshotForgetsDeliveries, .snapshotCurrent(var mark)):
            mark.byteCount = plantedSizes.removeValue(forKey: mark.group) ?? mark.byteCount
            return .snapshotCurrent(mark)
        case (.liveEntryDropped, .snapshotCurrent(var mark)):
            guard let last = mark.live.popLast() else { return record }
            if last.lowerBound < last.upperBound { mark.live.append(last.lowerBound...(last.upperBound - 1)) }
            return .snapshotCurrent(mark)
        default: return record
        }
    }

    func wakeWriter() {
        guard !isWriting, !isWriterAwake else { return }
        isWriterAwake = true
        thread(after: .microseconds(5 + random.next(below: 20))) { [unowned self] in
            isWriterAwake = false
            write()
        }
    }

    /// One round of the log writer: write, then fdatasync, each a step that a crash can come between.
    func write() {
        guard !isWriting else { return }
        isWriting = true
        nextFrame()
    }

    private func nextFrame() {
        let frame: FrameWrite<VirtualDisk.File>?
        let failedSyncs = disk.failedSyncs
        do throws(LogStoreFailure) {
            frame = try log.prepareFrame()
        } catch {
            if disk.failedSyncs > failedSyncs { return simulation.syncFailed(node) }
            guard error.isOutOfSpace else { return failed("\(error)") }
            return waitForSpace { [unowned self] in nextFrame() }
        }
        guard let frame else {
            isWriting = false
            writeBegan = nil
            return attest()
        }
        if writeBegan == nil { writeBegan = now }
        thread(after: scaled(simulation.plan.write)) { [unowned self] in put(frame) }
    }

    private func put(_ frame: FrameWrite<VirtualDisk.File>) {
        let misdirected = misdirection(of: frame)
        do throws(DiskFailure) {
            try disk.write(frame.file, at: frame.offset, frame.parts)
        } catch {
            guard error.isOutOfSpace else { return failed("\(error)") }
            return waitForSpace { [unowned self] in put(frame) }
        }
        thread(after: scaled(simulation.plan.sync)) { [unowned self] in synced(frame, misdirected) }
    }

    /// A full disk holds the log up; its age counts from the first attempt.
    private func waitForSpace(_ again: @escaping () -> Void) {
        simulation.coverage.add(.fullDisk)
        if writeBegan == nil { writeBegan = now }
        log.isShortOfSpace = true
        thread(after: .milliseconds(20), again)
    }

    /// What it takes to make the write one that went elsewhere, if that is its fate.
    private func misdirection(of frame: FrameWrite<VirtualDisk.File>) -> Simulation.Misdirection? {
        let odds = simulation.plan.misdirection
        guard odds > 0, simulation.hasFaults, node == simulation.damagedNode, random.oneIn(odds) else { return nil }
        let range = frame.offset..<frame.offset + frame.byteCount
        guard frame.content != .footer, range.upperBound <= disk.count(of: frame.file) else { return nil }
        return Simulation.Misdirection(
            file: frame.file, segment: frame.segment, range: range, before: disk.contents(frame.file, range))
    }

    /// The fdatasync of a write has returned.
    private func sync(_ frame: FrameWrite<VirtualDisk.File>) throws(DiskFailure) {
        if simulation.plant == .relocationBeforeFsync && frame.content == .copies { return }
        do throws(DiskFailure) {
            try disk.sync(frame.file)
        } catch {
            guard simulation.plant == .failedSyncRetried, !disk.isOff else { throw error }
            try disk.sync(frame.file)
            simulation.losePower(node)
        }
    }

    func synced(_ frame: FrameWrite<VirtualDisk.File>, _ misdirected: Simulation.Misdirection?) {
        do throws(DiskFailure) {
            try sync(frame)
        } catch {
            if disk.isOff { return }
            return simulation.syncFailed(node)
        }
        let range = frame.offset..<frame.offset + frame.byteCount
        simulation.setAtlas(of: node) {
            $0.synced(range, of: frame.segment, isFooter: frame.content == .footer)
        }
        if let misdirection {
            simulation.misdirect(misdirection, next: misdirection.segment == frame.segment ? range : nil, of: node)
        }
        misdirection = misdirected
        if simulation.plant == .footerBeforeData {
            if frame.content == .footer, let last = lastFrame { disk.unsync(frame.file, last) }
            lastFrame = frame.offset..<frame.offset + frame.byteCount
        }
        simulation.trace.note(node, "synced", UInt64(frame.segment), UInt64(frame.offset))
        isWriting = false
        writeBegan = nil
        lastWrite = now
        log.isShortOfSpace = lacksSegments
        let completions = log.frameDurable(frame)
        for completion in completions { simulation.checker.synced(completion.ticket, at: node) }
        let relocations = log.takeRelocations()
        if !completions.isEmpty || !relocations.isEmpty {
            loop(after: .microseconds(5)) { [unowned self] in
                completed(completions)
                guard !relocations.isEmpty else { return }
                shard.relocated(relocations, now: now)
                setNeedsFlush()
            }
        }
        beginPreparation()
        write()
    }

    /// A step of reclamation, and the next one after a while.
    func reclaim() {
        // What is dead in the shard must be dead by the log's records, too.
        flush()
        let progress: ReclaimProgress
        let failedSyncs = disk.failedSyncs
        let readErrors = disk.readErrors
        do throws(LogStoreFailure) {
            progress = try log.reclaimStep { shard.isLive($0) }
        } catch {
            // It is tried again, as production does; only a device that fails or is full is a reason.
            guard error.isOutOfSpace || disk.failedSyncs > failedSyncs || disk.readErrors > readErrors else {
                return failed("cannot reclaim: \(error)")
            }
            return loop(after: .seconds(1)) { [unowned self] in reclaim() }
        }
        for segment in log.takeRetiredSegments() { reader.forget(segment) }
        wakeWriter()
        let pause: Interval
        switch progress {
        case .idle: pause = .milliseconds(40)
        case .waiting: pause = .milliseconds(1)
        case .stepped: pause = .microseconds(50 + random.next(below: 500))
        case .retired(let segment):
            simulation.trace.note(node, "retired", UInt64(segment), 0)
            simulation.setAtlas(of: node) { $0.retired(segment) }
            simulation.segmentsRetired += 1
            pause = .milliseconds(1)
        }
        loop(after: pause) { [unowned self] in reclaim() }
    }

    /// The log store met what it should not, unless that is the end of its machine.
    private func failed(_ detail: String) {
        if !disk.isOff { simulation.fail("log store", "\(node): \(detail)") }
    }

    func scaled(_ time: Interval) -> Interval {
        let spread = time.nanoseconds / 2 + random.next(below: time.nanoseconds)
        // Now and then a device takes a hundred times as long.
        let long = spread * diskSlowness * (random.oneIn(2_000) ? 100 : 1)
        let stall = diskStalledUntil > now ? diskStalledUntil - now : .zero
        if long > 50_000_000 { simulation.disturbed(node, until: now + Interval(nanoseconds: long)) }
        let time = Interval(nanoseconds: min(long, 3_000_000_000)) + stall
        if simulation.hasFaults { diskBusyUntil = max(diskBusyUntil, now + time) }
        return time
    }

    func completed(_ completions: [LogCompletion]) {
        shard.logCompleted(completions, now: now)
        if !isFlushScheduled { flush() }
    }

    func attest() {
        guard log.needsAttestation, !isAttestationDue else { return }
        isAttestationDue = true
        attest(after: LogConfiguration.attestationDelay)
    }

    private func attest(after delay: Interval) {
        thread(after: delay) { [unowned self] in
            guard !isWriting, log.needsAttestation else { return isAttestationDue = false }
            let due = lastWrite + LogConfiguration.attestationDelay
            guard now >= due else { return attest(after: due - now) }
            isAttestationDue = false
            log.stageAttestation()
            write()
        }
    }

    func beginPreparation() {
        if now >= nextPreparation, let preparation = log.beginPreparation() { prepare(preparation) }
    }

    private func prepare(_ preparation: SegmentPreparation<VirtualDisk>) {
        var preparation = preparation
        thread(after: .milliseconds(2)) { [unowned self] in
            let failedSyncs = disk.failedSyncs
            do throws(DiskFailure) {
                if let segment = try preparation.step() {
                    log.prepared(segment)
                    setLacksSegments(false)
                    beginPreparation()
                    wakeWriter()
                } else {
                    prepare(preparation)
                }
            } catch {
                guard disk.failedSyncs > failedSyncs || error.isOutOfSpace else {
                    return failed("\(error)")
                }
                log.preparationFailed(preparation.abandon(after: error))
                setLacksSegments(error.isOutOfSpace)
                nextPreparation = now + .seconds(1)
                thread(after: .seconds(1)) { [unowned self] in beginPreparation() }
            }
        }
    }

    private func setLacksSegments(_ isLacking: Bool) {
        if isLacking { simulation.coverage.add(.refusedSegment) }
        lacksSegments = isLacking
        log.isShortOfSpace = isLacking
    }

    func read(_ request: ReadRequest) {
        thread(after: scaled(.microseconds(100))) { [unowned self] in
            let results = reader.read(request.locations)
            loop(after: .microseconds(5)) { [unowned self] in
                var entries: [Entry] = []
                var failure: EntryReadFailure?
                for (location, result) in zip(request.locations, results) where failure == nil {
                    switch result {
                    case .success(let entry): entries.append(entry)
                    case .failure(let reason):
                        failure = reason
                        // An entry that was needed no more, or moved, may have been overwritten meanwhile.
                        guard shard.isLive([location]) == [true], !simulation.suspects.contains(node) else { continue }
                        return failed("cannot read: \(reason)")
                    }
                }
                let result: Result<[Entry], EntryReadFailure> =
                    if let failure, entries.isEmpty { .failure(failure) } else { .success(entries) }
                shard.readCompleted(request.id, result, now: now)
                setNeedsFlush()
            }
        }
    }

    func perform(_ work: SnapshotWork) {
        thread(after: .microseconds(100 + random.next(below: 5_000))) { [unowned self] in
            let result = work.run()
            loop(after: .microseconds(5)) { [unowned self] in
                shard.snapshotWorked(work.id, result, now: now)
                setNeedsFlush()
            }
        }
    }
}
