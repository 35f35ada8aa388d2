import LogStore
import Primitives
import QuorumQueue
import Raft

// A replica as the disk has it.
extension Shard {
    /// - Parameter recovered: what the node log held; nil for a group that is new here.
    func makeReplica(
        _ group: GroupID, _ descriptor: GroupDescriptor, _ restored: RestoredLog, _ recovered: RecoveredGroup?
    ) -> Replica {
        var restored = restored
        var machine = group == .topology ? nil : QueueMachine(settings: QueueSettings())
        if let snapshot = recovered?.snapshot, group != .topology {
            do {
                machine = try Shard.machine(of: snapshot)
            } catch {
                // Its log cannot be applied: the replica follows, and a leader's snapshot will make it whole.
                output.events.append(.snapshotUnreadable(group, "\(error)"))
                machine = nil
                restored.mayLead = false
            }
        }
        let threshold = configuration.snapshotThreshold
        return Replica(
            group: group, descriptor: descriptor, node: node, restored: restored,
            locations: EntryLocations(
                base: restored.snapshotIndex, retained: recovered?.retained ?? [],
                entries: recovered?.usableEntries ?? []),
            machine: machine,
            snapshotThreshold: threshold + Int(random.next(below: UInt64(max(threshold, 1)))), now: now)
    }

    private static func machine(of snapshot: RecoveredSnapshot) throws -> QueueMachine {
        let state = try LZ4Frame.decompress(snapshot.bytes, limit: Shard.snapshotLimit)
        let machine = try QueueMachine(snapshot: state, settings: QueueSettings())
        guard machine.appliedIndex == snapshot.index else { throw DecodingFailure.invalid("snapshot index") }
        return machine
    }
}
