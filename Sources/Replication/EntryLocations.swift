package import LogStore
package import Primitives

/// Where the entries of one group's log lie in the node log: all behind the base, and those at or below it that the
/// queue still needs.
package struct EntryLocations {
    /// What the newest snapshot covers.
    package private(set) var base: LogIndex
    /// At or below `base`, ascending, with gaps.
    private var retained: [EntryLocation]
    /// From `base` + 1 on, contiguous up to the last durable entry.
    private var places: [EntryLocation]
    /// Bytes of all entries here.
    package private(set) var byteCount: Int

    package init(base: LogIndex = .zero, retained: [EntryLocation] = [], entries: [EntryLocation] = []) {
        self.base = base
        self.retained = retained
        self.places = entries
        byteCount = retained.byteCount + entries.byteCount
    }

    /// One past the last index that has a place.
    package var end: LogIndex { base + UInt64(places.count + 1) }
    /// Entries at or below the base.
    package var retainedCount: Int { retained.count }

    package subscript(index: LogIndex) -> EntryLocation? {
        if index > base { return index < end ? places[Int(index - base) - 1] : nil }
        let place = retained.firstPlace(from: index)
        return place < retained.count && retained[place].index == index ? retained[place] : nil
    }

    /// The first entry from `index` on.
    package func first(from index: LogIndex) -> EntryLocation? {
        if index <= base {
            let place = retained.firstPlace(from: index)
            if place < retained.count { return retained[place] }
        }
        return self[max(index, base.next)]
    }

    /// Whether the entry is here and nowhere else.
    package func holds(_ location: EntryLocation) -> Bool { self[location.index] == location }

    package func forEach(_ visit: (EntryLocation) -> Void) {
        for location in retained { visit(location) }
        for location in places { visit(location) }
    }

    /// Bytes of the entries in these ranges, ascending and disjoint.
    package func byteCount(in ranges: [ClosedRange<LogIndex>]) -> Int {
        var sum = 0
        for range in ranges {
            var place = retained.firstPlace(from: range.lowerBound)
            while place < retained.count, retained[place].index <= range.upperBound {
                sum += Int(retained[place].length)
                place += 1
            }
            guard range.upperBound > base, range.lowerBound < end else { continue }
            for index in max(range.lowerBound, base.next).rawValue...min(range.upperBound, end - 1).rawValue {
                sum += Int(places[Int(index - base.rawValue) - 1].length)
            }
        }
        return sum
    }
}

// MARK: - Changes

extension EntryLocations {
    /// Notes a durable entry. Entries become durable in order.
    /// - Returns: false for one that does not fit: it was truncated meanwhile.
    package mutating func append(_ location: EntryLocation) -> Bool {
        guard location.index == end else { return false }
        places.append(location)
        byteCount += Int(location.length)
        return true
    }

    /// Forgets the entries from `index` on; returns them.
    package mutating func truncate(from index: LogIndex) -> [EntryLocation] {
        guard index < end, index > base else { return [] }
        let kept = Int(index - base) - 1
        let dropped = Array(places[kept...])
        places.removeLast(dropped.count)
        byteCount -= dropped.byteCount
        return dropped
    }

    /// A snapshot at `index`, which has a place, is durable: forgets the entries up to it that are not in `live`;
    /// returns them.
    package mutating func compact(through index: LogIndex, live: [ClosedRange<LogIndex>]) -> [EntryLocation] {
        precondition(index > base && index < end, "a snapshot of what is not durable")
        let count = Int(index - base)
        var dropped: [EntryLocation] = []
        var kept: [EntryLocation] = []
        var ranges = live[...]
        for location in retained + places[..<count] {
            while let range = ranges.first, range.upperBound < location.index { ranges = ranges.dropFirst() }
            if ranges.first?.contains(location.index) ?? false {
                kept.append(location)
            } else {
                dropped.append(location)
            }
        }
        retained = kept
        places.removeFirst(count)
        base = index
        byteCount -= dropped.byteCount
        return dropped
    }

    /// A snapshot of another node took the log's place: `live` is what it keeps, the entries behind `index` stay if
    /// they are its continuation. Returns what is forgotten.
    package mutating func install(
        through index: LogIndex, live: [EntryLocation], keepsSuffix: Bool
    ) -> [EntryLocation] {
        precondition(index > base)
        let suffix = keepsSuffix && index < end ? Array(places[Int(index - base)...]) : []
        let kept = Set((live + suffix).map { Place($0) })
        let dropped = (retained + places).filter { !kept.contains(Place($0)) }
        retained = live
        places = suffix
        base = index
        byteCount = live.byteCount + suffix.byteCount
        return dropped
    }

    /// A copy of the entry became durable.
    /// - Returns: false when the entry is not where the copy was made from.
    package mutating func move(_ location: EntryLocation, to copy: EntryLocation) -> Bool {
        guard holds(location), copy.index == location.index, copy.term == location.term else { return false }
        if location.index > base {
            places[Int(location.index - base) - 1] = copy
        } else {
            retained[retained.firstPlace(from: location.index)] = copy
        }
        return true
    }

    /// An entry at or below the base that the machine needs and that was missing.
    package mutating func retain(_ location: EntryLocation) {
        precondition(location.index <= base)
        retained.insert(location, at: retained.firstPlace(from: location.index))
        byteCount += Int(location.length)
    }

    private struct Place: Hashable {
        var segment: UInt32
        var offset: UInt32

        init(_ location: EntryLocation) {
            segment = location.segment
            offset = location.offset
        }
    }
}

extension [EntryLocation] {
    /// Of locations ascending by index: the place of this very one.
    func place(of location: EntryLocation) -> Int? {
        let place = firstPlace(from: location.index)
        return place < count && self[place] == location ? place : nil
    }

    fileprivate var byteCount: Int { reduce(0) { $0 + Int($1.length) } }

    /// Of locations ascending by index: the place of the first from `index` on.
    fileprivate func firstPlace(from index: LogIndex) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self[middle].index < index { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
