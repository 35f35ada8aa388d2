import Primitives

/// A record other than an entry, as reclamation needs to know it.
struct ControlRecord: Sendable {
    var kind: RecordKind
    var sequence: UInt64
    var group: GroupID
    var index: UInt64
    var term: Term
    var length: Int
    /// Of a snapshot chunk: where its bytes begin in the snapshot.
    var chunkOffset = 0
    /// Where its newest copy stands; 0 while it is not durable.
    var segment: UInt32 = 0

    init(_ kind: RecordKind, _ sequence: UInt64, _ group: GroupID, index: UInt64 = 0, term: Term = .zero) {
        self.kind = kind
        self.sequence = sequence
        self.group = group
        self.index = index
        self.term = term
        length = 0
    }
}

/// Knows which records other than entries are still needed, and where they stand.
///
/// Of each group the newest hard state, configuration and creation count, and the current snapshot with its chunks.
/// A truncation or removal *suppresses* older records: it is needed as long as a segment exists that may hold such a
/// record, that is one with a number up to the *bound*. The bound is the segment in which the record was first written,
/// or, should a copy have been under way then, the one that took the copy. After a start it is the highest segment that
/// holds the record itself or an older one of the group. A removal also says that the group was here, for as long as a
/// start replays the command that created it: until a snapshot of the cluster's metadata follows. A snapshot's mark
/// suppresses, too; the next one does the same for it, because the live entries of a snapshot only become fewer.
struct ControlLedger: Sendable {
    fileprivate struct Group: Sendable {
        var hardState: ControlRecord?
        var configuration: ControlRecord?
        var created: ControlRecord?
        var mark: ControlRecord?
        /// Of the current snapshot.
        var chunks: [ControlRecord] = []
        /// Of snapshots that are not complete: chunks without a mark yet, in the order of their sequence numbers, and
        /// the mark of a snapshot that was found damaged.
        var pending: [ControlRecord] = []
    }

    private struct Suppressor: Sendable {
        var record: ControlRecord
        var bound: UInt32
        /// A removal that no snapshot of the cluster's metadata covers.
        var isReplayed: Bool

        func isNeeded(lowest: UInt32) -> Bool { isReplayed || lowest <= bound }
    }

    private var groups: [GroupID: Group] = [:]
    /// Ascending by sequence number.
    private var suppressors: [Suppressor] = []

    /// Takes note of a durable record; those that it makes dead go out of `accounts`, itself comes in.
    /// - Parameter bound: of a suppressor, where it is not the record's own segment.
    mutating func add(_ record: ControlRecord, bound: UInt32? = nil, accounts: inout SegmentAccounts) {
        switch record.kind {
        case .entries: return
        case .hardState:
            if let old = groups[record.group]?.hardState {
                guard record.term > old.term || (record.term == old.term && old.index == 0 && record.index != 0) else {
                    return
                }
                drop(old, &accounts)
            }
            groups[record.group, default: Group()].hardState = record
        case .configuration:
            drop(groups[record.group]?.configuration, &accounts)
            groups[record.group, default: Group()].configuration = record
        case .groupCreated:
            drop(groups[record.group]?.created, &accounts)
            groups[record.group, default: Group()].created = record
        case .snapshotChunk: addChunk(record, &accounts)
        case .snapshotCurrent: addMark(record, &accounts)
        case .truncate, .groupRemoved:
            let isRemoval = record.kind == .groupRemoved
            if isRemoval { removeGroup(record.group, &accounts) }
            suppressors.append(
                Suppressor(record: record, bound: bound ?? record.segment, isReplayed: isRemoval))
        }
        accounts.add(record.segment, bytes: record.length)
    }

    private mutating func addChunk(_ record: ControlRecord, _ accounts: inout SegmentAccounts) {
        var group = groups[record.group] ?? Group()
        if record.chunkOffset == 0 {
            // The snapshot is begun anew.
            for chunk in group.pending where chunk.isSameSnapshot(as: record) { drop(chunk, &accounts) }
            group.pending.removeAll { $0.isSameSnapshot(as: record) }
        }
        group.pending.append(record)
        groups[record.group] = group
    }

    /// Keeps the mark of a damaged snapshot until there is another: without it the group would seem to have lost
    /// nothing.
    mutating func keep(_ mark: ControlRecord, accounts: inout SegmentAccounts) {
        groups[mark.group, default: Group()].pending.append(mark)
        accounts.add(mark.segment, bytes: mark.length)
    }

    private mutating func addMark(_ record: ControlRecord, _ accounts: inout SegmentAccounts) {
        var group = groups[record.group] ?? Group()
        drop(group.mark, &accounts)
        // The same snapshot made current once more keeps the chunks, unless they were staged again.
        let isRepeated = group.mark?.isSameSnapshot(as: record) == true
        let new = group.pending.filter { $0.kind == .snapshotChunk && $0.isSameSnapshot(as: record) }
        if !isRepeated || !new.isEmpty {
            for chunk in group.chunks { drop(chunk, &accounts) }
            group.chunks = new
        }
        for old in group.pending where old.index <= record.index {
            if !old.isSameSnapshot(as: record) || old.kind == .snapshotCurrent { drop(old, &accounts) }
        }
        group.pending.removeAll { $0.index <= record.index }
        group.mark = record
        groups[record.group] = group
        guard record.group == .topology else { return }
        for position in suppressors.indices where suppressors[position].record.index <= record.index {
            suppressors[position].isReplayed = false
        }
    }

    private mutating func removeGroup(_ id: GroupID, _ accounts: inout SegmentAccounts) {
        if let group = groups.removeValue(forKey: id) {
            for record in group.all { drop(record, &accounts) }
        }
        for suppressor in suppressors where suppressor.record.group == id { drop(suppressor.record, &accounts) }
        suppressors.removeAll { $0.record.group == id }
    }

    private func drop(_ record: ControlRecord?, _ accounts: inout SegmentAccounts) {
        guard let record else { return }
        accounts.release(SegmentRelease(segment: record.segment, bytes: record.length, count: 1))
    }

    // MARK: Reclamation

    /// Whether the record is needed although `segment` goes. It must stand there.
    func isNeeded(_ item: PlacedRecord, in segment: UInt32, lowestOther: UInt32?) -> Bool {
        if item.kind.isSuppressor {
            guard let position = suppressor(item.sequence), suppressors[position].record.segment == segment else {
                return false
            }
            return lowestOther.map { suppressors[position].isNeeded(lowest: $0) } ?? false
        }
        return find(item)?.segment == segment
    }

    /// A copy in `segment` is durable and takes the record's place, if the record still counts.
    mutating func relocated(_ item: PlacedRecord, to segment: UInt32, accounts: inout SegmentAccounts) {
        if item.kind.isSuppressor {
            guard let position = suppressor(item.sequence) else { return }
            move(&suppressors[position].record, to: segment, &accounts)
            return
        }
        guard var group = groups[item.group] else { return }
        for path in Group.singles where group[keyPath: path]?.sequence == item.sequence {
            if var record = group[keyPath: path] {
                move(&record, to: segment, &accounts)
                group[keyPath: path] = record
            }
        }
        for path in Group.lists {
            guard let position = group[keyPath: path].firstIndex(where: { $0.sequence == item.sequence }) else {
                continue
            }
            move(&group[keyPath: path][position], to: segment, &accounts)
        }
        groups[item.group] = group
    }

    /// Copies of records that were asked for when `asked` was the active segment are durable in `segment`: what was
    /// written meanwhile may have to suppress them.
    mutating func copiesArrived(in segment: UInt32, asked: UInt32) {
        guard segment > asked else { return }
        for position in suppressors.indices where suppressors[position].bound >= asked {
            suppressors[position].bound = max(suppressors[position].bound, segment)
        }
    }

    /// Drops the suppressors that have nothing left to suppress; `lowest` is the lowest segment that exists.
    mutating func prune(lowest: UInt32, accounts: inout SegmentAccounts) {
        for suppressor in suppressors where !suppressor.isNeeded(lowest: lowest) {
            drop(suppressor.record, &accounts)
        }
        suppressors.removeAll { !$0.isNeeded(lowest: lowest) }
    }

    private func move(_ record: inout ControlRecord, to segment: UInt32, _ accounts: inout SegmentAccounts) {
        drop(record, &accounts)
        record.segment = segment
        accounts.add(segment, bytes: record.length)
    }

    private func find(_ item: PlacedRecord) -> ControlRecord? {
        guard let group = groups[item.group] else { return nil }
        switch item.kind {
        case .hardState: return group.hardState.flatMap { $0.sequence == item.sequence ? $0 : nil }
        case .configuration: return group.configuration.flatMap { $0.sequence == item.sequence ? $0 : nil }
        case .groupCreated: return group.created.flatMap { $0.sequence == item.sequence ? $0 : nil }
        case .snapshotCurrent, .snapshotChunk:
            if let mark = group.mark, mark.sequence == item.sequence { return mark }
            return group.chunks.first { $0.sequence == item.sequence }
                ?? group.pending.first { $0.sequence == item.sequence }
        case .entries, .truncate, .groupRemoved: return nil
        }
    }

    private func suppressor(_ sequence: UInt64) -> Int? {
        var low = 0
        var high = suppressors.count
        while low < high {
            let middle = (low + high) / 2
            if suppressors[middle].record.sequence < sequence { low = middle + 1 } else { high = middle }
        }
        return low < suppressors.count && suppressors[low].record.sequence == sequence ? low : nil
    }
}

extension ControlLedger.Group {
    static var singles: [WritableKeyPath<Self, ControlRecord?>] { [\.hardState, \.configuration, \.created, \.mark] }
    static var lists: [WritableKeyPath<Self, [ControlRecord]>] { [\.chunks, \.pending] }

    var all: [ControlRecord] { [hardState, configuration, created, mark].compactMap { $0 } + chunks + pending }
}

extension ControlRecord {
    func isSameSnapshot(as other: ControlRecord) -> Bool { index == other.index && term == other.term }
}

extension RecordKind {
    /// Whether the record suppresses older ones and dies only with the last segment that may hold them.
    var isSuppressor: Bool { self == .truncate || self == .groupRemoved }
}
