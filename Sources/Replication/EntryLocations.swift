import LogStore
import Primitives

/// Where each entry of one group's log lies in the node log, by index, contiguous up to the last durable one.
struct EntryLocations {
    /// Index of the first entry of `places`.
    private let first: LogIndex
    private var places: [EntryLocation]

    init(first: LogIndex, recovered: [EntryLocation] = []) {
        self.first = first
        self.places = recovered
    }

    /// One past the last index that has a place.
    var end: LogIndex { first + UInt64(places.count) }

    subscript(index: LogIndex) -> EntryLocation? {
        guard index >= first && index < end else { return nil }
        return places[Int(index - first)]
    }

    /// Notes a durable entry. Entries become durable in order; one that was truncated meanwhile does not fit and is
    /// skipped.
    mutating func append(_ location: EntryLocation) {
        guard location.index == end else { return }
        places.append(location)
    }

    mutating func truncate(from index: LogIndex) {
        guard index < end else { return }
        places.removeLast(Int(end - max(index, first)))
    }
}
