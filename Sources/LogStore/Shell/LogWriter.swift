public import Primitives
import Synchronization

/// The writer over files.
public typealias LogWriter = DiskLogWriter<FileDisk>

/// The thread that writes the node log: takes everything that is queued, makes one write and one fdatasync of it, and
/// reports once.
public final class DiskLogWriter<D: Disk>: @unchecked Sendable {
    private let monitor = Monitor()
    // Guarded by the monitor.
    private var queue: [Submission] = []
    private var queuedBytes = 0
    private var oldestQueued = Instant.zero
    /// The writer sleeps and wants to be woken at so many queued bytes.
    private var wakeBytes = Int.max
    private var outcome: SegmentPreparer<D>.Outcome?
    private var releases: [SegmentRelease] = []
    private var releasedBytes = 0
    private var reclaimOutcome: ReclaimOutcome?
    private var scrubTurn: ScrubTurn?
    private var isStopping = false
    private var hasEnded = false

    // The writer thread's own.
    private var log: NodeLog<D>
    private var pacer = SyncPacer()
    private var lastWrite = Instant.zero
    private var nextPreparation = Instant.zero
    /// The write that met a full disk: nothing was acknowledged, so it is made again, at the same place.
    private var blocked: FrameWrite<D.File>?
    /// When the log, which waits for space, is tried again; nil when it does not wait.
    private var retryAt: Instant?
    /// The last attempt to make a segment ready met a full disk.
    private var lacksSegments = false
    private var space = LogSpace.sufficient
    private let onCompletion: @Sendable ([LogCompletion]) -> Void
    private let onFailure: @Sendable (LogStoreFailure) -> Void
    private let onSpaceChange: @Sendable (LogSpace) -> Void

    private let preparer = SegmentPreparer<D>()
    /// Reads for reclamation, and removes what it has emptied.
    private let reclaimWorker = JobThread<ReclaimWork<D>>(name: "log reclaimer")
    /// The writer thread's own; nil when nobody says what is live, and so nothing is reclaimed.
    private var reclaim: ReclaimPump<D>?
    private let scrubThread = JobThread<ScrubJob?>(name: "log scrubber")
    /// The writer thread's own; nil when nothing is scrubbed.
    private var scrub: ScrubPump<D>?
    private var thread: WorkerThread?
    /// When the write under way began, in monotonic nanoseconds; 0 when there is none.
    private let writeBegan = Atomic<UInt64>(0)
    private let syncs = Atomic<UInt64>(0)
    private let bytes = Atomic<UInt64>(0)
    private let scrubbed = Mutex(ScrubTotals())

    /// After a segment could not be prepared, it is tried again after this.
    private static var preparationRetry: Interval { .seconds(1) }
    /// A write that met a full disk is made again after this.
    private static var spaceRetry: Interval { .milliseconds(20) }
    /// Released bytes for which an idle writer is woken.
    private static var enoughReleased: Int { 1 << 20 }

    /// Starts the thread.
    /// - Parameters:
    ///   - onCompletion: called on the writer thread, once for each sync, with all submissions that it made durable.
    ///   - onFailure: called on the writer thread, once: a write or sync failed, nothing more will be written, and what
    ///     was submitted and not completed may or may not be on the disk. The node must end. A full disk is no failure:
    ///     the writer waits.
    ///   - isLive: called on the writer thread, behind the completions so far, one call at a time: which of these
    ///     entries are needed at these places? The answer may be given later, from any thread, but not before the
    ///     records that made the others dead were submitted; see `ReclaimJob.ask`. Without it nothing is reclaimed.
    ///   - onRelocation: called on the writer thread: these copies are durable. An entry that is known at `from` is at
    ///     `to` from now on; one that is not needed any more is to be released at `to`. Whoever is asked `isLive`
    ///     afterwards has taken note.
    ///   - onRetirement: called on the writer thread: the files of these segments are gone; for `LogReader.forget`.
    ///   - onSpaceChange: called on the writer thread when the log begins or ceases to lack space. While it waits for
    ///     some, `oldestUnfinishedSync` grows.
    ///   - relocationRate: bytes a second that reclamation copies, unless space runs away.
    ///   - scrub: how cold segments are read in the background.
    ///   - onScrub: called on the writer thread, behind the completions so far, for each segment in which the scrub
    ///     found
    ///     something wrong.
    public init(
        log: NodeLog<D>, onCompletion: @escaping @Sendable ([LogCompletion]) -> Void,
        onFailure: @escaping @Sendable (LogStoreFailure) -> Void,
        isLive: (@Sendable ([EntryLocation], @escaping @Sendable ([Bool]) -> Void) -> Void)? = nil,
        onRelocation: @escaping @Sendable ([Relocation]) -> Void = { _ in },
        onRetirement: @escaping @Sendable ([UInt32]) -> Void = { _ in },
        onSpaceChange: @escaping @Sendable (LogSpace) -> Void = { _ in }, relocationRate: Int = 32 << 20,
        scrub: ScrubConfiguration? = nil, onScrub: @escaping @Sendable (ScrubReport) -> Void = { _ in }
    ) {
        self.log = log
        self.onCompletion = onCompletion
        self.onFailure = onFailure
        self.onSpaceChange = onSpaceChange
        preparer.start(written: { [weak self] in self?.totals.bytes ?? 0 }) { [weak self] in self?.segmentPrepared($0) }
        if let isLive {
            let hooks = ReclaimHooks(isLive: isLive, onRelocation: onRelocation, onRetirement: onRetirement)
            let deliver: @Sendable (ReclaimOutcome) -> Void = { [weak self] in self?.reclaimed($0) }
            reclaim = ReclaimPump(hooks: hooks, worker: reclaimWorker, rate: relocationRate, deliver: deliver)
            reclaimWorker.start { deliver($0.run()) }
        }
        if let scrub, scrub.interval > .zero {
            self.scrub = ScrubPump(scrub, disk: log.disk, thread: scrubThread, report: onScrub) { [weak self] turn in
                self?.scrubTook(turn)
            }
        }
        thread = WorkerThread(name: "log writer") { [self] in
            // The compiler makes code for files only where it is told that they are files.
            if let writer = self as? LogWriter { writer.run() } else { run() }
        }
    }

    /// Queues records, from any thread; see `NodeLog.stage`. After a failure or `shutdown` they are dropped without a
    /// completion.
    public func submit(_ records: [LogRecord], ticket: UInt64) {
        let submission = Submission(ticket: ticket, records: records)
        let isEnough = monitor.withLock {
            guard !isStopping && !hasEnded else { return false }
            if queue.isEmpty { oldestQueued = .now }
            queue.append(submission)
            queuedBytes += submission.byteCount + 1
            guard queuedBytes >= wakeBytes else { return false }
            wakeBytes = .max
            return true
        }
        // Behind the lock, which the writer would only wait for.
        if isEnough { monitor.signal() }
    }

    /// Takes note, from any thread, of entries that are not needed any more; see `NodeLog.release`.
    public func release(_ releases: [SegmentRelease]) {
        guard !releases.isEmpty else { return }
        monitor.withLock {
            guard !isStopping && !hasEnded else { return }
            self.releases += releases
            for release in releases { releasedBytes += release.bytes }
            if releasedBytes >= DiskLogWriter.enoughReleased { wake() }
        }
    }

    /// How long the write and sync under way has taken; zero when there is none. For heartbeats, from any thread.
    public func oldestUnfinishedSync(at now: Instant) -> Interval {
        let began = writeBegan.load(ordering: .relaxed)
        return began == 0 ? .zero : now - Instant(nanoseconds: began)
    }

    /// Syncs made so far, and bytes written; for metrics.
    public var totals: (syncs: UInt64, bytes: UInt64) {
        (syncs.load(ordering: .relaxed), bytes.load(ordering: .relaxed))
    }

    /// What the scrub has done so far; for metrics.
    public var scrubTotals: ScrubTotals { scrubbed.withLock { $0 } }

    /// Writes what is queued and the mark of an orderly stop, then ends the threads. What waits for space is tried once
    /// more and then dropped. Blocks; not from a callback.
    public func shutdown() {
        monitor.withLock {
            isStopping = true
            wake()
        }
        thread?.join()
        thread = nil
    }

    /// The caller holds the lock.
    private func wake() {
        wakeBytes = .max
        monitor.signal()
    }

    private func segmentPrepared(_ outcome: SegmentPreparer<D>.Outcome) {
        monitor.withLock {
            self.outcome = outcome
            wake()
        }
    }

    private func reclaimed(_ outcome: ReclaimOutcome) {
        monitor.withLock {
            reclaimOutcome = outcome
            wake()
        }
    }

    private func scrubTook(_ turn: ScrubTurn) {
        monitor.withLock {
            scrubTurn = turn
            wake()
        }
    }

    // MARK: The thread

    private struct Round {
        var submissions: [Submission] = []
        var oldest = Instant.zero
        var outcome: SegmentPreparer<D>.Outcome?
        var releases: [SegmentRelease] = []
        var reclaimOutcome: ReclaimOutcome?
        var scrubTurn: ScrubTurn?
        var isAttestationDue = false
        var isLast = false
    }

    private func run() {
        do throws(LogStoreFailure) {
            takeOver(Round())
            while true {
                let round = nextRound()
                takeOver(round)
                try writeAll(oldest: round.submissions.isEmpty ? nil : round.oldest)
                noteSpace()
                if round.isLast { break }
                reclaim?.go(&log)
            }
        } catch {
            monitor.withLock {
                hasEnded = true
                queue = []
            }
            onFailure(error)
        }
        preparer.stop()
        reclaimWorker.stop()
        scrubThread.stop()
        log.close()
    }

    private func takeOver(_ round: Round) {
        for submission in round.submissions { log.stage(submission) }
        if !round.releases.isEmpty { log.release(round.releases) }
        // Behind the submissions: what made an entry dead was submitted before the answer that it is.
        if let outcome = round.reclaimOutcome { reclaim?.finished(outcome, &log) }
        if let turn = round.scrubTurn { take(turn) }
        switch round.outcome {
        case .ready(let segment):
            log.prepared(segment)
            lacksSegments = false
        case .failed(let failure, let spare):
            log.preparationFailed(spare)
            lacksSegments = failure.isOutOfSpace
            nextPreparation = .now + DiskLogWriter.preparationRetry
        case nil: break
        }
        if round.isAttestationDue || round.isLast { log.stageAttestation(cleanStop: round.isLast) }
        if Instant.now >= nextPreparation, let preparation = log.beginPreparation() { preparer.prepare(preparation) }
        preparer.hurry(log.isShortOfSegments)
    }

    private func take(_ turn: ScrubTurn) {
        guard var pump = scrub else { return }
        pump.took(turn, &log)
        scrub = pump
        scrubbed.withLock { $0 = pump.totals }
    }

    /// Writes until nothing is left, or the disk is full.
    private func writeAll(oldest: Instant?) throws(LogStoreFailure) {
        retryAt = nil
        while let write = try nextWrite() {
            noteBegin()
            guard try put(write) else { return }
            try disking { () throws(DiskFailure) in try log.disk.sync(write.file) }
            writeBegan.store(0, ordering: .relaxed)
            syncs.add(1, ordering: .relaxed)
            bytes.add(UInt64(write.byteCount), ordering: .relaxed)
            lastWrite = .now
            if let oldest { pacer.synced(at: lastWrite, latency: lastWrite - oldest) }
            let completions = log.frameDurable(write)
            if !completions.isEmpty { onCompletion(completions) }
            reclaim?.report(&log)
        }
    }

    private func nextWrite() throws(LogStoreFailure) -> FrameWrite<D.File>? {
        if let blocked { return blocked }
        do throws(LogStoreFailure) {
            return try log.prepareFrame()
        } catch {
            guard error.isOutOfSpace else { throw error }
            noteBegin()
            retryAt = .now + DiskLogWriter.spaceRetry
            return nil
        }
    }

    /// Returns false when the disk is full.
    private func put(_ write: FrameWrite<D.File>) throws(LogStoreFailure) -> Bool {
        do throws(DiskFailure) {
            try log.disk.write(write.file, at: write.offset, write.parts)
            blocked = nil
            return true
        } catch {
            guard error.isOutOfSpace else { throw .disk(error) }
            blocked = write
            retryAt = .now + DiskLogWriter.spaceRetry
            return false
        }
    }

    /// The age of a write counts from its first attempt.
    private func noteBegin() {
        guard writeBegan.load(ordering: .relaxed) == 0 else { return }
        writeBegan.store(Instant.now.nanoseconds, ordering: .relaxed)
    }

    private func noteSpace() {
        let found: LogSpace = retryAt != nil ? .exhausted : lacksSegments ? .short : .sufficient
        guard found != space else { return }
        space = found
        log.isShortOfSpace = found != .sufficient
        onSpaceChange(found)
    }

    /// Whether there is something to do now. While the log waits for space, submissions wait with it.
    private var isRoundDue: Bool {
        (!queue.isEmpty && retryAt == nil) || outcome != nil || reclaimOutcome != nil || scrubTurn != nil || isStopping
            || releasedBytes >= DiskLogWriter.enoughReleased
    }

    /// When there is something to do although nothing arrives.
    private var nextDeadline: Instant? {
        var deadline = min(retryAt ?? .distantFuture, reclaim?.retryAt ?? .distantFuture)
        if log.needsAttestation { deadline = min(deadline, lastWrite + LogConfiguration.attestationDelay) }
        if log.lacksReadySegment { deadline = min(deadline, nextPreparation) }
        return deadline < .distantFuture ? deadline : nil
    }

    /// Sleeps until there is something to do, and takes all of it.
    private func nextRound() -> Round {
        monitor.lock()
        defer { monitor.unlock() }
        var round = Round()
        let deadline = nextDeadline
        while !isRoundDue {
            let now = Instant.now
            if let deadline, now >= deadline {
                round.isAttestationDue = log.needsAttestation && now >= lastWrite + LogConfiguration.attestationDelay
                break
            }
            sleep(untilBytes: retryAt == nil ? 1 : .max, deadline: deadline)
        }
        if !queue.isEmpty {
            waitForMore()
            pacer.took(submissions: queue.count)
        }
        round.submissions = queue
        round.oldest = oldestQueued
        round.outcome = outcome
        round.releases = releases
        round.reclaimOutcome = reclaimOutcome
        round.scrubTurn = scrubTurn
        round.isLast = isStopping
        queue = []
        queuedBytes = 0
        outcome = nil
        releases = []
        releasedBytes = 0
        reclaimOutcome = nil
        scrubTurn = nil
        wakeBytes = .max
        return round
    }

    private func waitForMore() {
        var now = Instant.now
        let deadline = now + pacer.wait(at: now, bytes: queuedBytes)
        while now < deadline && queuedBytes < SyncPacer.enoughBytes && !isStopping {
            sleep(untilBytes: SyncPacer.enoughBytes, deadline: deadline)
            now = .now
        }
    }

    private func sleep(untilBytes count: Int, deadline: Instant?) {
        wakeBytes = count
        if let deadline { monitor.wait(until: deadline) } else { monitor.wait() }
        wakeBytes = .max
    }
}
