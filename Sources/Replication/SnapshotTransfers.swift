import LogStore
import Primitives
import Raft

/// Leader only: a snapshot that followers are being sent, kept in memory as long as one of them asks.
struct OutgoingSnapshot {
    let name: SnapshotName
    /// The state, compressed; nil while it is being encoded.
    var state: Bytes?
    let live: [ClosedRange<LogIndex>]
    /// The members at its index, when an entry brought them.
    let configuration: SnapshotOffer.Configuration?
    /// When a follower last asked for a part that it had not asked for before.
    var lastProgress: Instant
    /// Followers to whom it is offered once it is encoded.
    var waiting: Set<NodeID> = []
    /// A part whose entries are being read from disk, per follower.
    var reading: [NodeID: UInt64] = [:]
    /// The furthest part that each follower asked for.
    private var places: [NodeID: Place] = [:]

    private struct Place {
        var after: LogIndex
        var offset: Int
    }

    /// Nobody gets any further after this: the log is not kept for them.
    static let patience = Interval.seconds(5)

    init(
        name: SnapshotName, live: [ClosedRange<LogIndex>], configuration: SnapshotOffer.Configuration?,
        lastProgress: Instant
    ) {
        self.name = name
        self.live = live
        self.configuration = configuration
        self.lastProgress = lastProgress
    }

    /// A follower asks for the part behind this place.
    mutating func asked(by node: NodeID, after: LogIndex, offset: Int, now: Instant) {
        if let place = places[node], (after, offset) <= (place.after, place.offset) { return }
        places[node] = Place(after: after, offset: offset)
        lastProgress = now
    }
}

/// A snapshot that this replica is being sent.
struct IncomingSnapshot {
    let name: SnapshotName
    let byteCount: Int
    let live: [ClosedRange<LogIndex>]
    /// The members at its index, when an entry brought them.
    let configuration: SnapshotOffer.Configuration?
    /// The live entries up to here are on this disk, or not needed any more.
    var through: LogIndex
    /// Of them those that came with the snapshot, or an earlier one; ascending, durable.
    private(set) var received: [EntryLocation] = []
    /// The state as far as it has come, compressed.
    private var chunks: [Bytes] = []
    private(set) var stateCount = 0
    /// Entries being written: the place of the last one that is durable when they are, and what they are.
    var writing: (through: LogIndex, entries: [LogIndex: Term])?
    /// All is here; the state is being decoded.
    var isDecoding = false
    /// All is here; the mark is being written.
    var install: SnapshotInstall?
    /// More is to come.
    var isOpen: Bool { install == nil && !isDecoding }

    init(_ offer: SnapshotOffer, after: LogIndex) {
        name = offer.name
        byteCount = offer.byteCount
        live = offer.live
        configuration = offer.configuration
        through = after
    }

    /// Takes over what came with an earlier offer and is still needed.
    mutating func inherit(_ earlier: IncomingSnapshot) {
        guard earlier.through > through else { return }
        // Both ascend.
        var ranges = live[...]
        received = earlier.received.filter { location in
            while let range = ranges.first, range.upperBound < location.index { ranges = ranges.dropFirst() }
            return ranges.first?.contains(location.index) ?? false
        }
        through = min(earlier.through, name.index)
    }

    mutating func append(_ chunk: Bytes) {
        // A small chunk must not keep a large payload alive.
        chunks.append(chunk.compacted())
        stateCount += chunk.count
    }

    /// The whole state.
    var state: Bytes {
        var writer = ByteWriter(capacity: stateCount)
        for chunk in chunks { writer.write(chunk) }
        return writer.take()
    }

    /// Notes that an entry is durable.
    /// - Returns: false when nobody waits for it.
    mutating func append(_ location: EntryLocation) -> Bool {
        guard writing?.entries[location.index] == location.term, location.index > received.last?.index ?? .zero else {
            return false
        }
        received.append(location)
        return true
    }

    /// Whether the entry came with the snapshot, reported as durable or not, or the installation counts on it.
    func needs(_ location: EntryLocation) -> Bool {
        received.place(of: location) != nil || writing?.entries[location.index] == location.term
            || install?.live.place(of: location) != nil
    }

    mutating func move(_ location: EntryLocation, to copy: EntryLocation) -> Bool {
        let place = received.place(of: location)
        if let place { received[place] = copy }
        // The list that the installation will put in the log's place moves, too: what it names must exist then.
        let installed = install?.live.place(of: location)
        if let installed { install?.live[installed] = copy }
        return place != nil || installed != nil
    }
}

/// The last step of an installation, between its record's way to the disk and its effect.
struct SnapshotInstall {
    var leader: NodeID
    var leaderTerm: Term
    var state: GroupState
    var live: [EntryLocation]
    var keepsSuffix: Bool
    /// Appends that came meanwhile: word of a commit is not repeated as long as the link stands.
    private(set) var held: [(message: RaftMessage, entries: [Entry], from: NodeID)] = []
    private var heldBytes = 0

    /// Bytes and messages held; what comes beyond is dropped, and sent again as it is not answered.
    private static let heldLimit = (bytes: 4 << 20, messages: 256)

    init(leader: NodeID, leaderTerm: Term, state: GroupState, live: [EntryLocation], keepsSuffix: Bool) {
        self.leader = leader
        self.leaderTerm = leaderTerm
        self.state = state
        self.live = live
        self.keepsSuffix = keepsSuffix
    }

    mutating func hold(_ message: RaftMessage, _ entries: [Entry], from node: NodeID) {
        heldBytes += entries.reduce(0) { $0 + $1.bytes.count }
        guard heldBytes <= SnapshotInstall.heldLimit.bytes, held.count < SnapshotInstall.heldLimit.messages else {
            return
        }
        held.append((message, entries, node))
    }
}
