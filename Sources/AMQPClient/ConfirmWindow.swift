import Primitives

/// Which publishes of a channel await their confirm. Sequence numbers start at 1, as the server counts them.
package struct ConfirmWindow: Sendable {
    /// The number of the last publish; 0 before the first.
    package private(set) var lastSequence: UInt64 = 0
    /// All numbers up to here are settled.
    package private(set) var settledThrough: UInt64 = 0
    /// Settled flags of the numbers after `settledThrough`; the first is always false.
    private var settled = Ring<Bool>()
    /// Publishes that await their confirm.
    package private(set) var outstanding = 0
    /// Confirms of what was confirmed already: a server fault, which checkers count.
    package private(set) var repeated: UInt64 = 0

    package init() {}

    /// Numbers a publish.
    package mutating func next() -> UInt64 {
        lastSequence += 1
        outstanding += 1
        settled.append(false)
        return lastSequence
    }

    /// Takes a confirm and appends the runs of numbers it settles; false when it names a number never published.
    package mutating func settle(
        _ tag: UInt64, multiple: Bool, into runs: inout [ClosedRange<UInt64>]
    ) -> Bool {
        if multiple {
            let last = tag == 0 ? lastSequence : tag
            guard last <= lastSequence else { return false }
            if last <= settledThrough {
                if tag != 0 { repeated += 1 }
                return true
            }
            settleAll(through: last, into: &runs)
        } else {
            guard tag > 0 && tag <= lastSequence else { return false }
            guard tag > settledThrough, !settled[Int(tag - settledThrough) - 1] else {
                repeated += 1
                return true
            }
            settled[Int(tag - settledThrough) - 1] = true
            outstanding -= 1
            runs.append(tag...tag)
        }
        while settled.first == true {
            settled.popFirst()
            settledThrough += 1
        }
        return true
    }

    private mutating func settleAll(through last: UInt64, into runs: inout [ClosedRange<UInt64>]) {
        var start: UInt64?
        while settledThrough < last {
            let done = settled.popFirst() == true
            settledThrough += 1
            if !done {
                outstanding -= 1
                if start == nil { start = settledThrough }
            } else if let first = start {
                runs.append(first...settledThrough - 1)
                start = nil
            }
        }
        if let first = start { runs.append(first...last) }
    }
}
