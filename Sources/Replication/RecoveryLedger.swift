package import LogStore
public import Primitives

/// What recovery read of one group, and how the replica got on with it: 64 bytes.
public struct GroupRecovery: Hashable, Sendable {
    /// Whose log it is.
    public let group: GroupID
    /// The last entry that the snapshot found covers; zero without one.
    public let snapshotIndex: LogIndex
    /// The last entry found, or the snapshot's: what must be applied.
    public let lastIndex: LogIndex
    /// Bytes of the entries found.
    public let entryBytes: UInt64
    /// Entries found, those below the snapshot that it refers to included.
    public let entries: UInt32
    /// Bytes of the snapshot, as they stand on the disk.
    public let snapshotBytes: UInt32
    /// Entries that the snapshot refers to and that were not found.
    public let missing: UInt32
    /// Entries whose bytes are damaged.
    public let damaged: UInt32
    /// Entries that came from other members since.
    public fileprivate(set) var repaired: UInt32 = 0
    /// Entries applied until all that was found was applied.
    public fileprivate(set) var replayed: UInt32 = 0
    /// Milliseconds; the highest number while it is not applied.
    private var caughtUpMilliseconds = UInt32.max
    /// Zero for none.
    private var leaderNumber: UInt16 = 0

    package init(_ found: RecoveredGroup) {
        group = found.group
        snapshotIndex = found.snapshot?.index ?? .zero
        lastIndex = found.lastIndex
        entryBytes = (found.retained + found.entries).reduce(0) { $0 + UInt64($1.length) }
        entries = UInt32(clamping: found.retained.count + found.entries.count)
        snapshotBytes = UInt32(clamping: found.snapshot?.bytes.count ?? 0)
        missing = UInt32(clamping: found.missing.count)
        damaged = UInt32(clamping: found.damaged.count)
    }

    /// Whether everything that was found is applied.
    public var isCaughtUp: Bool { caughtUpMilliseconds < .max }
    /// How long after the store was open that was; nil before.
    public var caughtUpAfter: Interval? { isCaughtUp ? .milliseconds(UInt64(caughtUpMilliseconds)) : nil }
    /// Who led then and so said what is committed; nil when nothing had to be applied.
    public var leader: NodeID? { leaderNumber == 0 ? nil : NodeID(leaderNumber) }

    fileprivate mutating func catchUp(after time: Interval, leader: NodeID?) {
        caughtUpMilliseconds = UInt32(clamping: min(time.nanoseconds / 1_000_000, UInt64(UInt32.max - 1)))
        leaderNumber = leader?.rawValue ?? 0
    }
}

/// What this start read for each group, and when the group had caught up.
public struct RecoveryLedger: Sendable {
    /// Ascending by group.
    public private(set) var groups: [GroupRecovery]
    private let start: Instant

    /// - Parameters:
    ///   - found: what the node log held, ascending by group.
    ///   - start: the moment from which `GroupRecovery.caughtUpAfter` counts.
    package init(_ found: [RecoveredGroup], start: Instant) {
        groups = found.map { GroupRecovery($0) }
        self.start = start
    }

    /// What is known of a group; nil for one that this start did not find.
    public subscript(group: GroupID) -> GroupRecovery? { place(of: group).map { groups[$0] } }

    package mutating func repaired(_ group: GroupID) {
        if let place = place(of: group) { groups[place].repaired &+= 1 }
    }

    package mutating func replayed(_ group: GroupID, _ count: Int) {
        guard let place = place(of: group) else { return }
        groups[place].replayed = UInt32(clamping: Int(groups[place].replayed) + count)
    }

    package mutating func caughtUp(_ group: GroupID, leader: NodeID?, now: Instant) {
        if let place = place(of: group) { groups[place].catchUp(after: now - start, leader: leader) }
    }

    private func place(of group: GroupID) -> Int? {
        var low = 0
        var high = groups.count
        while low < high {
            let middle = (low + high) / 2
            if groups[middle].group < group { low = middle + 1 } else { high = middle }
        }
        return low < groups.count && groups[low].group == group ? low : nil
    }
}
