import Primitives
import Replication

/// A leadership, the newest of its group.
struct Reign {
    let process: SimulatedProcess
    let term: Term
    let began: Instant
    /// The last transfer, or change of members.
    var movedAt = Instant.zero
    /// The leader gave up by itself.
    var isOver = false

    mutating func resigned(_ node: NodeID, in term: Term) {
        if node == process.node && term == self.term { isOver = true }
    }
}

// Elections have a cause: a leader that a majority has heard all the time is left alone.
extension Checker {
    private static let calm = Interval.milliseconds(1_500)

    /// A leader was elected. If the one before was there, up and connected with enough voters to be a majority with it,
    /// for a good while, and did not give up, somebody was disturbed by whom it should not have listened to.
    func checkCause(_ process: SimulatedProcess, _ group: GroupID, _ term: Term) {
        let reign = reigns[group]
        if reign.map({ $0.term > term }) ?? false { return }
        reigns[group] = Reign(process: process, term: term, began: simulation.now)
        let plan = simulation.plan
        let now = max(simulation.now.nanoseconds, Checker.calm.nanoseconds)
        let start = Instant(nanoseconds: now - Checker.calm.nanoseconds)
        guard let reign, !reign.isOver, reign.process !== process, reign.began <= start, reign.movedAt <= start,
            plan.rawLoss == 0, plan.clientLoss == 0, simulation.isCalm(reign.process, since: start)
        else { return }
        let voters =
            reign.process.shard.configurations(of: group).last?.descriptor.members.filter { $0.role == .voter } ?? []
        guard voters.contains(where: { $0.node == reign.process.node }),
            !voters.contains(where: { simulation.suspects.contains($0.node) })
        else { return }
        let hearing = voters.count { voter in
            guard let other = simulation.process(voter.node), voter.store == other.shard.store else { return false }
            return other === reign.process
                || (simulation.isCalm(other, since: start)
                    && simulation.network.isCalm(voter.node, reign.process.node, since: start))
        }
        if hearing > voters.count / 2 {
            fail(
                "elections have a cause",
                "\(process.node) leads \(group) in \(term); \(reign.process.node) led in \(reign.term), and "
                    + "\(hearing) of \(voters.count) had heard it all the time")
        }
    }
}
