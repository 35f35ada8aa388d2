import Primitives

/// Applies recovered records, in the order of their sequence numbers, to what is known of the groups.
struct LogReplay {
    private var groups: [GroupID: GroupReplay] = [:]
    private var removed: Set<GroupID> = []
    /// The number after the highest met.
    private(set) var nextSequence: UInt64 = 1

    /// - Parameter items: as scanned. Relocated copies make their order differ from that of their numbers.
    init(_ items: [RecoveredItem]) {
        let isOrdered = zip(items, items.dropFirst()).allSatisfy { $0.item.sequence <= $1.item.sequence }
        // Of two copies the one scanned later counts, whatever the sort does to equals.
        let ordered =
            isOrdered
            ? items
            : items.enumerated().sorted {
                ($0.element.item.sequence, $0.offset) < ($1.element.item.sequence, $1.offset)
            }.map(\.element)
        for item in ordered {
            nextSequence = max(nextSequence, item.item.lastSequence + 1)
            apply(item)
        }
    }

    private mutating func apply(_ item: RecoveredItem) {
        let group = item.item.group
        switch item.item.kind {
        case .groupRemoved:
            groups[group] = nil
            removed.insert(group)
        case .groupCreated:
            removed.remove(group)
            groups[group, default: GroupReplay()].created = item
        case .snapshotChunk, .snapshotCurrent:
            break
        case .entries, .hardState, .configuration, .truncate:
            // What a removal left behind means nothing.
            if !removed.contains(group) { groups[group, default: GroupReplay()].apply(item) }
        }
    }

    var removedGroups: [GroupID] { removed.sorted() }

    /// The groups, ascending by id.
    /// - Parameter payload: reads and verifies the bytes of a record.
    func recovered(mayVote: Bool, payload: (RecoveredItem) -> Bytes?) -> [RecoveredGroup] {
        groups.sorted { $0.key < $1.key }.map { group, replay in
            let created = replay.created.map(payload)
            let configuration = replay.configuration.map(payload)
            // A group that does not know its members cannot tell a majority.
            let isComplete = created != .some(nil) && configuration != .some(nil) && !replay.hasGap
            return RecoveredGroup(
                group: group, term: replay.term, vote: replay.vote, created: created ?? nil,
                configuration: configuration ?? nil, entries: replay.entries, damaged: replay.damaged,
                mayVote: mayVote && isComplete, mayLead: mayVote && isComplete && replay.damaged.isEmpty)
        }
    }
}

/// What is known of one group.
private struct GroupReplay {
    var term = Term.zero
    var vote: NodeID?
    var created: RecoveredItem?
    var configuration: RecoveredItem?
    /// Contiguous by index.
    var entries: [EntryLocation] = []
    /// Ascending.
    var damaged: [LogIndex] = []
    /// Entries are missing between two that are there.
    var hasGap = false

    mutating func apply(_ item: RecoveredItem) {
        switch item.item.kind {
        case .hardState: applyHardState(item.item)
        case .configuration: configuration = item
        case .truncate: truncate(from: LogIndex(item.item.index))
        case .entries: applyEntries(item)
        case .groupCreated, .groupRemoved, .snapshotChunk, .snapshotCurrent: break
        }
    }

    private mutating func applyHardState(_ item: DirectoryItem) {
        let vote = item.index == 0 ? nil : NodeID(UInt16(truncatingIfNeeded: item.index))
        if item.term > term {
            term = item.term
            self.vote = vote
        } else if item.term == term, self.vote == nil {
            self.vote = vote
        }
    }

    private mutating func applyEntries(_ item: RecoveredItem) {
        var offset = item.offset
        for (position, record) in item.item.records.enumerated() {
            let location = EntryLocation(
                group: item.item.group, index: LogIndex(item.item.index + UInt64(position)), term: item.item.term,
                segment: item.segment, offset: UInt32(clamping: offset), length: record.length,
                checksum: record.checksum)
            add(location, isDamaged: item.damaged.contains(position))
            if item.offset != 0 { offset += Int(record.length) }
        }
    }

    private mutating func add(_ location: EntryLocation, isDamaged: Bool) {
        guard let first = entries.first?.index, let last = entries.last?.index else {
            entries.append(location)
            if isDamaged { damaged.append(location.index) }
            return
        }
        if location.index == last.next {
            entries.append(location)
            if isDamaged { damaged.append(location.index) }
        } else if location.index >= first && location.index <= last {
            replace(with: location, isDamaged: isDamaged, at: Int(location.index - first))
        } else {
            hasGap = true
        }
    }

    private mutating func replace(with location: EntryLocation, isDamaged: Bool, at position: Int) {
        if entries[position].term == location.term {
            // A repaired or relocated copy. A damaged one does not replace anything.
            guard !isDamaged else { return }
            entries[position] = location
            damaged.removeAll { $0 == location.index }
        } else {
            // Another entry at the same index: the truncation before it says the same.
            truncate(from: location.index)
            entries.append(location)
            if isDamaged { damaged.append(location.index) }
        }
    }

    private mutating func truncate(from index: LogIndex) {
        guard let first = entries.first?.index else { return }
        let kept = index > first ? Int(clamping: index - first) : 0
        if kept < entries.count { entries.removeLast(entries.count - kept) }
        damaged.removeAll { $0 >= index }
    }
}
