import NIOCore
import Primitives
import Synchronization

/// Notices an event loop that hangs: asks it for a turn now and then and measures how long the answer takes.
///
/// A loop without work gets one empty turn per period.
struct LoopWatch {
    private static let period = Interval.milliseconds(100)

    /// The number of the last question answered, written by the loop.
    private final class Answer: Sendable {
        let number = Atomic<UInt64>(0)
    }

    private let eventLoop: any EventLoop
    private let answer = Answer()
    private var asked: UInt64 = 0
    private var askedAt = Instant.zero

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// How long the loop owes an answer; zero when it does not. Asks again when it is time.
    mutating func age(now: Instant) -> Interval {
        let answered = answer.number.load(ordering: .relaxed)
        if answered != asked { return now - askedAt }
        if now - askedAt >= LoopWatch.period {
            asked += 1
            askedAt = now
            let answer = answer
            let number = asked
            eventLoop.execute { answer.number.store(number, ordering: .relaxed) }
        }
        return .zero
    }
}
