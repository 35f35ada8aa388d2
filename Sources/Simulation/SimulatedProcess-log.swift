import LogStore
import PeerLink
import Primitives
import QueueClient
import Replication
import Topology

// The node log of a simulated process: production's core; a crash may come between its writes and syncs.
extension SimulatedProcess {
    func submit(_ records: [LogRecord], ticket: UInt64) {
        var records = records
        if simulation.plant == .voteNotPersisted {
            records.removeAll { if case .hardState = $0 { true } else { false } }
        }
        log.stage(records, ticket: ticket)
        if simulation.plant == .ackBeforeFsync {
            loop(after: .microseconds(1)) { [unowned self] in
                completed([LogCompletion(ticket: ticket, locations: [])])
            }
        }
        wakeWriter()
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
        let frame: FrameWrite<VirtualDisk.File>?
        do throws(LogStoreFailure) {
            frame = try log.prepareFrame()
        } catch {
            return simulation.fail("log store", "\(node): \(error)")
        }
        guard let frame else { return attest() }
        isWriting = true
        writeBegan = now
        thread(after: scaled(simulation.plan.write)) { [unowned self] in
            do throws(DiskFailure) {
                try disk.write(frame.file, at: frame.offset, frame.parts)
            } catch {
                return simulation.fail("log store", "\(node): \(error)")
            }
            thread(after: scaled(simulation.plan.sync)) { [unowned self] in synced(frame) }
        }
    }

    func synced(_ frame: FrameWrite<VirtualDisk.File>) {
        do throws(DiskFailure) { try disk.sync(frame.file) } catch {
            return simulation.fail("log store", "\(node): \(error)")
        }
        simulation.trace.note(node, "synced", UInt64(frame.segment), UInt64(frame.offset))
        isWriting = false
        writeBegan = nil
        lastWrite = now
        let completions = log.frameDurable(frame)
        if !completions.isEmpty {
            loop(after: .microseconds(5)) { [unowned self] in completed(completions) }
        }
        if let preparation = log.beginPreparation() { prepare(preparation) }
        write()
    }

    func scaled(_ time: Interval) -> Interval {
        let spread = time.nanoseconds / 2 + random.next(below: time.nanoseconds)
        // Now and then a device takes a hundred times as long.
        let long = spread * diskSlowness * (random.oneIn(2_000) ? 100 : 1)
        return Interval(nanoseconds: min(long, 3_000_000_000))
    }

    func completed(_ completions: [LogCompletion]) {
        shard.logCompleted(completions, now: now)
        if !isFlushScheduled { flush() }
    }

    func attest() {
        guard log.needsAttestation else { return }
        let last = lastWrite
        thread(after: LogConfiguration.attestationDelay) { [unowned self] in
            guard lastWrite == last, !isWriting, log.needsAttestation else { return }
            log.stageAttestation()
            write()
        }
    }

    func prepare(_ preparation: SegmentPreparation<VirtualDisk>) {
        var preparation = preparation
        thread(after: .milliseconds(2)) { [unowned self] in
            do throws(DiskFailure) {
                if let segment = try preparation.step() {
                    log.prepared(segment)
                    if let next = log.beginPreparation() { prepare(next) }
                    wakeWriter()
                } else {
                    prepare(preparation)
                }
            } catch {
                simulation.fail("log store", "\(node): \(error)")
            }
        }
    }

    func read(_ request: ReadRequest) {
        thread(after: scaled(.microseconds(100))) { [unowned self] in
            let results = reader.read(request.locations)
            loop(after: .microseconds(5)) { [unowned self] in
                var entries: [Entry] = []
                for result in results {
                    switch result {
                    case .success(let entry): entries.append(entry)
                    case .failure(let failure):
                        return simulation.fail("log store", "\(node) cannot read: \(failure)")
                    }
                }
                shard.readCompleted(request.id, .success(entries), now: now)
                setNeedsFlush()
            }
        }
    }

    /// An entry, for the checker, which knows no latency.
    func entry(of group: GroupID, at index: LogIndex) -> Entry? {
        if let entry = shard.entryInMemory(of: group, at: index) { return entry }
        guard let location = shard.location(of: group, at: index) else { return nil }
        return try? reader.read(location)
    }
}
