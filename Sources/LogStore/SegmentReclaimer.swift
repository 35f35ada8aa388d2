import Primitives

/// The steps of emptying one segment after the other. It decides only: `NodeLog` knows what is live, and whoever drives
/// it reads, asks and waits.
///
///     idle ─▶ surveying ─▶ examining ⇄ asking
///                              │ ▲
///                    something │ │ nothing left of the group
///                         live ▼ │
///                           copying ⇄ loading        one batch at a time, until its copies are durable
///
///     examining ─ all seen ─▶ confirming ⇄ askingAgain ─ nothing live ─▶ settling ─▶ retiring ─▶ idle
struct SegmentReclaimer: Sendable {
    enum Phase: Sendable {
        case idle
        /// The victim's footer is being read.
        case surveying(UInt32)
        /// The next records of the victim are to be examined.
        case examining
        /// It was asked which entries of these records are live.
        case asking([PlacedRecord])
        /// These are live and not copied yet.
        case copying
        /// Some of them are being read.
        case loading
        /// All are copied; the records are examined once more from the start.
        case confirming
        case askingAgain
        /// Nothing is live. It waits until what was staged until then is durable: the reasons for it.
        case settling(UInt64)
        case retiring
    }

    private(set) var phase = Phase.idle
    private(set) var victim: SegmentContents?
    private var items: [RecoveredItem] = []
    // The next record to examine: the item, the position in its run, and the bytes of the run's records before it.
    private var item = 0
    private var position = 0
    private var start = 0
    /// Live records, from `copied` on not yet staged.
    private var live: [PlacedRecord] = []
    private var copied = 0
    /// The active segment when the last question was asked.
    private(set) var asked: UInt32 = 0
    /// Of sealed segments whose footers are damaged; few.
    private var known: [SegmentContents]

    /// Records examined with one question.
    static var groupLimit: Int { 4_096 }

    init(contents: [SegmentContents]) { known = contents }

    /// Takes the contents of a segment whose footer was found damaged.
    mutating func learn(_ contents: SegmentContents) {
        known.removeAll { $0.segment == contents.segment }
        known.append(contents)
    }

    var isIdle: Bool { if case .idle = phase { true } else { false } }
    var isCopying: Bool { if case .copying = phase { true } else { false } }

    // MARK: Steps

    /// Begins with a segment. Returns false when its footer must be read first.
    mutating func begin(_ segment: UInt32) -> Bool {
        phase = .surveying(segment)
        guard let contents = known.first(where: { $0.segment == segment }) else { return false }
        return surveyed(contents)
    }

    /// Takes the victim's contents; false when they cannot be used.
    mutating func surveyed(_ contents: SegmentContents) -> Bool {
        guard contents.retirement != nil else { return false }
        do throws(LogStoreFailure) {
            items = try contents.items()
        } catch {
            return false
        }
        victim = contents
        rewind()
        phase = .examining
        return true
    }

    /// The next records of the victim, none at the end.
    mutating func nextGroup() -> [PlacedRecord] {
        var group: [PlacedRecord] = []
        while group.count < SegmentReclaimer.groupLimit && item < items.count {
            let records = items[item].item.records
            group.append(items[item].placed(position, start: start))
            start += Int(records[position].length)
            position += 1
            if position == records.count {
                item += 1
                position = 0
                start = 0
            }
        }
        return group
    }

    mutating func ask(_ group: [PlacedRecord], active: UInt32) {
        asked = active
        phase = .asking(group)
    }

    mutating func copy(_ records: [PlacedRecord]) {
        live = records
        copied = 0
        phase = .copying
    }

    /// The next records to read, of at most `limit` bytes, one larger excepted; none when the group is done.
    mutating func nextBatch(limit: Int) -> [PlacedRecord] {
        var batch: [PlacedRecord] = []
        var bytes = 0
        while copied < live.count {
            let cost = Int(live[copied].length) + SegmentAccount.directoryShare
            guard batch.isEmpty || bytes + cost <= limit else { break }
            bytes += cost
            batch.append(live[copied])
            copied += 1
        }
        phase = batch.isEmpty ? .examining : .loading
        return batch
    }

    mutating func loaded() { phase = .copying }

    mutating func confirm() {
        rewind()
        phase = .confirming
    }

    mutating func goOnConfirming() { phase = .confirming }
    mutating func askAgain() { phase = .askingAgain }
    mutating func settle(until count: UInt64) { phase = .settling(count) }
    mutating func retire() { phase = .retiring }

    /// Ends the work on the victim, for better or worse.
    mutating func end(isRetired: Bool) {
        if isRetired, let victim { known.removeAll { $0.segment == victim.segment } }
        victim = nil
        items = []
        live = []
        phase = .idle
    }

    private mutating func rewind() {
        item = 0
        position = 0
        start = 0
    }
}
