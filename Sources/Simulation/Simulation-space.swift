import LogStore
import Primitives
import Replication

// What the disks hold once all queues are empty.
extension Simulation {
    /// A disk that holds more than it needs; nil when there is none. Damaged ones may: what cannot be read stays.
    var overfull: String? {
        for process in processes where !suspects.contains(process.node) {
            if let excess = excess(of: process) { return "\(process.node): \(excess)" }
        }
        return nil
    }

    private func excess(of process: SimulatedProcess) -> String? {
        let accounts = process.log.segmentAccounts
        let segment = process.log.configuration.segmentSize
        let live = accounts.reduce(0) { $0 + $1.liveBytes }
        // A group's log may be as long as is not worth a snapshot, and end in an entry of the largest size.
        let group = 4 * plan.shard.snapshotThreshold + 3 * Int(plan.largestPadding) + (64 << 10)
        let groups = process.shard.replicaGroups.count + 1
        if live > groups * group { return "\(live) live bytes in \(groups) groups" }
        let size = accounts.reduce(0) { $0 + ($1.isSealed ? $1.size : 0) }
        if size > 3 * segment + 4 * live { return "\(size) bytes of segments for \(live) live ones" }
        let files = (try? process.disk.list())?.count ?? 0
        if files > accounts.count + 6 { return "\(files) files for \(accounts.count) segments" }
        return nil
    }

    /// Where the replicas of a group stand, for messages.
    func states(of group: GroupID) -> String {
        processes.compactMap { process in
            process.shard.replicaState(of: group).map { state in
                "\(process.node) in \(state.term) up to \(state.lastIndex), commit \(state.commit)"
                    + (state.isVoter ? "" : ", no voter") + (state.mayVote ? "" : ", does not count")
            }
        }.joined(separator: "; ")
    }
}
