import LogStore
import Primitives
import Raft
import Topology

// Who the members of a group are, and how a leader changes them: one voter at a time, each change an entry. What the
// topology says of the nodes and their data directories is brought about here, group by group.
extension Shard {
    /// Groups whose members this node changes at a time: each may send a whole log.
    private static let reconciliationLimit = 64

    // MARK: Configurations

    /// Whether the process that is linked as `node` is on the store of the replica's member there. One that was never
    /// linked says nothing.
    func isMember(_ node: NodeID, of replica: Replica) -> Bool {
        guard let member = replica.descriptor.member(node), let store = peers[node]?.store else { return false }
        return member.store == store || takesAnyStore
    }

    /// A member that appends reach, as far as anybody knows.
    func isReachable(_ node: NodeID, of replica: Replica) -> Bool {
        peers[node]?.isLinked ?? false && isMember(node, of: replica)
    }

    /// The configurations among entries that were checked when they came.
    static func configurations(in entries: [Entry]) -> [(index: LogIndex, descriptor: GroupDescriptor)] {
        entries.compactMap { entry in
            guard entry.header.kind == .configuration, let descriptor = try? GroupDescriptor(decoding: entry.headers)
            else { return nil }
            return (entry.index, descriptor)
        }
    }

    /// Takes note of the configurations that are new to the log, before they are written.
    func takeConfigurations(in entries: [Entry], _ range: ClosedRange<LogIndex>, _ replica: Replica) {
        for (index, descriptor) in Shard.configurations(in: entries) where range.contains(index) {
            replica.descriptors[index] = descriptor
            replica.isNoteStale = true
        }
    }

    /// Another configuration is in force.
    func configurationChanged(_ replica: Replica) {
        let before = replica.peers
        replica.adoptConfiguration()
        if replica.knownLeader == node {
            for peer in before where !replica.peers.contains(peer) { toggleLedDigest(replica, peer) }
            for peer in replica.peers where !before.contains(peer) { toggleLedDigest(replica, peer) }
        }
        for peer in before where replica.descriptor.member(peer) == nil {
            replica.waitingAppends[peer] = nil
            replica.windows[.follower(peer)] = nil
            replica.heard[peer] = nil
        }
        output.events.append(.membersChanged(replica.group, replica.configurationIndex))
        if replica.isVoter { outsiders.remove(replica.group) } else { outsiders.insert(replica.group) }
    }

    /// Writes what a start must know of the replica beside its log.
    func writeNote(_ replica: Replica) {
        replica.isNoteStale = false
        var note = ReplicaNote(replica.doubt)
        for (index, descriptor) in replica.descriptors.sorted(by: { $0.key < $1.key }) where index > .zero {
            note.configurations.append(
                ReplicaNote.Configuration(
                    index: index, term: replica.raft.term(at: index) ?? .zero, descriptor: descriptor))
        }
        if let incoming = replica.incomingSnapshot, incoming.install != nil {
            note.installation = ReplicaNote.Installation(
                snapshot: incoming.name.index, index: incoming.configuration?.index ?? .zero,
                descriptor: incoming.configuration?.descriptor ?? replica.founding)
        }
        output.records.append(.configuration(group: replica.group, note.encoded()))
    }

    // MARK: Stores that come and go

    /// A node is on a store that the cluster does not know: it lost its data directory. The leader of the topology has
    /// it put on record, by which all groups go. A store that was replaced before never comes here.
    func considerStore(of peer: NodeID) {
        guard let replica = replicas[.topology], replica.isServing, let state = peers[peer], state.isLinked,
            !state.isForeign, let store = state.store, let known = clusterStore(of: peer), known != store
        else { return }
        _ = propose(.replaceStore(peer, known, by: store), now: now)
    }

    func considerStores() {
        for peer in peerNodes { considerStore(of: peer) }
    }

    /// The topology has another store in a node's place.
    func storeReplaced(of peer: NodeID, by store: StoreID) {
        // What a start replays is no news.
        if !(replicas[.topology]?.isCatchingUp ?? false) {
            output.events.append(.storeReplaced(node: peer, by: store))
        }
        considerForeign(peer)
        for group in groups {
            if let replica = replicas[group] { considerMembers(replica) }
        }
        // It may be on a third one by now, whose turn was asked for in vain while this change was under way.
        considerStore(of: peer)
    }

    /// Whether a linked node is on a store whose place another has taken.
    func considerForeign(_ peer: NodeID) {
        guard let state = peers[peer], state.isLinked, let store = state.store else { return }
        let isForeign = topology.isRetired(store, of: peer)
        if isForeign && !state.isForeign { output.events.append(.foreignStore(node: peer, store: store)) }
        peers[peer]?.isForeign = isForeign
    }

    // MARK: Reconciliation

    /// Who should be the members of a group, all of them as voters; nil when the topology does not know the group.
    private func intendedMembers(of replica: Replica) -> [GroupDescriptor.Member]? {
        let nodes: [NodeID]
        if replica.group == .topology {
            nodes = replica.founding.members.map(\.node)
        } else {
            guard let queue = topology.queue(group: replica.group) else { return nil }
            nodes = queue.members
        }
        return nodes.compactMap { node in
            (topology.store(of: node) ?? replica.founding.member(node)?.store).map {
                GroupDescriptor.Member(node: node, store: $0)
            }
        }
    }

    /// Changes the members of a group that this node leads, if they are not who they should be; later, when many are at
    /// it.
    func considerMembers(_ replica: Replica) {
        guard replica.isServing, !replica.isReconciling, let intended = intendedMembers(of: replica),
            replica.descriptor.members != intended
        else { return }
        guard reconciling < Shard.reconciliationLimit else {
            if !replica.awaitsReconciliation {
                replica.awaitsReconciliation = true
                awaitingReconciliation.append(replica.group)
            }
            return
        }
        beginReconciliation(replica)
    }

    private func beginReconciliation(_ replica: Replica) {
        replica.isReconciling = true
        replica.catchUps = [:]
        reconciling += 1
        activate(replica)
        enqueue(replica)
    }

    /// The members are as they should be, or it is not this node's business any more.
    func endReconciliation(_ replica: Replica) {
        guard replica.isReconciling else { return }
        replica.isReconciling = false
        reconciling -= 1
        while reconciling < Shard.reconciliationLimit, let group = awaitingReconciliation.popFirst() {
            guard let next = replicas[group] else { continue }
            next.awaitsReconciliation = false
            considerMembers(next)
        }
    }

    /// The next step, when the one before is committed. What waits for a node that is not linked is given up until it
    /// is.
    func reconcile(_ replica: Replica) {
        guard replica.isServing, let intended = intendedMembers(of: replica), replica.descriptor.members != intended
        else { return endReconciliation(replica) }
        guard replica.raft.configurationIndex <= replica.raft.commit || replica.raft.bug == .changesTwice else {
            return
        }
        guard let next = nextDescriptor(of: replica, intended) else {
            if isCatchingUp(replica) { yieldIfStuck(replica) } else { endReconciliation(replica) }
            return
        }
        change(replica, to: next)
    }

    /// Learners that get nowhere, for want of room on their disk or of a vote, must not keep other groups from being
    /// made whole: theirs waits behind them for another turn. They go on being sent what they lack.
    private func yieldIfStuck(_ replica: Replica) {
        guard !awaitingReconciliation.isEmpty, !replica.awaitsReconciliation, !replica.catchUps.isEmpty,
            replica.catchUps.values.allSatisfy({ $0.isStuck(now: now) }), !isSendingSnapshot(replica)
        else { return }
        replica.awaitsReconciliation = true
        awaitingReconciliation.append(replica.group)
        endReconciliation(replica)
    }

    private func nextDescriptor(of replica: Replica, _ intended: [GroupDescriptor.Member]) -> GroupDescriptor? {
        var next = replica.descriptor
        // Who is another now leaves, if the others can do without. One on a store that the metadata does not know is a
        // newer one: after a start the metadata here may be behind.
        for member in next.members where member.node != node {
            let isIntended = intended.contains { $0.node == member.node }
            guard !isIntended || topology.isRetired(member.store, of: member.node) else { continue }
            if member.role == .voter && !canSpare(member.node, replica) { continue }
            next.members.removeAll { $0 == member }
            return next
        }
        for member in intended where next.member(member.node) == nil {
            next.members.append(GroupDescriptor.Member(node: member.node, store: member.store, role: .learner))
            return GroupDescriptor(members: next.members, preferredLeader: next.preferredLeader)
        }
        for place in next.members.indices where next.members[place].role == .learner {
            guard hasCaughtUp(next.members[place].node, replica) else { continue }
            next.members[place].role = .voter
            return next
        }
        return nil
    }

    /// The other voters are a quorum by themselves, and up.
    private func canSpare(_ peer: NodeID, _ replica: Replica) -> Bool {
        let others = replica.raft.configuration.voters.filter { $0 != peer }
        return upVoters(of: replica, among: others) >= others.count / 2 + 1
    }

    private func hasCaughtUp(_ peer: NodeID, _ replica: Replica) -> Bool {
        guard let progress = replica.raft.progress(of: peer) else { return false }
        if replica.raft.bug == .promotesAtOnce { return true }
        let commit = replica.raft.commit
        var catchUp = replica.catchUps[peer] ?? CatchUp(counted: progress.counted, commit: commit, now: now)
        let isComplete = catchUp.isComplete(counted: progress.counted, commit: commit, now: now)
        replica.catchUps[peer] = catchUp
        return isComplete && isReachable(peer, of: replica) && peers[peer]?.isUp ?? false
            && progress.pendingSnapshot == nil && progress.counted >= replica.raft.baseIndex
    }

    /// Whether a learner that is not a voter yet can be reached.
    private func isCatchingUp(_ replica: Replica) -> Bool {
        replica.descriptor.members.contains { $0.role == .learner && isReachable($0.node, of: replica) }
    }

    /// Proposes other members.
    func change(_ replica: Replica, to next: GroupDescriptor) {
        let wasIdle = !replica.raft.hasUncommitted
        ready.removeAll()
        let index: LogIndex
        do throws(ConfigurationRefusal) {
            index = try replica.raft.proposeConfiguration(replica.configuration(of: next), into: &ready)
        } catch {
            return
        }
        if wasIdle { replica.lastProgress = now }
        let entry = next.encoded().withUnsafeBytes { headers in
            Entry(
                kind: .configuration, group: replica.group, index: index, term: replica.raft.term,
                timestamp: timestamp(replica), headers: headers,
                bodies: UnsafeRawBufferPointer(start: nil, count: 0))
        }
        perform(replica, incoming: [entry])
    }

    // MARK: The way back

    /// A node that lost its data has everything again once it is a voter wherever it should be.
    func considerRejoined() {
        guard let since = rejoiningSince, outsiders.isEmpty, topology.store(of: node) == store,
            let replica = replicas[.topology], replica.applied == replica.raft.commit
        else { return }
        rejoiningSince = nil
        output.events.append(.rejoined(queues: groups.count - 1, after: now - since))
    }
}
