import Primitives

// Queues and the nodes that own the transient ones.

extension TopologyState {
    mutating func declareQueue(
        _ declaration: QueueDeclaration, at time: WallTime, _ changes: inout [TopologyChange]
    ) -> TopologyOutcome {
        let vhost = Bytes(declaration.vhost)
        guard hosts[vhost] != nil else { return .notFound(.virtualHost(declaration.vhost)) }
        guard !declaration.name.isEmpty else { return .invalid("empty queue name") }
        if case .transient(let owner, let incarnation, _) = declaration.placement {
            guard observe(owner, incarnation, &changes) == .done else { return .stale }
        }
        let name = Bytes(declaration.name)
        if let current = hosts[vhost]?.queues[name]?.record {
            if current.exclusiveOwner != declaration.exclusiveOwner {
                return .locked(.queue(declaration.name, vhost: declaration.vhost))
            }
            if let difference = current.difference(from: declaration) { return .inequivalent(difference) }
            return .queue(current, created: false)
        }
        // The index names the queue; when it is taken, by a queue of the same entry or of a crowded one before it, the
        // next number does.
        lastID = max(lastApplied.rawValue, lastID + 1)
        let record = QueueRecord(id: lastID, declaration: declaration, createdAt: time)
        hosts[vhost]?.add(record)
        remember(record)
        changes.append(.queueCreated(record))
        return .queue(record, created: true)
    }

    mutating func deleteQueue(
        vhost: String, name: String, expected: UInt64?, _ changes: inout [TopologyChange]
    ) -> TopologyOutcome {
        let host = Bytes(vhost)
        guard hosts[host] != nil else { return .notFound(.virtualHost(vhost)) }
        guard let record = hosts[host]?.queues[Bytes(name)]?.record else { return .done }
        if let expected, expected != record.id { return .done }
        remove(record, &changes)
        return .done
    }

    mutating func connectionClosed(_ owner: ConnectionOwner, _ changes: inout [TopologyChange]) -> TopologyOutcome {
        removeTransients(of: owner.node, &changes) { $0.exclusiveOwner == owner }
        return .done
    }

    mutating func registerNode(_ record: NodeRecord, _ changes: inout [TopologyChange]) -> TopologyOutcome {
        if let current = stores[record.id]?.last?.store, current != record.store {
            return .invalid("node \(record.id) is a member with store \(current), not \(record.store)")
        }
        guard nodes[record.id] != record else { return .done }
        nodes[record.id] = record
        if stores[record.id] == nil { stores[record.id] = [StoreTenure(store: record.store, since: 0)] }
        changes.append(.nodeRegistered(record))
        return .done
    }

    /// An empty data directory takes the place of one that is lost. Where the node was not registered yet, the lost one
    /// was its first.
    mutating func replaceStore(
        of node: NodeID, _ old: StoreID, by new: StoreID, _ changes: inout [TopologyChange]
    ) -> TopologyOutcome {
        let tenures = stores[node] ?? [StoreTenure(store: old, since: 0)]
        guard let current = tenures.last?.store, current != new else { return .done }
        guard !tenures.contains(where: { $0.store == new }) else {
            return .invalid("store \(new) of node \(node) was replaced by \(current)")
        }
        guard current == old else { return .stale }
        lastID = max(lastApplied.rawValue, lastID + 1)
        stores[node] = tenures + [StoreTenure(store: new, since: lastID)]
        nodes[node]?.store = new
        changes.append(.storeReplaced(node, by: new))
        return .done
    }

    /// Notes that a node lives in `incarnation`; `stale` when a newer one is known, or this one was given up.
    mutating func observe(
        _ node: NodeID, _ incarnation: Incarnation, _ changes: inout [TopologyChange]
    ) -> TopologyOutcome {
        if let current = incarnations[node] {
            guard incarnation >= current.newest else { return .stale }
            if incarnation == current.newest { return current.isLost ? .stale : .done }
        }
        incarnations[node] = Incarnations(newest: incarnation)
        changes.append(.nodeIncarnation(node, incarnation))
        removeTransients(of: node, &changes) { _ in true }
        return .done
    }

    mutating func nodeLost(
        _ node: NodeID, _ incarnation: Incarnation, _ changes: inout [TopologyChange]
    ) -> TopologyOutcome {
        if let current = incarnations[node], incarnation < current.newest { return .stale }
        if incarnations[node]?.newest != incarnation { _ = observe(node, incarnation, &changes) }
        incarnations[node] = Incarnations(newest: incarnation, isLost: true)
        removeTransients(of: node, &changes) { _ in true }
        return .done
    }

    // MARK: The index of queues

    mutating func remember(_ record: QueueRecord) {
        places[record.id] = Place(vhost: Bytes(record.vhost), name: Bytes(record.name))
        if case .transient(let owner, _, _) = record.placement { transients[owner, default: []].insert(record.id) }
    }

    mutating func forget(_ record: QueueRecord) {
        places[record.id] = nil
        if case .transient(let owner, _, _) = record.placement {
            transients[owner]?.remove(record.id)
            if transients[owner]?.isEmpty == true { transients[owner] = nil }
        }
    }

    private mutating func remove(_ record: QueueRecord, _ changes: inout [TopologyChange]) {
        guard hosts[Bytes(record.vhost)]?.removeQueue(Bytes(record.name), &changes) != nil else { return }
        forget(record)
    }

    private mutating func removeTransients(
        of node: NodeID, _ changes: inout [TopologyChange], where condition: (QueueRecord) -> Bool
    ) {
        for id in transients[node, default: []].sorted() {
            guard let record = queue(id: id), condition(record) else { continue }
            remove(record, &changes)
        }
    }
}

extension QueueDeclaration {
    fileprivate var exclusiveOwner: ConnectionOwner? {
        guard case .transient(let node, let incarnation, let connection?) = placement else { return nil }
        return ConnectionOwner(node: node, incarnation: incarnation, connection: connection)
    }
}
