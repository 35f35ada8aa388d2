import Primitives

/// Consecutive messages of one entry, delivered under consecutive numbers.
struct UnsettledRun: Sendable {
    /// The delivery number of the first.
    var number: UInt64
    var first: Position
    var deliveryCount: UInt32
    /// 0 marks a hole: the run was settled, its place is kept until the next compaction.
    var count: UInt16
    var redelivered: Bool

    /// Whether `next` goes on where this run ends, in number, place and history.
    func isContinued(by next: UnsettledRun) -> Bool {
        number + UInt64(count) == next.number && first.index == next.first.index
            && first.advanced(by: Int(count)) == next.first && deliveryCount == next.deliveryCount
            && redelivered == next.redelivered && count > 0
    }

    /// The part with the delivery numbers `range`, which must lie within.
    func part(_ range: Range<UInt64>) -> UnsettledRun {
        var part = self
        part.number = range.lowerBound
        part.first = first.advanced(by: Int(range.lowerBound - number))
        part.count = UInt16(range.count)
        return part
    }

    var end: UInt64 { number + UInt64(count) }
}

/// The messages that a consumer holds, by delivery number: 24 bytes a run, found by binary search.
struct UnsettledRuns: Sendable {
    /// Ascending by number from `head` on; holes keep their number, so that the order holds.
    private var runs: [UnsettledRun] = []
    /// Runs before it are gone.
    private var head = 0
    /// Holes from `head` on.
    private var holes = 0
    /// Messages.
    private(set) var count = 0

    /// Runs, without the holes.
    var runCount: Int { runs.count - head - holes }

    /// Adds messages with higher numbers than any before.
    mutating func append(_ run: UnsettledRun) {
        count += Int(run.count)
        if head < runs.count && runs[runs.count - 1].isContinued(by: run) {
            runs[runs.count - 1].count += run.count
        } else {
            runs.append(run)
        }
    }

    /// Takes out the messages with these delivery numbers, as far as they are here, and shows each stretch to `visit`.
    mutating func remove(_ numbers: ClosedRange<UInt64>, _ visit: (UnsettledRun) -> Void) {
        var at = lastRun(upTo: numbers.lowerBound)
        let end = numbers.upperBound + 1
        while at < runs.count && runs[at].number < end {
            let run = runs[at]
            if run.count == 0 || run.end <= numbers.lowerBound {
                at += 1
                continue
            }
            let taken = run.part(max(run.number, numbers.lowerBound)..<min(run.end, end))
            visit(taken)
            count -= Int(taken.count)
            at = cut(taken, from: at)
        }
        tidy()
    }

    /// Cuts `taken` out of the run at `at`; the next place to look at.
    private mutating func cut(_ taken: UnsettledRun, from at: Int) -> Int {
        let run = runs[at]
        let before = taken.number > run.number
        let after = taken.end < run.end
        if before && after {
            runs[at] = run.part(run.number..<taken.number)
            runs.insert(run.part(taken.end..<run.end), at: at + 1)
            return at + 2
        }
        if before {
            runs[at] = run.part(run.number..<taken.number)
        } else if after {
            runs[at] = run.part(taken.end..<run.end)
        } else {
            runs[at].count = 0
            holes += 1
        }
        return at + 1
    }

    /// Passes the holes at the front, and closes the gaps when they are more than the rest.
    private mutating func tidy() {
        while head < runs.count && runs[head].count == 0 {
            head += 1
            holes -= 1
        }
        if count == 0 {
            // One burst must not keep its memory for ever.
            runs.removeAll(keepingCapacity: runs.capacity <= 64)
            head = 0
            holes = 0
        } else if head + holes > 32 && head + holes > runs.count / 2 {
            var kept = 0
            for at in head..<runs.count where runs[at].count > 0 {
                runs[kept] = runs[at]
                kept += 1
            }
            runs.removeLast(runs.count - kept)
            head = 0
            holes = 0
        }
    }

    /// The last run that begins at or below `number`, or the first of all; it may be a hole, or end below.
    private func lastRun(upTo number: UInt64) -> Int {
        var low = head
        var high = runs.count
        while low < high {
            let middle = (low + high) / 2
            if runs[middle].number <= number { low = middle + 1 } else { high = middle }
        }
        return max(low - 1, head)
    }

    /// Visits the runs in order of delivery number.
    func forEach(_ visit: (UnsettledRun) -> Void) {
        for at in head..<runs.count where runs[at].count > 0 { visit(runs[at]) }
    }

    /// Visits what has a higher number than `number`, in order.
    func forEach(after number: UInt64, _ visit: (UnsettledRun) -> Void) {
        for at in lastRun(upTo: number)..<runs.count where runs[at].count > 0 && runs[at].end > number + 1 {
            let run = runs[at]
            visit(run.number > number ? run : run.part(number + 1..<run.end))
        }
    }
}
