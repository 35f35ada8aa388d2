import Primitives
import Raft
import Replication

// Who may be counted: elections, commits and configurations, by stores.
extension Checker {
    struct Acknowledger: Hashable {
        var group: GroupID
        var term: Term
        var store: StoreID
    }

    /// The node's disk is gone, and what was promised on it: another store speaks for the node.
    func lostDisk(_ node: NodeID) { forgetPromises(of: node) }

    func acknowledged(_ reply: AppendReply, by process: SimulatedProcess, in group: GroupID) {
        guard reply.isAccepted, reply.mayVote else { return }
        let name = Acknowledger(group: group, term: reply.term, store: process.shard.store)
        acknowledgements[name] = max(acknowledgements[name] ?? .zero, reply.index)
    }

    private func voters(_ process: SimulatedProcess, of group: GroupID) -> [GroupDescriptor.Member] {
        process.shard.configurations(of: group).last?.descriptor.members.filter { $0.role == .voter } ?? []
    }

    /// A leader has the votes of a majority of the stores that its configuration names.
    func checkElection(_ process: SimulatedProcess, _ state: ReplicaState, in term: Term) {
        guard state.term == term else { return }
        let voters = voters(process, of: state.group)
        let count = voters.count { voter in
            voter.store == process.shard.store
                || votes[Ballot(group: state.group, term: term, voter: voter.store)] == process.node
        }
        if count < voters.count / 2 + 1 {
            fail("election", "\(process.node) leads \(state.group) in \(term) by \(count) of \(voters.count) votes")
        }
    }

    /// What a leader commits is on the disks of a majority of the stores that its configuration names.
    func checkCommit(_ process: SimulatedProcess, _ state: ReplicaState, from before: ReplicaState) {
        guard before.role == .leader, state.term == before.term, state.commit > before.commit,
            // The change that was proposed in the same tick was not in force yet.
            state.configurationIndex <= state.commit || state.configurationIndex == before.configurationIndex
        else { return }
        let voters = voters(process, of: state.group)
        let count = voters.count { voter in
            if voter.store == process.shard.store { return isOnDisk(process, state.group, state.commit) }
            let name = Acknowledger(group: state.group, term: state.term, store: voter.store)
            return acknowledgements[name] ?? .zero >= state.commit
        }
        if count < voters.count / 2 + 1 {
            fail(
                "commit quorum",
                "\(process.node) commits \(state.commit) of \(state.group) by \(count) of \(voters.count) disks")
        }
    }

    /// One change at a time, each one step from the one before, and the same everywhere.
    func checkConfigurations(_ process: SimulatedProcess, _ state: ReplicaState, from before: ReplicaState?) {
        guard
            state.configurationIndex != before?.configurationIndex ?? .zero || before == nil
                || state.commit > before?.commit ?? .zero
        else { return }
        // Where the note of its members is damaged, the replica has lost its vote and knows no better.
        guard state.mayVote else { return }
        let group = state.group
        let all = process.shard.configurations(of: group)
        let end = LogIndex(UInt64(committed[group]?.count ?? 0))
        if all.count(where: { $0.index > end }) > 1 {
            fail("one change at a time", "\(process.node) has \(all.map(\.index)) in \(group), committed is \(end)")
        }
        if state.role == .leader, before?.role == .leader, before?.term == state.term,
            state.configurationIndex > before?.configurationIndex ?? .zero,
            process.shard.term(of: group, at: state.commit) != state.term
        {
            fail(
                "change after commit",
                "\(process.node) changes \(group) in \(state.term) before it has committed anything in it")
        }
        for (earlier, later) in zip(all, all.dropFirst()) {
            checkStep(earlier, later, in: group)
            if later == all.last, state.role == .leader, later.index > before?.configurationIndex ?? later.index {
                checkPromotion(earlier, later, state)
            }
        }
        for found in all where found.index <= state.commit { note(found, in: group) }
    }

    private func checkStep(_ earlier: GroupConfiguration, _ later: GroupConfiguration, in group: GroupID) {
        let old = Set(earlier.descriptor.voterStores)
        let new = Set(later.descriptor.voterStores)
        if old.symmetricDifference(new).count > 1 {
            fail("one step at a time", "\(group) goes from \(earlier) to \(later)")
        }
    }

    /// Whoever becomes a voter has told the leader that proposes it what it has: its log is not empty.
    private func checkPromotion(_ earlier: GroupConfiguration, _ later: GroupConfiguration, _ state: ReplicaState) {
        for member in later.descriptor.members where member.role == .voter {
            guard !earlier.descriptor.voterStores.contains(member.store) else { continue }
            let name = Acknowledger(group: state.group, term: state.term, store: member.store)
            if acknowledgements[name] ?? .zero == .zero {
                fail("promotion", "\(member) of \(state.group) becomes a voter with nothing of the log")
            }
        }
    }

    private func note(_ found: GroupConfiguration, in group: GroupID) {
        guard let known = configurations[group]?.last(where: { $0.index <= found.index }) else {
            configurations[group, default: []].append(found)
            return
        }
        if known.index == found.index {
            if known.descriptor != found.descriptor { fail("equal configurations", "\(group): \(known), \(found)") }
            return
        }
        // Of those below the newest all are known: they were noted when they were committed.
        guard known == configurations[group]?.last else {
            return fail("equal configurations", "\(group) has \(found), which nobody committed")
        }
        configurations[group]?.append(found)
        simulation.coverage.add(.configurationChange)
        let learners = known.descriptor.members.filter { $0.role == .learner }
        if learners.contains(where: { found.descriptor.voterStores.contains($0.store) }) {
            simulation.coverage.add(.promotion)
        }
    }
}

extension GroupDescriptor {
    fileprivate var voterStores: [StoreID] { members.filter { $0.role == .voter }.map(\.store) }
}
