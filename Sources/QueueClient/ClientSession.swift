import Primitives
import QuorumQueue

/// The gateway's side of one session.
struct ClientSession: Sendable {
    let number: UInt64
    /// The sequence number of the newest command; at least 1, the open.
    var lastSequence: UInt64 = 0
    /// Every command up to here is answered, outcomes included. Invariant: at most `lastSequence`.
    var answered: UInt64 = 0
    /// Every command up to here is known to be applied somewhere, so that it need not be sent again; its answer may be
    /// outstanding. Invariant: at least `answered`.
    var knownApplied: UInt64 = 0
    /// The newest command whose outcome was reported. Outcomes come in ascending order, so one at or below is a
    /// repetition.
    var lastOutcome: UInt64 = 0
    /// The sequence number of the close; 0 while open.
    var closeSequence: UInt64 = 0
    /// By ascending number; the first is number 0, which stands for `basic.get`.
    var consumers: [ClientConsumer] = [ClientConsumer(number: 0, attachSequence: 0)]
    /// Whether some consumer's detach is not answered.
    var hasDetaching = false
    /// Settled delivery numbers that were not made into commands yet.
    var settling: [Settlement] = []
    /// How many they are.
    var settlingCount: UInt64 = 0

    init(number: UInt64) { self.number = number }

    var isClosing: Bool { closeSequence != 0 }

    /// The place of a consumer; nil when it is unknown or its detach was answered.
    func consumer(_ number: UInt32) -> Int? {
        var low = 0
        var high = consumers.count
        while low < high {
            let middle = (low + high) / 2
            if consumers[middle].number < number { low = middle + 1 } else { high = middle }
        }
        return low < consumers.count && consumers[low].number == number ? low : nil
    }

    /// Adds a consumer, keeping the order.
    mutating func insert(_ consumer: ClientConsumer) {
        var place = consumers.count
        while place > 0 && consumers[place - 1].number > consumer.number { place -= 1 }
        consumers.insert(consumer, at: place)
    }

    /// Forgets consumers whose detach was answered: all their deliveries came before the answer.
    mutating func forgetDetached() {
        guard hasDetaching else { return }
        let answered = answered
        consumers.removeAll { $0.detachSequence != 0 && $0.detachSequence <= answered }
        hasDetaching = consumers.contains { $0.detachSequence != 0 }
    }

    var resumed: ResumedSession {
        ResumedSession(
            number: number, answered: answered, lastSequence: lastSequence,
            consumers: consumers.map { ResumedConsumer(number: $0.number, received: $0.received) })
    }
}

/// A consumer whose deliveries are followed.
struct ClientConsumer: Sendable {
    let number: UInt32
    /// The sequence number of the attach, to know whose refusal an outcome is.
    let attachSequence: UInt64
    /// The sequence number of the detach; 0 while attached.
    var detachSequence: UInt64 = 0
    /// All deliveries up to this number were received.
    var received: UInt64 = 0
    /// Most unsettled messages; 0 leaves it to the queue.
    var prefetch: UInt32

    init(number: UInt32, attachSequence: UInt64, prefetch: UInt32 = 0) {
        self.number = number
        self.attachSequence = attachSequence
        self.prefetch = prefetch
    }

    /// So many settled messages cannot wait: the consumer would run out of others.
    var settlementShare: UInt64 { UInt64(prefetch == 0 ? 1_024 : prefetch) / 16 }
}

/// Settled delivery numbers of a consumer, waiting for the end of the tick.
struct Settlement: Sendable {
    var consumer: UInt32
    var lower: UInt64
    var upper: UInt64
}

extension [Settlement] {
    /// Adds a range, extending the last one where it can.
    mutating func add(_ consumer: UInt32, _ numbers: ClosedRange<UInt64>) {
        if let last, last.consumer == consumer, numbers.lowerBound == last.upper + 1 {
            self[count - 1].upper = numbers.upperBound
        } else {
            append(Settlement(consumer: consumer, lower: numbers.lowerBound, upper: numbers.upperBound))
        }
    }

    /// Sorts by consumer and number, and joins what touches.
    mutating func coalesce() {
        guard count > 1 else { return }
        sort { ($0.consumer, $0.lower) < ($1.consumer, $1.lower) }
        var kept = 0
        for place in 1..<count {
            let next = self[place]
            if next.consumer == self[kept].consumer && next.lower <= self[kept].upper + 1 {
                self[kept].upper = Swift.max(self[kept].upper, next.upper)
            } else {
                kept += 1
                self[kept] = next
            }
        }
        removeLast(count - kept - 1)
    }
}
