import Primitives

/// What is known of one group.
struct GroupReplay {
    private(set) var term = Term.zero
    private(set) var vote: NodeID?
    private var hardState: RecoveredItem?
    private(set) var created: RecoveredItem?
    private(set) var configuration: RecoveredItem?
    /// Ascending by index. There are gaps where a snapshot made entries dead, and above the contiguous end what a
    /// transfer that came to nothing left behind.
    private var entries: [EntryLocation] = []
    private var damaged: Set<LogIndex> = []
    /// The highest index that any record has named, still there or not.
    private var highestIndex = LogIndex.zero
    private var snapshots = SnapshotReplay()

    mutating func apply(_ item: RecoveredItem) {
        switch item.item.kind {
        case .hardState: applyHardState(item)
        case .configuration: GroupReplay.take(item, over: &configuration)
        case .groupCreated: GroupReplay.take(item, over: &created)
        case .truncate: truncate(from: max(LogIndex(item.item.index), snapshots.highestMark.next))
        case .entries: applyEntries(item)
        case .snapshotChunk: snapshots.addChunk(item)
        case .snapshotCurrent:
            highestIndex = max(highestIndex, LogIndex(item.item.index))
            snapshots.addMark(item)
        case .groupRemoved: break
        }
    }

    /// A damaged copy does not replace the record itself.
    private static func take(_ item: RecoveredItem, over old: inout RecoveredItem?) {
        if let known = old, known.item.sequence == item.item.sequence, !item.damaged.isEmpty { return }
        old = item
    }

    private mutating func applyHardState(_ item: RecoveredItem) {
        let state = item.item
        let vote = state.index == 0 ? nil : NodeID(UInt16(truncatingIfNeeded: state.index))
        if let known = hardState, known.item.sequence == state.sequence {
            hardState = item
        } else if hardState == nil || state.term > term || (state.term == term && self.vote == nil && vote != nil) {
            term = state.term
            self.vote = vote
            hardState = item
        }
    }

    // MARK: Entries

    private mutating func applyEntries(_ item: RecoveredItem) {
        var start = 0
        for (position, record) in item.item.records.enumerated() {
            add(item.placed(position, start: start).location, isDamaged: item.damaged.contains(position))
            start += Int(record.length)
        }
    }

    private mutating func add(_ location: EntryLocation, isDamaged: Bool) {
        highestIndex = max(highestIndex, location.index)
        let isBehind = entries.last.map { $0.index < location.index } ?? true
        let position = isBehind ? entries.count : place(of: location.index)
        guard position < entries.count, entries[position].index == location.index else {
            entries.insert(location, at: position)
            note(location, isDamaged: isDamaged)
            return
        }
        if entries[position].term == location.term {
            // A repaired or relocated copy. A damaged one does not replace anything.
            guard !isDamaged else { return }
            if damaged.contains(location.index) || entries[position].isBefore(location) { entries[position] = location }
            damaged.remove(location.index)
        } else {
            // Another entry at the same index. The truncation before it says what else goes; older terms behind it
            // never stay.
            entries[position] = location
            note(location, isDamaged: isDamaged)
            drop(from: position + 1) { $0.term < location.term }
        }
    }

    private mutating func note(_ location: EntryLocation, isDamaged: Bool) {
        if isDamaged { damaged.insert(location.index) } else { damaged.remove(location.index) }
    }

    private mutating func truncate(from index: LogIndex) {
        drop(from: place(of: index)) { _ in true }
    }

    private mutating func drop(from position: Int, where isDropped: (EntryLocation) -> Bool) {
        guard position < entries.count else { return }
        for location in entries[position...] where isDropped(location) { damaged.remove(location.index) }
        let kept = entries[position...].filter { !isDropped($0) }
        entries.replaceSubrange(position..., with: kept)
    }

    /// The position of the first entry at or behind `index`.
    private func place(of index: LogIndex) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].index < index { low = middle + 1 } else { high = middle }
        }
        return low
    }

    // MARK: The end

    /// The records that still count, but for the snapshot's.
    var controls: [ControlRecord] { [hardState, created, configuration].compactMap { $0.map(ControlRecord.init) } }

    struct Contents {
        var snapshot: FoundSnapshot?
        var retained: [EntryLocation] = []
        var missing: [LogIndex] = []
        var entries: [EntryLocation] = []
        var damaged: [LogIndex] = []
        /// Entries are missing that were there.
        var hasGap = false
        /// The log never went beyond this.
        var highestIndex = LogIndex.zero
        /// The mark that says so, when nothing else does: it is kept until there is another snapshot.
        var evidence: ControlRecord?
    }

    /// What the group has in the end.
    func contents(isIdentityLost: Bool, payload: (RecoveredItem) -> Bytes?) -> Contents {
        var contents = Contents()
        contents.highestIndex = highestIndex
        let (snapshot, unusable) = snapshots.current(payload: payload)
        contents.snapshot = snapshot
        let base = snapshot?.recovered.index ?? .zero
        let live = snapshot?.recovered.live ?? []
        let split = place(of: base.next)
        contents.retained = entries[..<split].filter { live.holds($0.index) }
        contents.missing = GroupReplay.missing(live, in: contents.retained)
        takeEntries(behind: base, at: split, isIdentityLost: isIdentityLost, into: &contents)
        // A newer snapshot than the one that is whole: what it made dead may be gone. Where it took the place of the
        // log, what is still there is not what it covered, and may look like one log with what follows.
        if let unusable,
            unusable.item.replacesLog || LogIndex(unusable.item.index) > contents.entries.last?.index ?? base
        {
            contents.hasGap = true
            contents.evidence = ControlRecord(unusable)
        }
        contents.damaged = (contents.retained + contents.entries).map(\.index).filter { damaged.contains($0) }
        return contents
    }

    private func takeEntries(
        behind base: LogIndex, at split: Int, isIdentityLost: Bool, into contents: inout Contents
    ) {
        guard split < entries.count else { return }
        let begins = entries[split].index == base.next
        // A log begins at index 1 or behind its snapshot.
        if !begins && (contents.snapshot == nil || isIdentityLost) { contents.hasGap = true }
        guard begins || (isIdentityLost && contents.snapshot == nil) else { return }
        var end = split + 1
        while end < entries.count && entries[end].index == entries[end - 1].index.next { end += 1 }
        contents.entries = Array(entries[split..<end])
        // Without a loss it is a transfer that came to nothing: its entries were never part of the log.
        if end < entries.count && isIdentityLost { contents.hasGap = true }
    }

    private static func missing(_ live: [ClosedRange<LogIndex>], in found: [EntryLocation]) -> [LogIndex] {
        var missing: [LogIndex] = []
        var position = 0
        for range in live {
            var index = range.lowerBound
            while index <= range.upperBound {
                if position < found.count && found[position].index == index {
                    position += 1
                } else {
                    missing.append(index)
                }
                index = index.next
            }
        }
        return missing
    }
}

extension EntryLocation {
    /// Whether the place was written before another one.
    fileprivate func isBefore(_ other: EntryLocation) -> Bool { (segment, offset) < (other.segment, other.offset) }
}

extension ControlRecord {
    init(_ found: RecoveredItem) {
        let item = found.item
        self.init(item.kind, item.sequence, item.group, index: item.index, term: item.term)
        length = item.payloadLength
        segment = found.segment
    }
}
