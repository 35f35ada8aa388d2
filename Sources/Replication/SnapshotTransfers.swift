import LogStore
import Primitives
import QuorumQueue

/// Leader only: a snapshot that followers are being sent, kept in memory as long as one of them asks.
struct OutgoingSnapshot {
    let name: SnapshotName
    /// The machine's state, compressed.
    let state: Bytes
    let live: [ClosedRange<LogIndex>]
    /// When a follower last asked for a part.
    var lastRequest: Instant
    /// A part whose entries are being read from disk, per follower.
    var reading: [NodeID: UInt64] = [:]

    /// Nobody asks any more after this.
    static let patience = Interval.seconds(5)
}

/// A snapshot that this replica is being sent.
struct IncomingSnapshot {
    let name: SnapshotName
    let byteCount: Int
    let live: [ClosedRange<LogIndex>]
    /// The live entries up to here are on this disk, or not needed any more.
    var through: LogIndex
    /// Of them those that came with the snapshot, or an earlier one; ascending, durable.
    private(set) var received: [EntryLocation] = []
    /// The state as far as it has come, compressed.
    private var chunks: [Bytes] = []
    private(set) var stateCount = 0
    /// Entries being written: the place of the last one that is durable when they are, and what they are.
    var writing: (through: LogIndex, entries: [LogIndex: Term])?
    /// All is here; the mark is being written.
    var install: SnapshotInstall?

    init(_ offer: SnapshotOffer, after: LogIndex) {
        name = offer.name
        byteCount = offer.byteCount
        live = offer.live
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
    var machine: QueueMachine
    var live: [EntryLocation]
    var keepsSuffix: Bool
}
