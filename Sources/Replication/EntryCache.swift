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
    /// Items from which on a sweep may be worth it.
    private static let fewItems = 4_096

    /// Bytes that the tails of all groups may hold; entries that are not durable yet may exceed it.
    package let limit: Int
    package private(set) var used = 0
    /// Entries in the order in which they came in. What goes otherwise, by a truncation or with a snapshot, leaves
    /// stale items: dropped when they are the oldest, and swept out when they may be the most.
    private var arrivals = Ring<(group: GroupID, index: LogIndex)>()
    private var sweepsAt = fewItems

    package init(limit: Int) { self.limit = limit }

    package mutating func added(_ bytes: Int, group: GroupID, index: LogIndex) {
        used += bytes
        arrivals.append((group, index))
    }

    package mutating func freed(_ bytes: Int) { used -= bytes }

    package var isExceeded: Bool { used > limit }

    /// The entry to drop next when the budget is exceeded, or a stale item.
    package var oldest: (group: GroupID, index: LogIndex)? { arrivals.first }

    package mutating func dropOldest() { arrivals.popFirst() }

    /// Drops the stale items behind the oldest entry when there may be many.
    /// - Parameter isHeld: whether a group's tail holds the entry.
    package mutating func sweep(_ isHeld: (GroupID, LogIndex) -> Bool) {
        guard arrivals.count >= sweepsAt else { return }
        var held = Ring<(group: GroupID, index: LogIndex)>()
        for item in arrivals where isHeld(item.group, item.index) { held.append(item) }
        arrivals = held
        sweepsAt = max(EntryCacheBudget.fewItems, 2 * held.count)
    }
}
