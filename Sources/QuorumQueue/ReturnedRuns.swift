import Primitives

/// Consecutive messages of one entry that were given back as often as each other.
struct ReturnedRun: Sendable {
    var first: Position
    var count: UInt16
    var deliveryCount: UInt32

    /// Whether `next` goes on where this run ends, in the same entry and with the same count of deliveries.
    func isContinued(by next: ReturnedRun) -> Bool {
        deliveryCount == next.deliveryCount && first.index == next.first.index
            && first.advanced(by: Int(count)) == next.first
    }
}

/// Messages that came back, ordered by position. They are all older than every message that was never delivered,
/// because those leave their queue only at the front.
struct ReturnedRuns: Sendable {
    /// Descending, so that the front of the queue is cheap to take; never an empty run.
    private var runs: [ReturnedRun] = []
    /// Messages.
    private(set) var count = 0

    /// Up to this many are inserted one by one; more are sorted in.
    private static let fewRuns = 8

    /// Puts messages back. Leaves `returned` empty, with its memory.
    mutating func insert(_ returned: inout [ReturnedRun]) {
        for run in returned { count += Int(run.count) }
        if returned.count <= ReturnedRuns.fewRuns {
            for run in returned { insert(run) }
        } else {
            runs.append(contentsOf: returned)
            runs.sort { $0.first > $1.first }
            join()
        }
        returned.removeAll(keepingCapacity: true)
    }

    private mutating func insert(_ run: ReturnedRun) {
        var low = 0
        var high = runs.count
        while low < high {
            let middle = (low + high) / 2
            if runs[middle].first > run.first { low = middle + 1 } else { high = middle }
        }
        // Behind it stand the older ones: runs[low] may end where `run` begins, runs[low - 1] begin where it ends.
        if low < runs.count && runs[low].isContinued(by: run) {
            runs[low].count += run.count
            if low > 0 && runs[low].isContinued(by: runs[low - 1]) {
                runs[low].count += runs[low - 1].count
                runs.remove(at: low - 1)
            }
        } else if low > 0 && run.isContinued(by: runs[low - 1]) {
            runs[low - 1].first = run.first
            runs[low - 1].count += run.count
        } else {
            runs.insert(run, at: low)
        }
    }

    private mutating func join() {
        var kept = 0
        for next in 1..<runs.count {
            if runs[next].isContinued(by: runs[kept]) {
                let count = runs[kept].count
                runs[kept] = runs[next]
                runs[kept].count += count
            } else {
                kept += 1
                runs[kept] = runs[next]
            }
        }
        runs.removeLast(runs.count - kept - 1)
    }

    /// Takes up to `limit` (at least 1) messages of one entry from the front.
    mutating func popFirst(limit: Int) -> ReturnedRun? {
        guard var run = runs.popLast() else { return nil }
        if Int(run.count) > limit {
            var rest = run
            rest.first = run.first.advanced(by: limit)
            rest.count = run.count - UInt16(limit)
            runs.append(rest)
            run.count = UInt16(limit)
        }
        count -= Int(run.count)
        return run
    }

    /// Puts these runs in the place of all others; they must not overlap.
    mutating func restore(ascending restored: [ReturnedRun]) {
        runs = restored.reversed()
        count = restored.reduce(0) { $0 + Int($1.count) }
    }

    /// Runs of messages.
    var runCount: Int { runs.count }

    /// Drops everything.
    mutating func removeAll() {
        runs = []
        count = 0
    }

    /// Visits the runs in order.
    func forEach(_ visit: (ReturnedRun) -> Void) {
        for run in runs.reversed() { visit(run) }
    }
}
