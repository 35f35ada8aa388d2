import Primitives

/// What the machine keeps of a consumer, or of what a session took with `get` (number 0).
struct Consumer: Sendable {
    let id: ConsumerID
    var options: ConsumerOptions
    /// Most messages held at a time; at least 1.
    var prefetch: UInt32
    /// The number of the next delivery; never goes back.
    var nextNumber: UInt64 = 1
    /// Never more than the prefetch was when they were delivered; of number 0 without bound.
    var unsettled = UnsettledRuns()
    /// False once detached; number 0 never is.
    var isAttached: Bool
    var isSuspended = false
    /// Whether it stands in the service queue.
    var isQueued = false
    /// Whether the slot is free.
    var isGone = false

    init(id: ConsumerID, options: ConsumerOptions, prefetch: UInt32, isAttached: Bool) {
        self.id = id
        self.options = options
        self.prefetch = prefetch
        self.isAttached = isAttached
    }

    /// Messages it may still be given.
    var credit: Int { max(0, Int(prefetch) - unsettled.count) }
    /// Whether it can be served now.
    var isEligible: Bool { isAttached && !isSuspended && credit > 0 }

    func delivery(of run: UnsettledRun) -> Delivery {
        Delivery(
            consumer: id, firstNumber: run.number, index: run.first.index, firstOrdinal: run.first.ordinal,
            count: run.count, deliveryCount: run.deliveryCount, redelivered: run.redelivered)
    }
}
