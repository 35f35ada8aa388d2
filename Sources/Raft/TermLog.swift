package import Primitives

/// The shape of a group's log, without its bytes: which term each index has.
package struct TermLog: Sendable {
    /// First indices strictly ascending from `baseIndex + 1`, terms strictly ascending.
    private var runs: [TermRun]
    /// The last entry; `baseIndex` when there is none.
    package private(set) var lastIndex: LogIndex
    /// What a snapshot covers; entries begin after it. Only grows.
    package private(set) var baseIndex: LogIndex
    package private(set) var baseTerm: Term

    /// - Precondition: the runs are ascending, begin right after the snapshot and lie within the log.
    package init(_ restored: RestoredLog) {
        baseIndex = restored.snapshotIndex
        baseTerm = restored.snapshotTerm
        lastIndex = restored.lastIndex
        runs = []
        precondition(lastIndex >= baseIndex)
        precondition(restored.termRuns.isEmpty == (lastIndex == baseIndex))
        var previous = TermRun(first: baseIndex, term: baseTerm)
        for run in restored.termRuns {
            precondition(run.first <= lastIndex && run.term >= previous.term)
            precondition(runs.isEmpty ? run.first == baseIndex.next : run.first > previous.first)
            if runs.last?.term != run.term { runs.append(run) }
            previous = run
        }
        precondition(restored.hardState.term >= lastTerm, "an entry of a term that the hard state has not seen")
    }

    package var lastTerm: Term { runs.last?.term ?? baseTerm }

    /// The term of the entry at `index`; nil beyond the log and below the snapshot.
    package func term(at index: LogIndex) -> Term? {
        guard index >= baseIndex && index <= lastIndex else { return nil }
        if index == baseIndex { return baseTerm }
        return runs[run(of: index)].term
    }

    /// The last index of those that share the term of `index`.
    /// - Precondition: `index` is an entry of the log.
    package func endOfTerm(at index: LogIndex) -> LogIndex {
        let position = run(of: index)
        return position + 1 < runs.count ? runs[position + 1].first - 1 : lastIndex
    }

    /// The last index at or below `index` whose term is not above `term`: where two logs may agree (etcd's
    /// findConflictByTerm). Nil when that is below the snapshot, where terms are no longer known.
    package func lastIndex(atMost index: LogIndex, termAtMost term: Term) -> LogIndex? {
        let index = min(index, lastIndex)
        if index > baseIndex {
            var position = run(of: index)
            if runs[position].term <= term { return index }
            while position > 0 {
                position -= 1
                if runs[position].term <= term { return runs[position + 1].first - 1 }
            }
        }
        return index >= baseIndex && baseTerm <= term ? baseIndex : nil
    }

    /// - Precondition: `term` is not below the last one.
    package mutating func append(count: UInt64, term: Term) {
        precondition(term >= lastTerm && term > .zero)
        guard count > 0 else { return }
        if runs.last?.term != term { runs.append(TermRun(first: lastIndex.next, term: term)) }
        lastIndex = lastIndex + count
    }

    /// Drops the entries from `index` on.
    /// - Precondition: `index` is an entry of the log.
    package mutating func truncate(from index: LogIndex) {
        precondition(index > baseIndex && index <= lastIndex)
        while let run = runs.last, run.first >= index { runs.removeLast() }
        lastIndex = index - 1
    }

    /// Forgets the terms of the entries up to `index`, which a snapshot covers from now on.
    /// - Precondition: `index` is an entry of the log.
    package mutating func compact(through index: LogIndex) {
        precondition(index > baseIndex && index <= lastIndex)
        let position = run(of: index)
        baseTerm = runs[position].term
        let end = endOfTerm(at: index)
        runs.removeFirst(end == index ? position + 1 : position)
        if end > index { runs[0].first = index.next }
        baseIndex = index
    }

    /// Drops every entry; a snapshot up to `index`, whose last entry is of `term`, takes their place.
    /// - Precondition: `index` is above the base, and `term` not below the base's.
    package mutating func restart(after index: LogIndex, term: Term) {
        precondition(index > baseIndex && term >= baseTerm)
        runs.removeAll(keepingCapacity: true)
        baseIndex = index
        baseTerm = term
        lastIndex = index
    }

    /// The position of the run that holds `index`, which is in the log. Mostly the last.
    private func run(of index: LogIndex) -> Int {
        var low = 0
        var high = runs.count - 1
        if runs[high].first <= index { return high }
        while low + 1 < high {
            let middle = (low + high) / 2
            if runs[middle].first <= index { low = middle } else { high = middle }
        }
        return low
    }
}
