import Primitives
import Replication

// What a process says of itself.
extension Checker {
    func observe(_ event: ShardEvent, _ process: SimulatedProcess) {
        switch event {
        case .becameLeader(let group, let term): becameLeader(process, group, term)
        case .violation(let group, let violation): fail("Raft core", "\(process.node) in \(group): \(violation)")
        case .malformedMessage(let from, let reason):
            fail("peer protocol", "\(process.node) got from \(from): \(reason)")
        case .readFailed(let group, let reason):
            if !simulation.suspects.contains(process.node) {
                fail("log store", "\(process.node) in \(group): \(reason)")
            }
        case .entryDamaged(let group, let index, _):
            simulation.trace.tell("\(process.node) found \(index) of \(group) damaged")
            simulation.coverage.add(.damagedEntry)
            if !simulation.suspects.contains(process.node) {
                fail("log store", "\(process.node): damaged \(index) of \(group)")
            }
        case .entryRepaired(let group, let index):
            simulation.trace.tell("\(process.node) repaired \(index) of \(group)")
            repairs += 1
            simulation.coverage.add(.repairedEntry)
        case .foreignStore(let node, let store):
            // A link to what was lost with its disk may stand a little longer.
            if simulation.process(node)?.shard.store == store {
                fail("formation", "\(process.node) takes \(node) for a stranger")
            }
        case .storeReplaced(let node, let store):
            simulation.trace.tell("\(process.node) knows \(node) with \(store)")
        case .membersChanged(let group, let index):
            reigns[group]?.movedAt = simulation.now
            simulation.trace.tell("\(process.node) has other members of \(group) from \(index) on")
        case .rejoined(let queues, let time):
            simulation.coverage.add(.rejoin)
            simulation.trace.tell("\(process.node) has \(queues) queues again after \(time)")
        case .snapshotRefused(let group, let from, let reason):
            fail("snapshot", "\(process.node) in \(group) got from \(from): \(reason)")
        case .snapshotTooLarge(let group): fail("snapshot", "\(process.node): the state of \(group) is too large")
        case .snapshotUnreadable(let group, let reason): fail("snapshot", "\(process.node) in \(group): \(reason)")
        case .snapshotTaken: snapshots.taken += 1
        case .snapshotInstalled(let group, _, _):
            snapshots.installed += 1
            if process.shard.configurations(of: group).first?.index ?? .zero > .zero {
                simulation.coverage.add(.installedConfiguration)
            }
        case .recordDamaged(let record): simulation.trace.tell("\(process.node) writes \(record) again")
        case .steppedDown, .replicaCreated, .replicaRemoved: break
        }
    }
}
