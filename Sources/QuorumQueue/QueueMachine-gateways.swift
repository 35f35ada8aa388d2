import Primitives

extension QueueMachine {
    /// Applies a command of the leader.
    mutating func apply(leaders command: Command, into effects: inout [QueueEffect]) {
        switch command {
        case .gatewayDown(let node): suspend(node)
        case .gatewayUp(let node, let incarnation):
            if raiseIncarnation(of: node, to: incarnation, into: &effects) { resume(node) }
        case .gatewayExpired(let node):
            closeSessions(of: node, into: &effects) { $0.isSuspended }
        case .detachUnknown(let id): detachUnknown(id)
        default:
            // A tick brings time, which every entry brings.
            break
        }
    }

    /// The places of a node's sessions.
    func places(of node: NodeID) -> Range<Int> {
        func first(_ node: UInt16, _ number: UInt64) -> Int {
            place(
                of: SessionID(
                    gateway: GatewayID(node: NodeID(node), shard: number == 0 ? 0 : .max),
                    incarnation: Incarnation(number == 0 ? 0 : .max), number: number))
        }
        // No session has the number .max, so this is the place behind the last.
        return first(node.rawValue, 0)..<first(node.rawValue, .max)
    }

    private mutating func suspend(_ node: NodeID) {
        for place in places(of: node) {
            sessions[place].isSuspended = true
            for consumer in sessions[place].consumers { consumers[Int(consumer.slot)].isSuspended = true }
        }
    }

    private mutating func resume(_ node: NodeID) {
        for place in places(of: node) where sessions[place].isSuspended {
            sessions[place].isSuspended = false
            for consumer in sessions[place].consumers {
                consumers[Int(consumer.slot)].isSuspended = false
                enlist(Int(consumer.slot))
            }
        }
    }

    /// Notes that a node is at `incarnation` and closes its sessions of older ones; false when a newer one is known.
    mutating func raiseIncarnation(
        of node: NodeID, to incarnation: Incarnation, into effects: inout [QueueEffect]
    ) -> Bool {
        var at = 0
        while at < nodes.count && nodes[at].id < node { at += 1 }
        if at == nodes.count || nodes[at].id != node {
            nodes.insert(NodeRecord(id: node, incarnation: incarnation), at: at)
            return true
        }
        guard nodes[at].incarnation <= incarnation else { return false }
        if nodes[at].incarnation < incarnation {
            nodes[at].incarnation = incarnation
            closeSessions(of: node, into: &effects) { $0.id.incarnation < incarnation }
        }
        return true
    }

    private mutating func closeSessions(
        of node: NodeID, into effects: inout [QueueEffect], where isClosed: (Session) -> Bool
    ) {
        let places = places(of: node)
        var kept = places.lowerBound
        for place in places {
            if isClosed(sessions[place]) {
                effects.append(.sessionClosed(sessions[place].id))
                release(at: place)
            } else {
                sessions.swapAt(kept, place)
                kept += 1
            }
        }
        if kept == places.upperBound { return }
        sessions.removeSubrange(kept..<places.upperBound)
        sweep()
    }

    /// Ends a consumer that its gateway does not know; what it holds nobody has seen, so it does not count as failed.
    private mutating func detachUnknown(_ id: ConsumerID) {
        let place = place(of: id.session)
        guard place < sessions.count && sessions[place].id == id.session else { return }
        guard let slot = sessions[place].slot(of: id.number) else { return }
        takeAll(from: slot, counted: false)
        ready.insert(&returning)
        if id.number != 0 { detach(slot) }
    }
}
