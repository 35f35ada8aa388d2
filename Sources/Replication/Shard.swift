public import LogStore
public import Primitives
import QueueClient
import QuorumQueue
import Raft
public import Topology

/// All replicas of a node that one event loop serves, and everything between them: the pure core of replication.
///
/// Inputs are methods; they change state and collect what is to be done. `flush` ends a tick: it turns the commands of
/// the tick into entries, applies what is committed and returns the work as a value. The shard has no clock, no
/// randomness but its seed, and does no I/O. It is confined to its loop.
public final class Shard {
    /// This node.
    public let node: NodeID
    /// This start of it.
    public let incarnation: Incarnation
    /// Its data directory.
    public let store: StoreID
    let configuration: ShardConfiguration

    /// The local copy of the cluster's metadata.
    public internal(set) var topology = Topology()
    /// Index of the last topology entry applied here.
    public var topologyApplied: LogIndex { replicas[.topology]?.applied ?? .zero }

    var replicas: [GroupID: Replica] = [:]
    /// The groups in order: whatever walks over all replicas walks over this, for the same order everywhere.
    var groups: [GroupID] = []
    var peers = NodeMap<PeerState>()
    /// All other configured nodes, in order.
    let peerNodes: [NodeID]

    var random: SeededRandom
    var ready = RaftReady()
    var output = ShardOutput()
    var outboxes = NodeMap<OutboxBox>()
    var cache: EntryCacheBudget
    var effects: [QueueEffect] = []
    /// Groups that took a suspected node for their leader during a step.
    var suspectedAgain: [GroupID] = []
    /// Groups whose answers count from now on: the leader is told, as it may have nothing more to ask.
    var permitted: [GroupID] = []

    /// Replicas with something to propose or to apply in this tick.
    var queued = Ring<GroupID>()
    /// Appends that wait until their peer can take more.
    var postponedAppends: [(group: GroupID, to: NodeID)] = []
    /// Replicas that the sweep looks at.
    var active: [GroupID] = []
    var nextSweep = Instant.distantFuture
    var campaigns = DeadlineQueue<GroupID>()
    var expiries = DeadlineQueue<SessionExpiry>()
    var readRetries = DeadlineQueue<GroupID>()

    var barriers = DurabilityBarriers()
    var nextRead: UInt64 = 1
    var reads: [UInt64: PendingRead] = [:]
    /// Places in damaged segments that are to be read, in the order of their groups.
    var unverified: [EntryLocation] = []
    var isVerifying = false
    var nextSnapshotWork: UInt64 = 1
    var snapshotWork: [UInt64: (group: GroupID, purpose: SnapshotPurpose)] = [:]
    /// Looked up by context only, never iterated.
    var statusReads: [UInt64: StatusRead] = [:]
    /// Groups that this store once held and that a committed command removed; replaying their creation changes nothing.
    let removedGroups: Set<GroupID>
    /// False when this store lost records: then a group that it does not know may be one that it forgot.
    let mayVote: Bool
    /// Recovered groups whose record of creation is damaged; the topology says again who their members are.
    var undescribed: [GroupID: RecoveredGroup] = [:]
    var topologyRequests = TopologyRequests()
    /// What this start read for each group.
    public internal(set) var recovery: RecoveryLedger
    /// Damage met so far.
    public internal(set) var repairs = RepairTotals()
    /// What lately became of the peers and of this node's leaderships.
    public internal(set) var journal = EventJournal()
    var leaderless = LeaderlessGroups()
    /// Groups of whose configurations this replica is no voter.
    var outsiders: Set<GroupID> = []
    /// This node came back without its data, and has not everything again.
    var rejoiningSince: Instant?
    /// Groups whose members are being changed by this node, and those that wait for their turn.
    var reconciling = 0
    var awaitingReconciliation = Ring<GroupID>()
    /// A bug on purpose, for the simulator to find: any store of a node is taken for the member.
    var takesAnyStore = false
    /// The time of the current input.
    var now = Instant.zero
    var wall = WallTime.zero
    var isDraining = false
    /// Set when a digest changed since the shell last looked.
    var digestsChanged = true

    /// - Parameters:
    ///   - peers: all other configured nodes.
    ///   - recovered: what the node log held.
    ///   - seed: the source of all jitter.
    public init(
        node: NodeID, peers: [NodeID], recovered: RecoveredStore, configuration: ShardConfiguration, seed: UInt64,
        now: Instant
    ) {
        self.node = node
        self.incarnation = recovered.incarnation
        self.store = recovered.storeID
        self.configuration = configuration
        self.peerNodes = peers.sorted()
        self.random = SeededRandom(seed: seed)
        self.cache = EntryCacheBudget(limit: configuration.cacheLimit)
        self.removedGroups = Set(recovered.removedGroups)
        self.mayVote = recovered.mayVote
        self.recovery = RecoveryLedger(recovered.groups, start: now)
        self.now = now
        for peer in peerNodes {
            self.peers[peer] = PeerState()
            outboxes[peer] = OutboxBox()
        }
        for group in recovered.groups { restore(group) }
        removeDeleted(at: topologyApplied)
        // In the middle of its way back, wherever that was interrupted.
        if !outsiders.isEmpty { rejoiningSince = now }
        // Queues whose creation the metadata's snapshot covers; they are here unless the record of it is damaged.
        hostQueues()
    }

    /// The members that founded the cluster; empty before that.
    public var founders: [GroupDescriptor.Member] { replicas[.topology]?.founding.members ?? [] }

    /// The data directory that the cluster knows a node with, as far as this node knows.
    public func clusterStore(of node: NodeID) -> StoreID? {
        topology.store(of: node) ?? founders.first { $0.node == node }?.store
    }

    // MARK: Replicas

    func addReplica(_ replica: Replica) {
        replicas[replica.group] = replica
        groups.insert(replica.group, at: place(of: replica.group))
        if !replica.isVoter { outsiders.insert(replica.group) }
    }

    /// Where a group stands among the groups, or belongs. Mostly a new one comes last.
    private func place(of group: GroupID) -> Int {
        guard let last = groups.last, last >= group else { return groups.count }
        var low = 0
        var high = groups.count
        while low < high {
            let middle = (low + high) / 2
            if groups[middle] < group { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func restore(_ recovered: RecoveredGroup) {
        guard let created = recovered.created, let founding = try? GroupDescriptor(decoding: created) else {
            undescribed[recovered.group] = recovered
            return
        }
        let replica = makeReplica(recovered.group, founding, RestoredLog(recovered), recovered)
        addReplica(replica)
        noteLeaderless(replica)
        if replica.isNoteStale { writeNote(replica) }
        scheduleFirstCampaign(replica)
    }

    /// Creates the topology group. Called once, when `Formation` says so: to found the cluster, or on an empty store in
    /// the place of a founder's.
    /// - Parameter members: the founders.
    public func found(members: [GroupDescriptor.Member], now: Instant) {
        self.now = now
        guard replicas[.topology] == nil, let first = members.map(\.node).min() else { return }
        createReplica(.topology, GroupDescriptor(members: members, preferredLeader: first))
        // The record of its creation was damaged, and the metadata is here nonetheless.
        removeDeleted(at: topologyApplied)
        hostQueues()
    }

    /// Creates a replica, with an empty log unless the disk held one. The record of its creation precedes everything it
    /// will ever write. Where another store of this node is the member, it waits for a leader to take it in.
    func createReplica(_ group: GroupID, _ founding: GroupDescriptor) {
        guard replicas[group] == nil else { return }
        let known = undescribed.removeValue(forKey: group)
        // An empty log in a store that lost records may be what is left of a full one: no vote may come of it.
        let restored = known.map { RestoredLog($0) } ?? RestoredLog(mayVote: mayVote, mayLead: mayVote)
        let replica = makeReplica(group, founding, restored, known)
        addReplica(replica)
        output.records.append(.groupCreated(group: group, founding.encoded()))
        output.events.append(.replicaCreated(group))
        if replica.isNoteStale { writeNote(replica) }
        if group == .topology && !replica.isVoter { rejoiningSince = now }
        if replica.isVoter && founding.preferredLeader == node {
            campaignAtOnce(replica)
        } else {
            scheduleFirstCampaign(replica)
        }
    }

    /// Removes a replica because a committed command deleted its group.
    /// - Parameter index: of the metadata that says so.
    func removeReplica(_ group: GroupID, at index: LogIndex) {
        guard let replica = replicas.removeValue(forKey: group) else { return }
        for context in replica.statusContexts { statusReads[context] = nil }
        outsiders.remove(group)
        endReconciliation(replica)
        setLeader(of: replica, from: replica.knownLeader, to: nil)
        noteLed(replica)
        while !replica.tail.isEmpty { cache.freed(replica.tail.dropFirst()) }
        var locations: [EntryLocation] = []
        replica.locations.forEach { locations.append($0) }
        barriers.add(.unneeded(locations))
        dropIncomingSnapshot(replica)
        groups.remove(at: place(of: group))
        output.records.append(.groupRemoved(group: group, at: index))
        output.events.append(.replicaRemoved(group))
    }

    /// Removes what the metadata's snapshot at `index` knows to be deleted: a crash may have come between its mark and
    /// the records of the removals, or it tells of a deletion and has never told of the creation.
    func removeDeleted(at index: LogIndex) {
        for group in groups where group != .topology && topology.isDeleted(group) { removeReplica(group, at: index) }
        for group in undescribed.keys.sorted() where topology.isDeleted(group) {
            undescribed[group] = nil
            output.records.append(.groupRemoved(group: group, at: index))
        }
    }

    func enqueue(_ replica: Replica) {
        guard !replica.isQueued else { return }
        replica.isQueued = true
        queued.append(replica.group)
    }

    /// Puts the group under the sweep's eye until it is quiet again.
    func activate(_ replica: Replica) {
        replica.lastActivity = now
        guard !replica.isActive else { return }
        replica.isActive = true
        active.append(replica.group)
        if nextSweep == .distantFuture { nextSweep = now + configuration.sweepInterval }
    }

    // MARK: The end of a tick

    /// Most entries applied in one tick, so that a long replay does not hold the loop.
    static let applyLimit = 2_048

    /// Ends the tick: proposes, applies, and returns all work.
    public func flush(now: Instant, wall: WallTime) -> ShardOutput {
        self.now = now
        self.wall = wall
        sendPostponedAppends()
        var budget = Shard.applyLimit
        var postponed: [GroupID] = []
        while let group = queued.popFirst() {
            guard let replica = replicas[group] else { continue }
            replica.isQueued = false
            apply(replica, budget: &budget)
            propose(replica)
            if replica.isReconciling { reconcile(replica) }
            answerStatusReads(replica)
            flushPort(replica)
            if replica.refersToNothing && !(replica.port?.isPostponed ?? false) { dropUnneeded(replica) }
            // Every node waits for its copy of the topology, so its followers learn of a commit at once.
            if group == .topology && replica.raft.needsCommitBroadcast {
                step(replica) { $0.broadcastCommit(into: &$1) }
            }
            let isUnfinished =
                (budget == 0 && replica.applied < replica.raft.commit) || replica.port?.isPostponed ?? false
            if isUnfinished && !replica.isQueued {
                replica.isQueued = true
                postponed.append(group)
            }
        }
        for group in postponed { queued.append(group) }
        evict()
        for free in barriers.takeUnblocked(hasRecords: !output.records.isEmpty) {
            send(free.message, to: free.to, group: free.group)
        }
        for peer in peerNodes {
            guard let box = outboxes[peer] else { continue }
            for payload in box.outbox.take() { output.payloads.append((peer, payload)) }
        }
        takeTurns()
        output.ticket = barriers.close(hasRecords: !output.records.isEmpty)
        defer { output = ShardOutput() }
        return output
    }

    /// Work is left for another tick although no input may come: call `flush` again soon.
    public var hasPostponedWork: Bool {
        !queued.isEmpty || postponedAppends.contains { !(peers[$0.to]?.isBackedUp ?? false) }
    }

    /// The next moment at which `tick` has something to do.
    public var nextDeadline: Instant {
        min(nextSweep, campaigns.next, min(expiries.next, readRetries.next), topologyRequests.nextDeadline)
    }

    /// Lets time pass: campaigns, retransmissions, expiries.
    public func tick(now: Instant) {
        self.now = now
        runCampaigns()
        runExpiries()
        runReadRetries()
        runTopologyTimeouts()
        if nextSweep <= now { sweep() }
    }

    /// Entries that nobody will read from memory leave it, once the followers have them: those that a snapshot covers,
    /// up to the first that the state refers to; and where it refers to none, those that are applied.
    func dropUnneeded(_ replica: Replica) {
        guard !replica.tail.isEmpty else { return }
        let base = replica.locations.base
        let needed = replica.locations.first(from: replica.tail.first)?.index ?? base.next
        var end = min(needed, base.next)
        if replica.refersToNothing { end = max(end, min(replica.applied.next, replica.locations.end)) }
        end = min(end, replica.heldByFollowers.next)
        while replica.tail.first < end, !replica.tail.isEmpty { cache.freed(replica.tail.dropFirst()) }
    }

    private func evict() {
        while let oldest = cache.oldest {
            guard let replica = replicas[oldest.group], replica.tail.first == oldest.index, !replica.tail.isEmpty else {
                cache.dropOldest()
                continue
            }
            // What is not durable yet must stay, and later arrivals with it, as they are not either. What is merely not
            // applied goes: a group without a leader must not keep the node's memory.
            guard cache.isExceeded, oldest.index < replica.locations.end else { break }
            cache.dropOldest()
            cache.freed(replica.tail.dropFirst())
        }
        cache.sweep { replicas[$0]?.tail[$1] != nil }
    }
}

/// A peer's outbox behind a reference, so that a dictionary of them is mutated in place.
final class OutboxBox {
    var outbox = PeerOutbox()
}

/// What the shard knows of another node.
struct PeerState {
    /// The node's heartbeats are heard.
    var isUp = false
    /// Its link has more than it can take.
    var isBackedUp = false
    /// Clients' commands leave the next tick to the appends that found no room in this one.
    var isAppendsTurn = false
    /// Its leaderships are not believed in: it was suspected and has not been heard since.
    var isSuspected = false
    /// The data connection stands.
    var isLinked = false
    var incarnation: Incarnation?
    /// When it was last given up.
    var lostAt = Instant.zero
    /// Of its newest data connection; nil before there was one.
    var store: StoreID?
    /// Its store was replaced by another: nothing it says counts.
    var isForeign = false
    /// When a difference between its digest and ours was first seen.
    var mismatchSince: Instant?
    /// XOR over the groups that this node leads and the peer follows.
    var ledDigest: UInt64 = 0
    /// XOR over the groups that this node believes the peer to lead.
    var believedDigest: UInt64 = 0
}
