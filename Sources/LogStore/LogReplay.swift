import Primitives

/// Applies recovered records, in the order of their sequence numbers, to what is known of the groups.
struct LogReplay {
    private var groups: [GroupID: GroupReplay] = [:]
    private var removed: Set<GroupID> = []
    /// Truncations and removals, ascending by sequence number, and for each the highest segment that it stands in or
    /// that holds an older record of its group: a copy made while it was written may stand behind it.
    private(set) var suppressors: [(item: RecoveredItem, bound: UInt32)] = []
    /// The highest segment that holds a record of the group, of those applied.
    private var highestSegments: [GroupID: UInt32] = [:]
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
            let highest = max(highestSegments[item.item.group] ?? 0, item.segment)
            highestSegments[item.item.group] = highest
            if item.item.kind.isSuppressor {
                if suppressors.last?.item.item.sequence == item.item.sequence { suppressors.removeLast() }
                suppressors.append((item, highest))
            }
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
            groups[group, default: GroupReplay()].apply(item)
        case .entries, .hardState, .configuration, .truncate, .snapshotChunk, .snapshotCurrent:
            // What a removal left behind means nothing.
            if !removed.contains(group) { groups[group, default: GroupReplay()].apply(item) }
        }
    }

    var removedGroups: [GroupID] { removed.sorted() }

    /// The groups, ascending by id, and the records of each that still count.
    /// - Parameters:
    ///   - isIdentityLost: records are missing of which nothing is known.
    ///   - payload: reads and verifies the bytes of a record.
    func recovered(
        isIdentityLost: Bool, payload: (RecoveredItem) -> Bytes?
    ) -> [(group: RecoveredGroup, controls: [ControlRecord], evidence: ControlRecord?)] {
        groups.sorted { $0.key < $1.key }.map { group, replay in
            let created = replay.created.map(payload)
            let configuration = replay.configuration.map(payload)
            let contents = replay.contents(isIdentityLost: isIdentityLost, payload: payload)
            // A group that does not know its members cannot tell a majority.
            let isComplete = created != .some(nil) && configuration != .some(nil) && !contents.hasGap
            let mayVote = !isIdentityLost && isComplete
            var recovered = RecoveredGroup(
                group: group, term: replay.term, vote: replay.vote, created: created ?? nil,
                // One that is damaged said something: no bytes say that nobody knows what.
                configuration: configuration.map { $0 ?? Bytes() }, snapshot: contents.snapshot?.recovered,
                retained: contents.retained, missing: contents.missing, entries: contents.entries,
                damaged: contents.damaged, mayVote: mayVote,
                mayLead: mayVote && contents.damaged.isEmpty && contents.missing.isEmpty)
            let isBounded = !isIdentityLost && contents.hasGap && created != .some(nil) && configuration != .some(nil)
            if isBounded { recovered.lostThrough = contents.highestIndex }
            return (recovered, replay.controls + (contents.snapshot?.controls ?? []), contents.evidence)
        }
    }
}
