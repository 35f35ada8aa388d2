import Primitives

/// Messages that were never delivered, in log order: 16 bytes for each stretch of consecutive entries of equal shape.
struct FreshRuns: Sendable {
    /// `entries` consecutive entries with `count` messages each, the first of each at the ordinal of `first`.
    private struct Run {
        var first: Position
        var entries: UInt32
        var count: UInt16
    }

    /// Ascending; never an empty run; a run of one entry ends at or before the entry's end.
    private var runs = Ring<Run>()
    /// Messages.
    private(set) var count = 0

    /// Adds messages of one entry, behind all that were ever added.
    mutating func append(_ first: Position, count added: Int) {
        count += added
        guard let last = runs.last else { return runs.append(Run(first: first, entries: 1, count: UInt16(added))) }
        let lastEntry = last.first.advanced(entries: last.entries - 1)
        if lastEntry.index == first.index && lastEntry.advanced(by: Int(last.count)) == first {
            runs.popLast()
            if last.entries > 1 { runs.append(Run(first: last.first, entries: last.entries - 1, count: last.count)) }
            join(Run(first: lastEntry, entries: 1, count: last.count + UInt16(added)))
        } else {
            join(Run(first: first, entries: 1, count: UInt16(added)))
        }
    }

    /// Appends a run of one entry, to the last run if it continues its shape.
    private mutating func join(_ run: Run) {
        if var last = runs.last, last.count == run.count, last.entries < .max,
            last.first.advanced(entries: last.entries) == run.first
        {
            last.entries += 1
            runs[runs.count - 1] = last
        } else {
            runs.append(run)
        }
    }

    /// Takes up to `limit` (at least 1) messages of one entry from the front.
    mutating func popFirst(limit: Int) -> (first: Position, count: Int)? {
        guard let run = runs.first else { return nil }
        let taken = min(limit, Int(run.count))
        count -= taken
        if run.entries > 1 {
            runs[0] = Run(first: run.first.advanced(entries: 1), entries: run.entries - 1, count: run.count)
        } else {
            runs.popFirst()
        }
        if taken < Int(run.count) {
            runs.prepend(
                Run(first: run.first.advanced(by: taken), entries: 1, count: run.count - UInt16(taken)))
        }
        return (run.first, taken)
    }

    /// Adds a stretch of consecutive entries, behind all that were ever added; as `forEachRun` shows it.
    mutating func append(_ first: Position, entries: UInt32, count added: Int) {
        count += Int(entries) * added
        runs.append(Run(first: first, entries: entries, count: UInt16(added)))
    }

    /// The oldest message.
    var first: Position? { runs.first?.first }
    /// Stretches in memory; at least as many as `forEachRun` shows.
    var storedRunCount: Int { runs.count }

    /// Visits the messages as the fewest stretches of consecutive entries of equal shape, in order: the same stretches
    /// for the same messages, however they came about.
    func forEachRun(_ visit: (_ first: Position, _ entries: UInt32, _ count: Int) -> Void) {
        guard var run = runs.first else { return }
        for number in 1..<runs.count {
            var next = runs[number]
            if run.count == next.count && run.first.advanced(entries: run.entries) == next.first {
                let joined = min(next.entries, .max - run.entries)
                run.entries += joined
                if joined == next.entries { continue }
                next.first = next.first.advanced(entries: joined)
                next.entries -= joined
            }
            visit(run.first, run.entries, Int(run.count))
            run = next
        }
        visit(run.first, run.entries, Int(run.count))
    }

    /// Drops everything.
    mutating func removeAll() {
        runs.removeAll()
        count = 0
    }

    /// Visits the messages in order, a stretch of one entry at a time.
    func forEach(_ visit: (Position, Int) -> Void) {
        for number in 0..<runs.count {
            let run = runs[number]
            for entry in 0..<run.entries { visit(run.first.advanced(entries: entry), Int(run.count)) }
        }
    }
}
