import Primitives

/// Records of a segment that are not needed any more.
public struct SegmentRelease: Hashable, Sendable {
    /// The segment's number. One that is gone is ignored.
    public var segment: UInt32
    /// Bytes of the records themselves, as in `EntryLocation.length`.
    public var bytes: Int
    /// Count of the records.
    public var count: Int

    /// A release of `count` records of `bytes` in total.
    public init(segment: UInt32, bytes: Int, count: Int) {
        self.segment = segment
        self.bytes = bytes
        self.count = count
    }

    /// The release of one entry.
    public init(_ location: EntryLocation) {
        self.init(segment: location.segment, bytes: Int(location.length), count: 1)
    }

    /// Adds another entry of the same segment.
    public mutating func add(_ location: EntryLocation) {
        precondition(location.segment == segment, "an entry of another segment")
        bytes += Int(location.length)
        count += 1
    }
}

/// What a segment holds of use.
public struct SegmentAccount: Sendable {
    /// The segment's number.
    public let segment: UInt32
    /// Bytes of its file.
    public internal(set) var size: Int
    /// Whether it takes no more frames.
    public internal(set) var isSealed: Bool
    /// Live records in it.
    public internal(set) var liveRecords = 0
    /// Bytes of these records, without their directory items.
    public internal(set) var liveRecordBytes = 0
    /// Reclamation could not copy everything; it waits until fewer records are live.
    var blockedAt: Int?
    /// The file is damaged: what is live goes elsewhere, however much it is.
    var isCondemned = false
    /// The numbers of its first and last frame; zero as long as they are not known.
    var firstFrame: UInt64 = 0
    var lastFrame: UInt64 = 0

    var hasFrames: Bool { firstFrame > 0 && firstFrame <= lastFrame }

    /// Bytes of a record's share in the directory.
    public static let directoryShare = 48
    /// Bytes a record takes at most beside itself: the directory is in its frame, in the next one and in the footer.
    static let packedShare = 3 * directoryShare

    /// Bytes of the live records with their share of the directory.
    public var liveBytes: Int { liveRecordBytes + SegmentAccount.directoryShare * liveRecords }
    /// Bytes that the live records take when they are copied, at most; copying more often would gain nothing.
    var packedBytes: Int { min(size, liveRecordBytes + SegmentAccount.packedShare * liveRecords) }
    var deadBytes: Int { size - packedBytes }
}

/// The accounts of all segments that hold frames.
struct SegmentAccounts: Sendable {
    /// Ascending by number; the last one is the active segment.
    private(set) var accounts: [SegmentAccount] = []
    /// Sums over the sealed ones.
    private(set) var sealedPackedBytes = 0
    private(set) var sealedDeadBytes = 0
    private(set) var emptySealed = 0
    private var condemned = 0

    /// The lowest number of a segment that holds frames, apart from one.
    func lowest(except segment: UInt32?) -> UInt32? {
        guard let first = accounts.first else { return nil }
        return first.segment == segment ? accounts.dropFirst().first?.segment : first.segment
    }

    /// The next segment is in use.
    mutating func open(_ segment: UInt32, size: Int, firstFrame: UInt64) {
        precondition(accounts.last.map { $0.segment < segment } ?? true, "segments open in order")
        var account = SegmentAccount(segment: segment, size: size, isSealed: false)
        account.firstFrame = firstFrame
        accounts.append(account)
    }

    mutating func seal(_ segment: UInt32, size: Int, lastFrame: UInt64) {
        change(segment) {
            $0.isSealed = true
            $0.size = size
            $0.lastFrame = lastFrame
        }
    }

    mutating func add(_ segment: UInt32, bytes: Int, count: Int = 1) {
        change(segment) {
            $0.liveRecordBytes += bytes
            $0.liveRecords += count
        }
    }

    mutating func release(_ release: SegmentRelease) {
        change(release.segment) {
            $0.liveRecordBytes = max(0, $0.liveRecordBytes - release.bytes)
            $0.liveRecords = max(0, $0.liveRecords - release.count)
        }
    }

    /// Leaves the segment alone until something in it dies.
    mutating func block(_ segment: UInt32) { change(segment) { $0.blockedAt = $0.liveRecords } }

    /// Everything live is to leave the segment.
    mutating func condemn(_ segment: UInt32) { change(segment) { $0.isCondemned = true } }

    /// The segment is gone.
    mutating func remove(_ segment: UInt32) {
        guard let position = position(of: segment) else { return }
        count(accounts[position], -1)
        accounts.remove(at: position)
    }

    func account(of segment: UInt32) -> SegmentAccount? { position(of: segment).map { accounts[$0] } }

    /// The segment to reclaim: one without anything live, or a damaged one; else the sparsest of less than half, when
    /// what is dead
    /// exceeds both `tolerance` and what is live.
    func victim(tolerance: Int) -> UInt32? {
        let isWorthwhile = sealedDeadBytes > max(tolerance, sealedPackedBytes)
        guard emptySealed > 0 || condemned > 0 || isWorthwhile else { return nil }
        var best: SegmentAccount?
        for account in accounts where account.isSealed {
            if let blockedAt = account.blockedAt, account.liveRecords >= blockedAt { continue }
            if account.liveRecords == 0 || account.isCondemned { return account.segment }
            guard isWorthwhile, 2 * account.packedBytes < account.size else { continue }
            // Compares the live shares without a division.
            if let best, best.packedBytes * account.size <= account.packedBytes * best.size { continue }
            best = account
        }
        return best?.segment
    }

    private func position(of segment: UInt32) -> Int? {
        if let last = accounts.last, last.segment == segment { return accounts.count - 1 }
        var low = 0
        var high = accounts.count
        while low < high {
            let middle = (low + high) / 2
            if accounts[middle].segment < segment { low = middle + 1 } else { high = middle }
        }
        return low < accounts.count && accounts[low].segment == segment ? low : nil
    }

    private mutating func change(_ segment: UInt32, _ body: (inout SegmentAccount) -> Void) {
        guard let position = position(of: segment) else { return }
        count(accounts[position], -1)
        body(&accounts[position])
        count(accounts[position], 1)
    }

    private mutating func count(_ account: SegmentAccount, _ sign: Int) {
        guard account.isSealed else { return }
        sealedPackedBytes += sign * account.packedBytes
        sealedDeadBytes += sign * account.deadBytes
        if account.liveRecords == 0 { emptySealed += sign }
        if account.isCondemned { condemned += sign }
    }
}
