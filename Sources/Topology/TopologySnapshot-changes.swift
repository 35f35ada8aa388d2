import Primitives

extension Topology {
    /// What a snapshot that takes the place of this state changes, for whoever follows the changes one by one: queues,
    /// virtual hosts and users that are gone, then `.replaced`, which stands for everything else, then new queues.
    /// Empty when nothing changed.
    public func changes(to newer: Topology) -> [TopologyChange] {
        guard newer.generation != generation else { return [] }
        var changes: [TopologyChange] = []
        for queue in queues where newer.state.queue(id: queue.id) == nil { changes.append(.queueDeleted(queue)) }
        for host in virtualHosts where newer.virtualHost(host.name) == nil {
            changes.append(.virtualHostDeleted(host.name))
        }
        for user in users where newer.user(user.name) == nil { changes.append(.userDeleted(user.name)) }
        changes.append(.replaced)
        for queue in newer.queues where state.queue(id: queue.id) == nil { changes.append(.queueCreated(queue)) }
        return changes
    }

    /// About how many bytes `encodeSnapshot` makes, within a factor of four or so. Costs time in proportion to the
    /// exchanges and users.
    public var approximateSnapshotSize: Int {
        var size = 64 + state.nodes.count * 96 + state.incarnations.count * 8
        for tenures in state.stores.values { size += 4 + tenures.count * 24 }
        for host in state.hosts.values {
            size += 64 + host.queues.count * 96
            for exchange in host.exchanges.values { size += 64 + exchange.outgoing.count * 64 }
        }
        for user in state.users.values { size += 128 + user.permissions.count * 64 }
        return size
    }
}
