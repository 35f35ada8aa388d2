import Primitives

/// A thread that is handed one job after the other, beside the log writer, which waits for none of them.
final class JobThread<Job: Sendable>: @unchecked Sendable {
    private struct Pending: Sendable {
        var job: Job
        var notBefore: Instant
    }

    private let name: String
    private let monitor = Monitor()
    // Guarded by the monitor.
    private var pending: Pending?
    private var isUrgent = false
    private var isStopping = false
    private var thread: WorkerThread?

    /// - Parameter name: at most 15 bytes.
    init(name: String) { self.name = name }

    /// Starts the thread; `perform` is called on it.
    func start(_ perform: @escaping @Sendable (Job) -> Void) {
        thread = WorkerThread(name: name) { [self] in
            while let job = next() { perform(job) }
        }
    }

    /// Hands a job over; the one before has begun.
    func hand(_ job: Job, notBefore: Instant = .zero) {
        monitor.withLock {
            pending = Pending(job: job, notBefore: notBefore)
            monitor.signal()
        }
    }

    /// Whether the pauses within jobs are left out.
    func hurry(_ urgent: Bool) {
        monitor.withLock {
            guard urgent != isUrgent else { return }
            isUrgent = urgent
            monitor.signal()
        }
    }

    /// Whether they are left out now.
    var isHurried: Bool { monitor.withLock { isUrgent } }

    /// Waits in the middle of a job, on the thread itself.
    /// - Returns: false when the job is to be given up, because the thread is to end.
    func pause(until deadline: Instant) -> Bool {
        monitor.withLock {
            while !isStopping && !isUrgent && Instant.now < deadline { monitor.wait(until: deadline) }
            return !isStopping
        }
    }

    /// Ends the thread behind the job under way, or in its next pause. Blocks.
    func stop() {
        monitor.withLock {
            isStopping = true
            monitor.signal()
        }
        thread?.join()
        thread = nil
    }

    private func next() -> Job? {
        monitor.withLock {
            while !isStopping {
                guard let pending else {
                    monitor.wait()
                    continue
                }
                if Instant.now < pending.notBefore {
                    monitor.wait(until: pending.notBefore)
                    continue
                }
                self.pending = nil
                return pending.job
            }
            return nil
        }
    }
}
