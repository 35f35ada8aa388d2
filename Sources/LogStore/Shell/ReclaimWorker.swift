import Primitives

/// A thread that reads for reclamation, and removes what it has emptied, so that the log writer waits for neither.
final class ReclaimWorker<D: Disk>: @unchecked Sendable {
    private struct Job: Sendable {
        var work: ReclaimWork<D>
        var notBefore: Instant
    }

    private let monitor = Monitor()
    // Guarded by the monitor.
    private var job: Job?
    private var isStopping = false
    private var thread: WorkerThread?

    init() {}

    /// Starts the thread; `deliver` is called on it.
    func start(deliver: @escaping @Sendable (ReclaimOutcome) -> Void) {
        thread = WorkerThread(name: "log reclaimer") { [self] in
            while let work = next() { deliver(work.run()) }
        }
    }

    /// One at a time.
    func perform(_ work: ReclaimWork<D>, notBefore: Instant) {
        monitor.withLock {
            job = Job(work: work, notBefore: notBefore)
            monitor.signal()
        }
    }

    /// Ends the thread behind the work under way.
    func stop() {
        monitor.withLock {
            isStopping = true
            monitor.signal()
        }
        thread?.join()
    }

    private func next() -> ReclaimWork<D>? {
        monitor.withLock {
            while !isStopping {
                guard let job else {
                    monitor.wait()
                    continue
                }
                if Instant.now < job.notBefore {
                    monitor.wait(until: job.notBefore)
                    continue
                }
                self.job = nil
                return job.work
            }
            return nil
        }
    }
}
