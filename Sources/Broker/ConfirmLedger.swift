import Primitives

/// One answer to publishes: `basic.ack` or `basic.nack` for `tag`, or for everything unanswered up to it.
package struct ConfirmAnswer: Hashable, Sendable {
    package var tag: UInt64
    package var multiple: Bool
    package var isAck: Bool
}

/// The unconfirmed publishes of one channel in confirm mode, by publish number from 1.
///
/// A publish is answered when every queue it was routed to has answered. Answers are coalesced: those without a gap
/// from the oldest unconfirmed publish on become one `multiple` answer, others are answered one by one.
package struct ConfirmLedger: Sendable {
    /// Per publish: queues that have not answered, and the flags below. `base` numbers the first.
    private var pending = Ring<UInt32>()
    private var base: UInt64 = 1
    /// Publishes that became complete since the last `drain` and were not the oldest then; in order of completion.
    private var completed: [ClosedRange<UInt64>] = []
    private var frontCompleted = false

    private static let refused: UInt32 = 1 << 31
    private static let answered: UInt32 = 1 << 30
    private static let countMask: UInt32 = (1 << 30) - 1

    package init() {}

    /// The number that the next publish gets.
    package var next: UInt64 { base + UInt64(pending.count) }
    package var unconfirmed: Int { pending.count }
    /// Whether `drain` has anything to give.
    package var hasAnswers: Bool { frontCompleted || !completed.isEmpty }

    /// Takes note of a publish routed to `targets` queues; with none it is complete at once.
    @discardableResult package mutating func publish(targets: Int) -> UInt64 {
        let tag = next
        pending.append(UInt32(targets))
        if targets == 0 { complete(tag...tag) }
        return tag
    }

    /// One queue has stored the publishes of `tags`.
    package mutating func applied(_ tags: ClosedRange<UInt64>) {
        var run: ClosedRange<UInt64>?
        for tag in tags where tag >= base && tag < next {
            let index = Int(tag - base)
            guard pending[index] & ConfirmLedger.countMask > 0 else { continue }
            pending[index] -= 1
            guard pending[index] & ConfirmLedger.countMask == 0 else { continue }
            if let open = run, open.upperBound + 1 == tag {
                run = open.lowerBound...tag
            } else {
                if let open = run { complete(open) }
                run = tag...tag
            }
        }
        if let open = run { complete(open) }
    }

    /// One queue refused the publish `tag`: it becomes a nack, once all its queues have answered.
    package mutating func refuse(_ tag: UInt64) {
        guard tag >= base && tag < next else { return }
        pending[Int(tag - base)] |= ConfirmLedger.refused
    }

    private mutating func complete(_ tags: ClosedRange<UInt64>) {
        if tags.lowerBound == base {
            frontCompleted = true
        } else if let last = completed.last, last.upperBound + 1 == tags.lowerBound {
            completed[completed.count - 1] = last.lowerBound...tags.upperBound
        } else {
            completed.append(tags)
        }
    }

    /// The answers due now.
    package mutating func drain(_ emit: (ConfirmAnswer) -> Void) {
        drainFront(emit)
        frontCompleted = false
        guard !completed.isEmpty else { return }
        for range in completed where range.upperBound >= base {
            for tag in max(range.lowerBound, base)...range.upperBound {
                let index = Int(tag - base)
                guard pending[index] & ConfirmLedger.answered == 0 else { continue }
                emit(ConfirmAnswer(tag: tag, multiple: false, isAck: pending[index] & ConfirmLedger.refused == 0))
                pending[index] |= ConfirmLedger.answered
            }
        }
        completed.removeAll(keepingCapacity: true)
    }

    private mutating func drainFront(_ emit: (ConfirmAnswer) -> Void) {
        var open: (isAck: Bool, last: UInt64, count: Int)?
        while let state = pending.first, state & ConfirmLedger.countMask == 0 {
            let tag = base
            pending.popFirst()
            base += 1
            if state & ConfirmLedger.answered != 0 { continue }
            let isAck = state & ConfirmLedger.refused == 0
            if let current = open, current.isAck == isAck {
                open = (isAck, tag, current.count + 1)
            } else {
                if let current = open {
                    emit(ConfirmAnswer(tag: current.last, multiple: current.count > 1, isAck: current.isAck))
                }
                open = (isAck, tag, 1)
            }
        }
        if let current = open {
            emit(ConfirmAnswer(tag: current.last, multiple: current.count > 1, isAck: current.isAck))
        }
    }
}

/// The publishes of one channel that went to one queue, in order: which session sequences carry which publish numbers.
/// Consecutive pairs share a run, so a channel that publishes to one queue needs one.
package struct PublishRuns: Sendable {
    private struct Run: Sendable {
        var sequence: UInt64
        var tag: UInt64
        var count: UInt64
    }

    private var runs = Ring<Run>()

    package init() {}

    package var isEmpty: Bool { runs.isEmpty }

    /// Sequences are given in increasing order.
    package mutating func append(sequence: UInt64, tag: UInt64) {
        if let last = runs.last, last.sequence + last.count == sequence, last.tag + last.count == tag {
            runs[runs.count - 1].count += 1
        } else {
            runs.append(Run(sequence: sequence, tag: tag, count: 1))
        }
    }

    /// Removes everything up to sequence `through` and gives the publish numbers, a run at a time.
    package mutating func applied(through: UInt64, _ emit: (ClosedRange<UInt64>) -> Void) {
        while let first = runs.first, first.sequence <= through {
            let taken = min(first.count, through - first.sequence + 1)
            emit(first.tag...first.tag + taken - 1)
            if taken == first.count {
                runs.popFirst()
            } else {
                runs[0] = Run(sequence: first.sequence + taken, tag: first.tag + taken, count: first.count - taken)
            }
        }
    }

    /// The publish number of a sequence still here.
    package func tag(of sequence: UInt64) -> UInt64? {
        var low = 0
        var high = runs.count
        while low < high {
            let middle = (low + high) / 2
            if runs[middle].sequence + runs[middle].count <= sequence { low = middle + 1 } else { high = middle }
        }
        guard low < runs.count, runs[low].sequence <= sequence else { return nil }
        return runs[low].tag + (sequence - runs[low].sequence)
    }
}
