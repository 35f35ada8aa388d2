package import Primitives

/// The recent entries of one group, contiguous up to the log's last index; older ones are on disk only.
package struct EntryTail {
    /// Index of the first entry held; one past the last index when nothing is held.
    package private(set) var first: LogIndex
    private var entries = Ring<Entry>()

    /// - Parameter next: the index that the next appended entry has.
    package init(next: LogIndex) { first = next }

    package var end: LogIndex { first + UInt64(entries.count) }
    package var isEmpty: Bool { entries.isEmpty }

    package subscript(index: LogIndex) -> Entry? {
        guard index >= first && index < end else { return nil }
        return entries[Int(index - first)]
    }

    package mutating func append(_ entry: Entry) {
        precondition(entry.index == end)
        entries.append(entry)
    }

    /// Drops the entries from `index` on; returns the bytes set free.
    package mutating func truncate(from index: LogIndex) -> Int {
        var freed = 0
        while !entries.isEmpty && end > index {
            if let last = entries.popLast() { freed += last.bytes.count }
        }
        if index < first { first = index }
        return freed
    }

    /// Drops the oldest entry; returns the bytes set free.
    package mutating func dropFirst() -> Int {
        guard let entry = entries.popFirst() else { return 0 }
        first = first.next
        return entry.bytes.count
    }
}

/// Keeps the sum of all groups' tails under the node's budget by dropping the oldest entries first.
package struct EntryCacheBudget {
    /// Bytes that the tails of all groups may hold; entries that are not durable yet may exceed it.
    package let limit: Int
    package private(set) var used = 0
    /// Entries in the order in which they came in. A group's truncation leaves stale items, skipped when met.
    private var arrivals = Ring<(group: GroupID, index: LogIndex)>()

    package init(limit: Int) { self.limit = limit }

    package mutating func added(_ bytes: Int, group: GroupID, index: LogIndex) {
        used += bytes
        arrivals.append((group, index))
    }

    package mutating func freed(_ bytes: Int) { used -= bytes }

    /// The entry to drop next while the budget is exceeded.
    package var candidate: (group: GroupID, index: LogIndex)? { used > limit ? arrivals.first : nil }

    package mutating func dropCandidate() { arrivals.popFirst() }

    /// Puts a candidate back that cannot be dropped yet.
    package mutating func readd(_ candidate: (group: GroupID, index: LogIndex)) { arrivals.prepend(candidate) }
}
