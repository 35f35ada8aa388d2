/// A rare path of the storage that a simulation means to reach.
public enum CoveragePoint: String, CaseIterable, Sendable {
    /// Power failed and took sectors that were not synced.
    case unsyncedSectors = "power losses with unsynced sectors"
    /// Power failed and took changes of the directory that were not synced.
    case directoryChanges = "power losses with unsynced directory changes"
    case tornTail = "torn tails cut"
    case damagedRecords = "starts that found damaged records"
    case repeatedDirectory = "directories taken from the next frame"
    case damagedFooter = "footers damaged"
    case lostRecords = "stores that lost records"
    case groupWithoutVote = "groups that lost their vote"
    case readErrorAtStart = "starts that met unreadable sectors"
    case readError = "read errors"
    case damagedEntry = "damaged entries met"
    case repairedEntry = "entries repaired"
    case misdirectedWrite = "misdirected writes"
    case failedSync = "failed syncs"
    case failedStart = "starts that failed"
    case stall = "disk stalls"
    case fullDisk = "writes that a full disk refused"
    case refusedSegment = "segments that a full disk refused"
    case healedNode = "damaged nodes that became whole"
    case diskLoss = "disks lost"
    case rejoin = "nodes that had everything again after that"
    case configurationChange = "configurations committed"
    case promotion = "learners made voters"
    case truncatedConfiguration = "configurations truncated"
    case orderlyStop = "processes stopped in order"
    case clockJump = "jumps of a wall clock"
    case transfer = "leaderships handed over"
    case installedConfiguration = "configurations that came with a snapshot"
}

/// How often rare paths were reached.
public struct Coverage: Sendable {
    private var counts: [CoveragePoint: UInt64] = [:]

    /// Nothing reached yet.
    public init() {}

    /// How often the point was reached.
    public subscript(point: CoveragePoint) -> UInt64 { counts[point] ?? 0 }

    mutating func add(_ point: CoveragePoint, _ count: UInt64 = 1) {
        if count > 0 { counts[point, default: 0] += count }
    }

    /// Adds what another run has reached.
    public mutating func add(_ other: Coverage) {
        for point in CoveragePoint.allCases { add(point, other[point]) }
    }
}
