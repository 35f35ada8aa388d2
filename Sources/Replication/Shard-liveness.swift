public import PeerLink
public import Primitives
import QueueClient
import QuorumQueue
import Raft

// What the shard makes of the news about other nodes: elections, quorum checks, campaigns, the sweep.
extension Shard {
    // MARK: Verdicts

    /// The data connection to a peer stands; its handshake said who it is.
    public func linkUp(_ identity: PeerIdentity, now: Instant) {
        self.now = now
        let node = identity.node
        guard peers[node] != nil else { return }
        peers[node]?.store = identity.store
        peers[node]?.isForeign = false
        peers[node]?.isLinked = true
        considerForeign(node)
        guard !(peers[node]?.isForeign ?? true) else { return }
        // Whatever the last connection had too much of is gone.
        setBackedUp(node, false, now: now)
        for group in groups {
            guard let replica = replicas[group] else { continue }
            if replica.isServing { reconcileGateway(replica, node) }
            considerMembers(replica)
            guard isMember(node, of: replica) || replica.knownLeader == node else { continue }
            retransmit(replica, to: node)
            if replica.isLeader {
                activate(replica)
            } else if replica.knownLeader == nil && replica.campaignAt == nil {
                scheduleFirstCampaign(replica)
            }
        }
        considerStore(of: node)
        topologyPeerLinked(node)
    }

    /// The data connection to a peer is gone; what was on its way may be lost.
    public func linkDown(_ node: NodeID, now: Instant) {
        self.now = now
        guard peers[node] != nil else { return }
        peers[node]?.isLinked = false
        for group in groups {
            guard let replica = replicas[group] else { continue }
            replica.port?.linkReset(node)
            guard replica.peers.contains(node) || replica.knownLeader == node else { continue }
            replica.waitingAppends[node] = nil
            replica.windows[.follower(node)] = nil
            step(replica) { $0.peerReset(node, into: &$1) }
        }
    }

    /// A node is heard: for the first time, again, or as a new process.
    public func nodeUp(_ node: NodeID, _ incarnation: Incarnation, now: Instant) {
        self.now = now
        guard peers[node] != nil else { return }
        let isNewProcess = peers[node]?.incarnation.map { $0 < incarnation } ?? false
        peers[node]?.isUp = true
        peers[node]?.isSuspected = false
        peers[node]?.incarnation = incarnation
        peers[node]?.mismatchSince = nil
        for group in groups {
            guard let replica = replicas[group] else { continue }
            if replica.peers.contains(node) || replica.knownLeader == node {
                if isNewProcess && replica.knownLeader == node { leaderSuspected(replica) }
                if replica.knownLeader == nil && replica.campaignAt == nil { scheduleFirstCampaign(replica) }
            }
            if replica.isServing { reconcileGateway(replica, node) }
            considerMembers(replica)
        }
    }

    /// A node should lose its leaderships. All groups that it led elect at once, those with recent traffic first.
    public func nodeSuspected(_ node: NodeID, now: Instant) {
        self.now = now
        guard peers[node] != nil else { return }
        if isUp(node) { peers[node]?.lostAt = now }
        peers[node]?.isUp = false
        peers[node]?.isSuspected = true
        let affected = groups.compactMap { replicas[$0] }
            .sorted { ($1.lastActivity, $0.group) < ($0.lastActivity, $1.group) }
        for replica in affected {
            if replica.knownLeader == node { leaderSuspected(replica) }
            if replica.isLeader && !hearsMajority(replica) { step(replica) { $0.quorumLost(into: &$1) } }
            if replica.isServing { gatewayLost(replica, node) }
        }
    }

    /// This node stood still for so long that others may have replaced it: it drops every leadership it cannot confirm.
    public func nodeStalled(now: Instant) {
        self.now = now
        for group in groups {
            guard let replica = replicas[group], replica.isLeader, !replica.isAlone else { continue }
            step(replica) { $0.quorumLost(into: &$1) }
        }
    }

    private func hearsMajority(_ replica: Replica) -> Bool {
        upVoters(of: replica, among: replica.raft.configuration.voters) >= replica.quorum
    }

    /// How many of these voters are heard, on the stores that they are known with.
    func upVoters(of replica: Replica, among voters: [NodeID]) -> Int {
        voters.count { voter in
            guard voter != node else { return true }
            guard let peer = peers[voter], peer.isUp else { return false }
            return peer.store == nil || isMember(voter, of: replica)
        }
    }

    func leaderSuspected(_ replica: Replica) {
        step(replica) { $0.leaderSuspected(into: &$1) }
    }

    // MARK: Campaigns

    /// A group without a leader at the start of this node, or just created elsewhere: whoever leads gets time to say
    /// so.
    func scheduleFirstCampaign(_ replica: Replica) {
        let place = replica.descriptor.members.firstIndex { $0.node == node } ?? 0
        let preferred = replica.descriptor.members.firstIndex { $0.node == replica.descriptor.preferredLeader } ?? 0
        let count = replica.descriptor.members.count
        let rank = UInt64((place + count - preferred) % count)
        schedule(replica, campaignAfter: configuration.startDelay + configuration.rankStep * rank + jitter())
    }

    /// The leader is gone: rank k of the successors campaigns k steps from now.
    func scheduleCampaign(_ replica: Replica) {
        guard replica.campaignAttempts == 0 else {
            schedule(replica, campaignAfter: retryDelay(replica))
            return
        }
        let rank = min(UInt64(replica.raft.successorRank), UInt64(replica.descriptor.members.count))
        // Whoever has much to apply before it can serve lets the others go first.
        let courtesy = replica.isCatchingUp ? configuration.rankStep * 4 : .zero
        schedule(replica, campaignAfter: courtesy + (rank == 0 ? .zero : configuration.rankStep * rank + jitter()))
    }

    private func jitter() -> Interval {
        Interval(nanoseconds: random.next(below: max(1, configuration.campaignJitter.nanoseconds)))
    }

    func schedule(_ replica: Replica, campaignAfter delay: Interval) {
        let deadline = now + delay
        replica.campaignAt = deadline
        campaigns.insert(replica.group, at: deadline)
    }

    func runCampaigns() {
        while let group = campaigns.pop(due: now) {
            guard let replica = replicas[group], let deadline = replica.campaignAt, deadline <= now else { continue }
            replica.campaignAt = nil
            guard replica.knownLeader == nil, replica.raft.canCampaign, replica.incomingSnapshot?.install == nil else {
                continue
            }
            // A node that hands its leaderships over takes none, unless there is nobody else.
            guard !isDraining || replica.isAlone else { continue }
            // Without a majority in sight a campaign is noise; the next node that is heard sets it off.
            guard hearsMajority(replica) else { continue }
            replica.campaignAttempts += 1
            step(replica) { $0.campaign(into: &$1) }
            guard !replica.isLeader else { continue }
            schedule(replica, campaignAfter: retryDelay(replica))
        }
    }

    /// The member that is to lead a new group asks for votes in the tick that creates it: its vote for itself is synced
    /// with the record of the creation.
    func campaignAtOnce(_ replica: Replica) {
        guard !isDraining, hearsMajority(replica) else { return schedule(replica, campaignAfter: .zero) }
        replica.campaignAttempts += 1
        step(replica) { $0.firstCampaign(into: &$1) }
        if !replica.isLeader { schedule(replica, campaignAfter: retryDelay(replica)) }
    }

    /// How long after a campaign without result the next one comes.
    private func retryDelay(_ replica: Replica) -> Interval {
        let step = replica.campaignAttempts <= 3 ? configuration.rankStep : configuration.campaignRetry
        return step + Interval(nanoseconds: random.next(below: step.nanoseconds))
    }

    // MARK: The sweep over active groups

    func sweep() {
        nextSweep = .distantFuture
        let candidates = active
        active.removeAll(keepingCapacity: true)
        for group in candidates {
            guard let replica = replicas[group] else { continue }
            replica.isActive = false
            if replica.isLeader { sweepLeader(replica) }
            considerSnapshot(replica)
            if !replica.damaged.isEmpty { askForRepair(replica) }
            awaitCertainty(replica)
            if replica.needsSnapshot { renewSnapshot(replica) }
        }
        if !active.isEmpty { nextSweep = now + configuration.sweepInterval }
    }

    private func sweepLeader(_ replica: Replica) {
        if replica.raft.needsCommitBroadcast { step(replica) { $0.broadcastCommit(into: &$1) } }
        if replica.raft.hasUncommitted || replica.raft.hasPendingReads {
            stayActive(replica)
            // Nobody could do better than a voter that is alone with a slow disk.
            guard now - replica.lastProgress < configuration.stallLimit || replica.isAlone else {
                step(replica) { $0.quorumLost(into: &$1) }
                return
            }
        }
        if replica.isReconciling {
            stayActive(replica)
            enqueue(replica)
        }
        for peer in replica.peers where isReachable(peer, of: replica) {
            guard replica.raft.awaitsReply(from: peer) else {
                replica.heard[peer] = nil
                continue
            }
            stayActive(replica)
            // While the link is backed up, what was sent may not have left.
            guard let heard = replica.heard[peer], !(peers[peer]?.isBackedUp ?? false) else {
                replica.heard[peer] = now
                continue
            }
            if now - heard >= configuration.retransmitAfter {
                replica.heard[peer] = now
                retransmit(replica, to: peer)
            }
        }
    }

    func stayActive(_ replica: Replica) {
        guard !replica.isActive else { return }
        replica.isActive = true
        active.append(replica.group)
    }

    // MARK: Digests

    /// The digest to put into heartbeats to a peer: over the groups that this node leads and the peer follows.
    public func ledDigest(for peer: NodeID) -> UInt64 { peers[peer]?.ledDigest ?? 0 }

    /// How long two digests may differ before they are compared group by group: leadership may just be changing.
    private static let mismatchPatience = Interval.milliseconds(250)

    /// A peer's heartbeat carried this digest of the groups it leads with this node as a member. When it differs from
    /// what is believed here for a while, the groups are compared one by one: a leadership that ended unheard is found
    /// although its node lives.
    public func received(digest: UInt64, from node: NodeID, now: Instant) {
        self.now = now
        guard let peer = peers[node], !peer.isForeign else { return }
        guard digest != peer.believedDigest else {
            peers[node]?.mismatchSince = nil
            return
        }
        guard let since = peer.mismatchSince else {
            peers[node]?.mismatchSince = now
            return
        }
        let patience = Shard.mismatchPatience
        guard now - since >= (peer.isLinked ? patience : patience * 8) else { return }
        peers[node]?.mismatchSince = now
        if peer.isLinked { return inquire(of: node) }
        // It is heard and cannot be asked. It may have stepped down unheard for want of the same link.
        for group in groups {
            if let replica = replicas[group], replica.knownLeader == node { leaderSuspected(replica) }
        }
    }

    private static func digest(_ group: GroupID, _ term: Term) -> UInt64 {
        var mix = SeededRandom(seed: group.rawValue &* 0x9E37_79B9 ^ term.rawValue)
        return mix.next()
    }

    /// Keeps the digests in step with what is known of the group's leader.
    func setLeader(of replica: Replica, from old: NodeID?, to new: NodeID?) {
        if let old { toggleDigest(replica, leader: old, term: replica.knownTerm) }
        replica.knownLeader = new
        replica.knownTerm = replica.raft.term
        if let new { toggleDigest(replica, leader: new, term: replica.knownTerm) }
    }

    private func toggleDigest(_ replica: Replica, leader: NodeID, term: Term) {
        let value = Shard.digest(replica.group, term)
        digestsChanged = true
        if leader == node {
            for peer in replica.peers { peers[peer]?.ledDigest ^= value }
        } else {
            peers[leader]?.believedDigest ^= value
        }
    }

    /// A follower comes or goes while this node leads.
    func toggleLedDigest(_ replica: Replica, _ peer: NodeID) {
        digestsChanged = true
        peers[peer]?.ledDigest ^= Shard.digest(replica.group, replica.knownTerm)
    }

    private func inquire(of node: NodeID) {
        let believed = groups.compactMap { replicas[$0] }.filter { $0.knownLeader == node }
        outboxes[node]?.outbox.append(.leadershipInquiry, group: .topology, sizeHint: 16 * believed.count) { writer in
            for replica in believed {
                writer.write(replica.group.rawValue)
                writer.write(replica.knownTerm.rawValue)
            }
        }
    }

    /// A peer says whom it follows here: what is not led is denied, what is led and not named is announced.
    func received(inquiry content: Bytes, from node: NodeID) throws(DecodingFailure) {
        let believed = try Shard.decodeLeaderships(content)
        var named: Set<GroupID> = []
        var denied: [(GroupID, Term)] = []
        for (group, term) in believed {
            if let replica = replicas[group], replica.isLeader, replica.raft.term == term {
                named.insert(group)
            } else {
                denied.append((group, term))
            }
        }
        if !denied.isEmpty {
            outboxes[node]?.outbox.append(.leadershipDenial, group: .topology, sizeHint: 16 * denied.count) { writer in
                for (group, term) in denied {
                    writer.write(group.rawValue)
                    writer.write(term.rawValue)
                }
            }
        }
        for group in groups {
            guard let replica = replicas[group], replica.isLeader, isMember(node, of: replica) else { continue }
            if !named.contains(group) { retransmit(replica, to: node) }
        }
    }

    /// A peer does not lead these groups in these terms.
    func received(denial content: Bytes, from node: NodeID) throws(DecodingFailure) {
        for (group, term) in try Shard.decodeLeaderships(content) {
            guard let replica = replicas[group], replica.knownLeader == node, replica.knownTerm == term else {
                continue
            }
            leaderSuspected(replica)
        }
    }

    package static func decodeLeaderships(_ content: Bytes) throws(DecodingFailure) -> [(GroupID, Term)] {
        try content.withUnsafeBytes { buffer throws(DecodingFailure) in
            var reader = ByteReader(buffer)
            var result: [(GroupID, Term)] = []
            while !reader.isAtEnd { result.append((GroupID(try reader.read()), Term(try reader.read()))) }
            return result
        }
    }

    // MARK: Handing over

    /// Hands every leadership over, before the process ends. Call again until `ledGroups` is 0 or patience ends.
    public func handOver(now: Instant) {
        self.now = now
        isDraining = true
        for group in groups {
            guard let replica = replicas[group], replica.isLeader else { continue }
            guard let target = bestSuccessor(of: replica) else { continue }
            step(replica) { _ = $0.transfer(to: target, into: &$1) }
        }
    }

    /// Groups with other members that this node leads.
    public var ledGroups: Int { groups.count { replicas[$0].map { $0.isLeader && !$0.isAlone } ?? false } }

    private func bestSuccessor(of replica: Replica) -> NodeID? {
        replica.raft.configuration.voters.filter { $0 != node && isUp($0) && isReachable($0, of: replica) }
            .max { (replica.match(of: $0), $1) < (replica.match(of: $1), $0) }
    }
}
