public import Primitives
public import QueueClient
import QuorumQueue
import Raft
import Topology

/// A request for a queue's counts that waits until a quorum has confirmed the leader and its machine has caught up.
struct StatusRead {
    var gateway: GatewayID
    var requestID: UInt64
    /// Nil until the quorum has answered.
    var index: LogIndex?
}

/// A node whose sessions at a queue are suspended, and the incarnation they belong to.
struct SessionExpiry {
    var group: GroupID
    var node: NodeID
}

// The leader's side of the queue clients, here and on other nodes.
extension Shard {
    /// A message of this node's own queue client.
    public func receive(_ message: ClientMessage, group: GroupID, now: Instant) {
        self.now = now
        receive(message, group: group, from: node)
    }

    func receive(_ message: ClientMessage, group: GroupID, from sender: NodeID) {
        guard let replica = replicas[group], let machine = replica.queue, replica.isLeader, replica.port != nil else {
            refuse(message, group: group)
            return
        }
        if case .status(let gateway, let requestID) = message {
            readStatus(replica, gateway: gateway, requestID: requestID)
            return
        }
        var answers: [(GatewayID, LeaderMessage)] = []
        let action = replica.port?.receive(message, machine: machine, into: &answers)
        if case .propose(let batch) = action { replica.pending.append(batch) }
        deliver(answers, group: group)
        proposeOwnCommands(replica)
        enqueue(replica)
    }

    /// Bytes of this node's queue clients' commands that may be forwarded to a leader in this tick, without bound when
    /// it is here; nil while the link has more than it can take.
    public func commandRoom(to leader: NodeID) -> Int? {
        guard let peer = peers[leader], let box = outboxes[leader] else { return Int.max }
        if peer.isBackedUp { return nil }
        return peer.isAppendsTurn ? 0 : max(0, configuration.tickBytesLimit - box.outbox.byteCount)
    }

    /// Sends this node's queue client's message to a leader elsewhere.
    public func forward(_ message: ClientMessage, group: GroupID, to leader: NodeID) {
        outboxes[leader]?.outbox.append(.client, group: group, sizeHint: message.sizeHint) { message.encode(into: &$0) }
    }

    /// Who leads a group, as far as this node knows, and in which term. For a group without a replica here: one of its
    /// members that is up, who will know.
    public func leader(of group: GroupID) -> (node: NodeID?, term: Term) {
        if let replica = replicas[group] { return (replica.knownLeader, replica.raft.term) }
        let members = topology.queue(group: group)?.members ?? []
        return (members.first { isUp($0) }, .zero)
    }

    /// Whether a node is heard; true for this one.
    public func isUp(_ other: NodeID) -> Bool { other == node || peers[other]?.isUp ?? false }

    private func refuse(_ message: ClientMessage, group: GroupID) {
        var answers: [(GatewayID, LeaderMessage)] = []
        if replicas[group] == nil && topology.isDeleted(group) {
            answers.append((message.gateway, .groupGone))
        } else {
            let replica = replicas[group]
            LeaderPort.disown(
                message, term: replica?.raft.term ?? .zero, hint: replica?.knownLeader, into: &answers)
        }
        deliver(answers, group: group)
    }

    /// Hands messages to the gateways: this node's own directly, the others over their links.
    func deliver(_ messages: [(GatewayID, LeaderMessage)], group: GroupID) {
        for (gateway, message) in messages {
            if gateway.node == node {
                output.leaderMessages.append((group, node, message))
            } else {
                outboxes[gateway.node]?.outbox.append(.leader, group: group, sizeHint: message.sizeHint) {
                    message.encode(into: &$0)
                }
            }
        }
    }

    /// Tells every attached gateway, and this node's, that a committed command deleted the queue.
    func tellGroupGone(_ group: GroupID) {
        output.leaderMessages.append((group, node, .groupGone))
    }

    // MARK: Leading

    /// The no-op of this term is applied: the machine knows everything that was ever confirmed.
    func startServing(_ replica: Replica) {
        considerMembers(replica)
        if replica.group == .topology { considerStores() }
        guard let machine = replica.queue else { return }
        replica.port?.caughtUp(machine: machine)
        proposeOwnCommands(replica)
        for gateway in machine.gatewayNodes { reconcileGateway(replica, gateway.node) }
    }

    /// Makes the machine agree with what this node knows of another: sessions of a dead process are closed, those of a
    /// node that is not heard are suspended, those of one that is back go on.
    func reconcileGateway(_ replica: Replica, _ gateway: NodeID) {
        var calls: [(GatewayID, LeaderMessage)] = []
        if isUp(gateway) { replica.port?.nodeUp(gateway, into: &calls) }
        deliver(calls, group: replica.group)
        guard let machine = replica.queue, let known = machine.gatewayNodes.first(where: { $0.node == gateway })
        else { return }
        let current = gateway == node ? incarnation : peers[gateway]?.incarnation
        let isUp = gateway == node || peers[gateway]?.isUp ?? false
        let isSuspended = machine.suspendedNodes.contains(gateway)
        if let current, isUp, current > known.incarnation || isSuspended {
            proposeOwn(replica) { $0.gatewayUp(gateway, current) }
        } else if !isUp {
            gatewayLost(replica, gateway)
        }
    }

    /// A gateway's node is not heard any more: its sessions get no deliveries, and are closed after a while.
    func gatewayLost(_ replica: Replica, _ gateway: NodeID) {
        replica.port?.linkReset(gateway)
        guard let machine = replica.queue, machine.gatewayNodes.contains(where: { $0.node == gateway }) else { return }
        if !machine.suspendedNodes.contains(gateway) { proposeOwn(replica) { $0.gatewayDown(gateway) } }
        expiries.insert(SessionExpiry(group: replica.group, node: gateway), at: now + configuration.sessionExpiry)
    }

    func runExpiries() {
        while let expiry = expiries.pop(due: now) {
            guard let replica = replicas[expiry.group], replica.isServing, let machine = replica.queue,
                let peer = peers[expiry.node], !peer.isUp, machine.suspendedNodes.contains(expiry.node),
                // It may have been back in between; a later expiry is due then.
                now - peer.lostAt >= configuration.sessionExpiry
            else { continue }
            proposeOwn(replica) { $0.gatewayExpired(expiry.node) }
        }
    }

    private func proposeOwnCommands(_ replica: Replica) {
        guard let machine = replica.queue, replica.port != nil else { return }
        var encoder = CommandEncoder()
        replica.port?.ownCommands(machine: machine, into: &encoder)
        guard !encoder.isEmpty else { return }
        replica.pending.append(encoder.take())
        enqueue(replica)
    }

    // MARK: Effects

    /// The effects of an entry, on the leader; on other replicas they are dropped.
    func performEffects(_ replica: Replica) {
        guard replica.port != nil else { return }
        replica.port?.perform(effects)
        proposeOwnCommands(replica)
    }

    /// Sends what the port has collected, as far as bodies are in memory and links take it.
    func flushPort(_ replica: Replica) {
        guard replica.port?.needsFlush ?? false else { return }
        var source = ReplicaBodies(shard: self, replica: replica)
        var messages: [(GatewayID, LeaderMessage)] = []
        replica.port?.flush(
            from: &source, isBackedUp: { self.peers[$0]?.isBackedUp ?? false }, byteLimit: configuration.tickBytesLimit,
            into: &messages)
        deliver(messages, group: replica.group)
    }

    /// The link to a peer has more than it can take, or can take more again: deliveries to it wait or go on.
    public func setBackedUp(_ peer: NodeID, _ isBackedUp: Bool, now: Instant) {
        self.now = now
        guard peers[peer]?.isBackedUp ?? isBackedUp != isBackedUp else { return }
        peers[peer]?.isBackedUp = isBackedUp
        for group in groups {
            guard let replica = replicas[group], replica.isLeader else { continue }
            if replica.peers.contains(peer) { step(replica) { $0.setPaused(peer, isBackedUp, into: &$1) } }
            if !isBackedUp { enqueue(replica) }
        }
    }

    // MARK: Counts

    private func readStatus(_ replica: Replica, gateway: GatewayID, requestID: UInt64) {
        let context = nextRead
        nextRead += 1
        if !replica.raft.hasUncommitted && !replica.raft.hasPendingReads { replica.lastProgress = now }
        statusReads[context] = StatusRead(gateway: gateway, requestID: requestID)
        replica.statusContexts.append(context)
        step(replica) { $0.readIndex(context: context, into: &$1) }
        activate(replica)
        enqueue(replica)
    }

    func readIndexAnswered(_ replica: Replica, readable: [(context: UInt64, index: LogIndex)], failed: [UInt64]) {
        for read in readable { statusReads[read.context]?.index = read.index }
        for context in failed {
            guard let read = statusReads.removeValue(forKey: context) else { continue }
            refuse(.status(gateway: read.gateway, requestID: read.requestID), group: replica.group)
        }
        if !readable.isEmpty { enqueue(replica) }
    }

    /// Answers the requests whose index is applied.
    func answerStatusReads(_ replica: Replica) {
        guard !replica.statusContexts.isEmpty, let machine = replica.queue else { return }
        replica.statusContexts.removeAll { context in
            guard let read = statusReads[context] else { return true }
            guard let index = read.index, index <= replica.applied else { return false }
            statusReads[context] = nil
            let status = LeaderMessage.status(
                requestID: read.requestID, ready: UInt64(machine.messagesReady),
                unacknowledged: UInt64(machine.messagesUnacknowledged), consumers: UInt64(machine.consumerCount))
            deliver([(read.gateway, status)], group: replica.group)
            return true
        }
    }
}

/// Finds bodies in the entries in memory, and has the others read.
struct ReplicaBodies: MessageBodySource {
    let shard: Shard
    let replica: Replica

    mutating func bodies(of delivery: Delivery) -> MessageBodies? {
        guard let entry = replica.entry(at: delivery.index, for: .delivery) else {
            shard.read(replica, from: delivery.index, for: .delivery)
            return nil
        }
        let first = Int(delivery.firstOrdinal)
        return MessageBodies(first..<first + Int(delivery.count), of: replica.table(of: entry), in: entry.bodies)
    }

    func isGone(_ delivery: Delivery) -> Bool {
        replica.tail[delivery.index] == nil && replica.locations[delivery.index] == nil
            && !replica.refersTo(delivery.index)
    }

    /// Reads ahead by whole stretches of the log, so there is nothing to prefetch one by one.
    mutating func prefetch(_ delivery: Delivery) {}
}
