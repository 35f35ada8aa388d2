import Primitives

/// What reclamation asks of the owners of the entries, and tells them.
struct ReclaimHooks: Sendable {
    var isLive: @Sendable ([EntryLocation], @escaping @Sendable ([Bool]) -> Void) -> Void
    var onRelocation: @Sendable ([Relocation]) -> Void
    var onRetirement: @Sendable ([UInt32]) -> Void
}

/// Drives reclamation from the log writer's thread: hands out one job at a time and holds to the rate.
struct ReclaimPump<D: Disk> {
    private let hooks: ReclaimHooks
    private let worker: JobThread<ReclaimWork<D>>
    private let deliver: @Sendable (ReclaimOutcome) -> Void
    /// Bytes a second.
    private let rate: Int
    private var isBusy = false
    private var nextCopy = Instant.zero
    /// When work begins again after a failure.
    private(set) var retryAt: Instant?

    /// After a failure, work begins again after this.
    private static var retry: Interval { .seconds(1) }

    init(
        hooks: ReclaimHooks, worker: JobThread<ReclaimWork<D>>, rate: Int,
        deliver: @escaping @Sendable (ReclaimOutcome) -> Void
    ) {
        self.hooks = hooks
        self.worker = worker
        self.deliver = deliver
        self.rate = max(rate, 1)
    }

    /// Takes what became of the job.
    mutating func finished(_ outcome: ReclaimOutcome, _ log: inout NodeLog<D>) {
        isBusy = false
        if outcome.failure != nil { retryAt = .now + ReclaimPump.retry }
        log.reclaimed(outcome)
        let retired = log.takeRetiredSegments()
        if !retired.isEmpty { hooks.onRetirement(retired) }
    }

    /// Reports the copies of a frame that became durable.
    func report(_ log: inout NodeLog<D>) {
        let relocations = log.takeRelocations()
        if !relocations.isEmpty { hooks.onRelocation(relocations) }
    }

    /// Hands out the next job, if there is one.
    mutating func go(_ log: inout NodeLog<D>) {
        guard !isBusy else { return }
        let now = Instant.now
        if let retryAt, now < retryAt { return }
        retryAt = nil
        guard let job = log.nextReclaimJob() else { return }
        isBusy = true
        switch job {
        case .ask(let locations):
            let deliver = deliver
            hooks.isLive(locations) { deliver(.answers($0)) }
        case .work(let work): worker.hand(work, notBefore: admission(of: work.relocatedBytes, now, log))
        }
    }

    private mutating func admission(of bytes: Int, _ now: Instant, _ log: NodeLog<D>) -> Instant {
        guard bytes > 0, !log.isReclamationUrgent else { return now }
        let begin = max(now, nextCopy)
        nextCopy = begin + Interval(nanoseconds: UInt64(bytes) * 1_000_000_000 / UInt64(rate))
        return begin
    }
}
