import CPlatform
import Glibc
import Primitives

/// A mutex and one condition, with waits against the monotonic clock.
final class Monitor: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init() {
        mutex.initialize(to: pthread_mutex_t())
        condition.initialize(to: pthread_cond_t())
        var attributes = pthread_condattr_t()
        var result = pthread_condattr_init(&attributes)
        result |= pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        result |= pthread_cond_init(condition, &attributes)
        result |= pthread_condattr_destroy(&attributes)
        result |= pthread_mutex_init(mutex, nil)
        precondition(result == 0, "no monitor")
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    func lock() {
        let result = pthread_mutex_lock(mutex)
        precondition(result == 0)
    }

    func unlock() {
        let result = pthread_mutex_unlock(mutex)
        precondition(result == 0)
    }

    func withLock<R>(_ body: () -> R) -> R {
        lock()
        defer { unlock() }
        return body()
    }

    /// Waits for a signal; the caller holds the lock and checks its condition again.
    func wait() { pthread_cond_wait(condition, mutex) }

    /// The same, until `deadline` at the latest.
    func wait(until deadline: Instant) {
        var time = timespec(
            tv_sec: Int(deadline.nanoseconds / 1_000_000_000), tv_nsec: Int(deadline.nanoseconds % 1_000_000_000))
        pthread_cond_timedwait(condition, mutex, &time)
    }

    /// Wakes the one thread that waits.
    func signal() { pthread_cond_signal(condition) }
}

/// A thread of its own that runs `body` once.
final class WorkerThread: @unchecked Sendable {
    private var thread = pthread_t()

    private final class Start {
        let name: String
        let body: @Sendable () -> Void
        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    /// - Parameter name: at most 15 bytes.
    init(name: String, body: @escaping @Sendable () -> Void) {
        let start = Unmanaged.passRetained(Start(name: name, body: body))
        let result = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                warren_set_thread_name(start.name)
                // Waits of a few hundred microseconds must not end 50 µs late.
                warren_set_timer_slack(1_000)
                start.body()
                return nil
            }, start.toOpaque())
        precondition(result == 0, "no thread")
    }

    /// Waits until the thread has ended; once, and from another thread.
    func join() { pthread_join(thread, nil) }
}

extension Instant {
    /// The monotonic clock.
    static var now: Instant { Instant(nanoseconds: warren_monotonic_nanoseconds()) }
}
