import LogStore
import Primitives
import QuorumQueue
import Raft

/// Damage that a shard has met since the start.
public struct RepairTotals: Hashable, Sendable {
    /// Entries whose bytes were not the entry's, found by recovery, a read or the scrub.
    public var found = 0
    /// Entries that came from other members since.
    public var repaired = 0
    /// Records beside the entries that were damaged and written again.
    public var rewritten = 0

    /// None.
    public init() {}
}

/// The entries of a replica whose bytes this disk does not have any more, and that other members are asked for.
struct DamagedEntries {
    /// By index, with their terms; nil for one that only a snapshot's mark names.
    private(set) var terms: [LogIndex: Term?] = [:]
    /// Copies from other members on their way to the disk.
    private var arriving: [LogIndex: Term] = [:]
    /// Nobody is asked before this moment.
    var askAt = Instant.zero
    /// Whose turn it is to be asked.
    var asked = 0

    var isEmpty: Bool { terms.isEmpty }

    mutating func insert(_ index: LogIndex, _ term: Term?) {
        guard terms[index] == nil else { return }
        terms[index] = .some(term)
        askAt = .zero
    }

    func hasOne(above base: LogIndex, upTo last: LogIndex) -> Bool {
        terms.keys.contains { $0 > base && $0 <= last }
    }

    func contains(_ index: LogIndex) -> Bool { terms[index] != nil }

    /// The lowest indices, so many at most.
    func first(_ count: Int) -> [(index: LogIndex, term: Term?)] {
        terms.keys.sorted().prefix(count).map { ($0, terms[$0] ?? nil) }
    }

    /// Whether a copy from another member is what is missing; it is written then.
    mutating func take(_ entry: Entry) -> Bool {
        guard let term = terms[entry.index], arriving[entry.index] == nil, (term ?? entry.term) == entry.term else {
            return false
        }
        arriving[entry.index] = entry.term
        return true
    }

    /// Whether the entry at `location` is a copy that was waited for.
    mutating func arrived(_ location: EntryLocation) -> Bool {
        guard arriving[location.index] == location.term else { return false }
        arriving[location.index] = nil
        terms[location.index] = nil
        return true
    }

    /// The log does not hold these entries any more.
    mutating func forget(_ isGone: (LogIndex) -> Bool) {
        for index in terms.keys.sorted() where isGone(index) {
            terms[index] = nil
            arriving[index] = nil
        }
    }
}

// Entries that this disk lost are fetched from other members, by index and term: equal index and term, equal entry.
extension Shard {
    /// Entries asked for at once.
    private static let repairBatch = 64
    /// Bytes of entries sent at once.
    private static let repairBytes = 1 << 20
    /// A member that does not answer is not waited for any longer.
    private static let repairPatience = Interval.milliseconds(100)

    /// A read found other bytes than the entry's.
    func noteDamage(_ replica: Replica, _ location: EntryLocation) {
        guard replica.needs(location) else { return }
        output.events.append(.entryDamaged(replica.group, location.index, at: location))
        repairs.found += 1
        replica.damaged.insert(location.index, location.term)
        // Who cannot apply its own log must not lead: it would never serve.
        if location.index > replica.applied && !replica.peers.isEmpty {
            if replica.raft.mayLeadNow { replica.waitsForRepair = true }
            replica.raft.forbidLeading()
            if replica.isLeader { step(replica) { $0.quorumLost(into: &$1) } }
        }
        askForRepair(replica)
    }

    /// Asks the next member in turn for what is damaged.
    func askForRepair(_ replica: Replica) {
        replica.damaged.forget { index in
            index > replica.raft.lastIndex || (index > .zero && !replica.isOwed(index))
        }
        guard !replica.damaged.isEmpty else { return repairFinished(replica) }
        activate(replica)
        // What is applied and not needed any more may be gone everywhere: behind a snapshot nobody asks for it, no
        // follower either.
        if replica.damaged.hasOne(above: replica.locations.base, upTo: replica.applied) { takeSnapshotNow(replica) }
        guard replica.damaged.askAt <= now else { return }
        let linked = replica.peers.filter { peers[$0]?.isLinked ?? false }
        guard !linked.isEmpty else { return }
        replica.damaged.askAt = now + Shard.repairPatience
        replica.damaged.asked += 1
        let wanted = replica.damaged.first(Shard.repairBatch)
        let peer = linked[replica.damaged.asked % linked.count]
        outboxes[peer]?.outbox.append(.repairRequest, group: replica.group, sizeHint: 16 * wanted.count) { writer in
            for (index, term) in wanted {
                writer.write(index.rawValue)
                writer.write(term?.rawValue ?? 0)
            }
        }
    }

    /// Another member asks for entries that its disk lost.
    func received(repairRequest content: Bytes, group: GroupID, from node: NodeID) throws(DecodingFailure) {
        let wanted = try content.withUnsafeBytes { buffer throws(DecodingFailure) in
            guard buffer.count <= 16 * Shard.repairBatch else { throw .invalid("repair request length") }
            var reader = ByteReader(buffer)
            var wanted: [(LogIndex, Term)] = []
            while !reader.isAtEnd { wanted.append((LogIndex(try reader.read()), Term(try reader.read()))) }
            return wanted
        }
        guard let replica = replicas[group], isMember(node, of: replica) else { return }
        // What the log here has given up comes with a snapshot only.
        let base = replica.locations.base
        if replica.isLeader, wanted.contains(where: { $0.0 <= base && replica.locations[$0.0] == nil }) {
            offerSnapshot(replica, to: node)
        }
        var locations: [EntryLocation] = []
        var size = 0
        for (index, term) in wanted {
            // Without a term only what is committed is known to be the same entry.
            guard let location = replica.locations[index], size < Shard.repairBytes,
                term == location.term || (term == .zero && index <= replica.raft.commit)
            else { continue }
            locations.append(location)
            size += Int(location.length)
        }
        guard !locations.isEmpty else { return }
        request(locations, of: group, for: .repair(of: node))
    }

    /// The entries that another member asked for were read.
    func repairRead(_ result: Result<[Entry], EntryReadFailure>, _ replica: Replica, to node: NodeID) {
        guard case .success(let entries) = result else { return }
        let size = entries.reduce(64) { $0 + $1.bytes.count }
        outboxes[node]?.outbox.append(.repair, group: replica.group, sizeHint: size) { writer in
            for entry in entries { writer.write(entry.bytes) }
        }
    }

    /// Entries come that this disk lost.
    func received(repair content: Bytes, group: GroupID, from node: NodeID) throws(DecodingFailure) {
        let entries = try SnapshotMessage.entries(in: content, group: group)
        guard let replica = replicas[group] else { return }
        for entry in entries where replica.damaged.take(entry) {
            output.records.append(.entry(entry.compacted()))
        }
    }

    /// A copy that was asked for is on the disk.
    func repaired(_ location: EntryLocation, _ replica: Replica) {
        if let old = replica.locations[location.index] {
            if replica.move(old, to: location) { release(old) } else { release(location) }
        } else if location.index <= replica.locations.base {
            replica.locations.retain(location)
        } else {
            release(location)
        }
        recovery.repaired(replica.group)
        repairs.repaired += 1
        output.events.append(.entryRepaired(replica.group, location.index))
        replica.windows.removeAll()
        enqueue(replica)
        if replica.damaged.isEmpty { repairFinished(replica) } else { askForRepair(replica) }
    }

    func repairFinished(_ replica: Replica) {
        guard replica.waitsForRepair else { return }
        replica.waitsForRepair = false
        if !replica.waitsForCertainty { replica.raft.permit(voting: false, leading: true) }
        if replica.knownLeader == nil && replica.campaignAt == nil { scheduleFirstCampaign(replica) }
    }
}

extension Replica {
    /// Whether the machine cannot get to `index` by the log.
    func isStuck(before index: LogIndex) -> Bool {
        applied < index && index <= raft.commit && (isStateMissing || damaged.contains(applied.next))
    }

    /// Whether the machine or a follower may ask for the entry: at or below the base only what is still referred to.
    func isOwed(_ index: LogIndex) -> Bool { index > locations.base || refersTo(index) }

    /// Whether the machine needs the entry.
    func refersTo(_ index: LogIndex) -> Bool {
        queue?.liveIndices.contains { $0.contains(index) } ?? false
    }
}
