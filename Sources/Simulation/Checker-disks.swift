import LogStore
import Primitives
import Raft
import Replication

/// What of the logs of a node's replicas is on its disk, as its start found it and as syncs have returned since: seen
/// at the disk, whatever the processes think.
struct DiskLog {
    enum Record {
        case entry(GroupID, LogIndex, Term)
        case truncation(GroupID, LogIndex)
        case snapshot(GroupID, LogIndex)
    }

    private var terms: [GroupID: [LogIndex: Term]] = [:]
    private var snapshots: [GroupID: LogIndex] = [:]
    private var staged = Ring<(ticket: UInt64, records: [Record])>()

    init(_ store: RecoveredStore) {
        for group in store.groups {
            for entry in group.entries { terms[group.group, default: [:]][entry.index] = entry.term }
            snapshots[group.group] = group.snapshot?.index
        }
    }

    func term(of group: GroupID, at index: LogIndex) -> Term? { terms[group]?[index] }

    /// Whether the entry at `index`, which a snapshot of the replica covers, is there by itself or in a snapshot.
    func covers(_ group: GroupID, _ index: LogIndex) -> Bool {
        index <= snapshots[group] ?? .zero || term(of: group, at: index) != nil
    }

    mutating func stage(_ records: [Record], ticket: UInt64) { staged.append((ticket, records)) }

    /// The records of `ticket` and of all earlier ones are on the disk.
    mutating func synced(_ ticket: UInt64) {
        while let first = staged.first, first.ticket <= ticket {
            for record in first.records {
                switch record {
                case .entry(let group, let index, let term): terms[group, default: [:]][index] = term
                case .truncation(let group, let from):
                    var index = from
                    while terms[group]?.removeValue(forKey: index) != nil { index = index.next }
                case .snapshot(let group, let index): snapshots[group] = index
                }
            }
            staged.popFirst()
        }
    }
}

// What is said to be durable is.
extension Checker {
    /// What a tick hands to the disk.
    func stage(_ process: SimulatedProcess, _ output: ShardOutput) {
        var records: [DiskLog.Record] = []
        for record in output.records {
            switch record {
            case .entry(let entry):
                // What came with a snapshot is not of the replica's own log.
                if process.shard.term(of: entry.group, at: entry.index) == entry.term {
                    records.append(.entry(entry.group, entry.index, entry.term))
                }
            case .truncate(let group, let from): records.append(.truncation(group, from))
            case .snapshotCurrent(let mark): records.append(.snapshot(mark.group, mark.index))
            default: break
            }
        }
        if !records.isEmpty { disks[process.node]?.stage(records, ticket: output.ticket) }
    }

    func synced(_ ticket: UInt64, at node: NodeID) { disks[node]?.synced(ticket) }

    /// Whether the entry that the replica has at `index` is on its disk, by itself or covered by a snapshot.
    func isOnDisk(_ process: SimulatedProcess, _ group: GroupID, _ index: LogIndex) -> Bool {
        guard let disk = disks[process.node] else { return true }
        guard index > process.shard.base(of: group) else { return disk.covers(group, index) }
        return disk.term(of: group, at: index) == process.shard.term(of: group, at: index)
    }

    func checkAcknowledgement(_ reply: AppendReply, of process: SimulatedProcess, in group: GroupID) {
        // Of a group that was deleted in the same tick nothing is known any more.
        guard reply.isAccepted, reply.mayVote, process.shard.replicaState(of: group) != nil,
            !isOnDisk(process, group, reply.index)
        else { return }
        fail("durable ⊇ acknowledged", "\(process.node) acknowledges \(reply.index) of \(group), not on its disk")
    }

    /// What a leader was told to be there stays, as long as it leads.
    func checkTruncation(_ process: SimulatedProcess, _ group: GroupID, _ index: LogIndex) {
        guard let state = process.shard.replicaState(of: group), state.mayVote else { return }
        let name = Acknowledger(group: group, term: state.term, store: process.shard.store)
        if let acknowledged = acknowledgements[name], acknowledged >= index {
            fail(
                "acknowledged entries stay",
                "\(process.node) drops \(index) of \(group), acknowledged up to \(acknowledged) in \(state.term)")
        }
    }
}
