import Primitives

/// The routers of all virtual hosts. Derived from the state: it follows the changes that applying a command reports,
/// and is never part of a snapshot.
struct Routing: Sendable {
    private var routers: [Router?] = []
    private var slots: [Bytes: Int] = [:]
    private var lastSerial: UInt64 = 0

    /// Compiles the routing of a whole state.
    init(_ state: TopologyState) {
        for host in state.sortedHosts {
            let router = add(host.record.name)
            for exchange in host.sortedExchanges { router.addExchange(exchange.record) }
            for queue in host.sortedQueues { router.addQueue(Bytes(queue.record.name), queue.record.target) }
            for binding in host.sortedBindings { router.bind(binding) }
        }
    }

    /// A handle on the virtual host of this name.
    func ref(_ name: String) -> VirtualHostRef? {
        guard let slot = slots[Bytes(name)], let router = routers[slot] else { return nil }
        return VirtualHostRef(slot: UInt32(slot), serial: router.serial)
    }

    /// See `Topology.exchangeRef`.
    func exchange(_ name: UnsafeRawBufferPointer, in vhost: VirtualHostRef) -> ExchangeRef? {
        router(vhost)?.exchange(named: name)
    }

    /// See `Topology.queueTarget`.
    func queue(_ name: UnsafeRawBufferPointer, in vhost: VirtualHostRef) -> QueueTarget? {
        router(vhost)?.queue(named: name)
    }

    /// See `Topology.route`.
    func route(
        _ exchange: ExchangeRef, in vhost: VirtualHostRef, key: UnsafeRawBufferPointer,
        into buffer: inout RouteBuffer, headers: (String) -> TopologyValue?
    ) -> Bool {
        buffer.removeAll()
        guard let router = router(vhost) else { return false }
        return router.route(exchange, key: key, into: &buffer, headers: headers)
    }

    @inline(__always)
    private func router(_ ref: VirtualHostRef) -> Router? {
        guard Int(ref.slot) < routers.count, let router = routers[Int(ref.slot)], router.serial == ref.serial
        else { return nil }
        return router
    }

    /// Follows one change. Changes come in the order in which they happened.
    mutating func apply(_ change: TopologyChange) {
        switch change {
        case .virtualHostCreated(let name):
            let router = add(name)
            for exchange in ExchangeRecord.predeclared(in: name) { router.addExchange(exchange) }
        case .virtualHostDeleted(let name):
            if let slot = slots.removeValue(forKey: Bytes(name)) { routers[slot] = nil }
        case .exchangeCreated(let record): update(record.vhost) { $0.addExchange(record) }
        case .exchangeDeleted(let record): update(record.vhost) { $0.removeExchange(Bytes(record.name)) }
        case .queueCreated(let record): update(record.vhost) { $0.addQueue(Bytes(record.name), record.target) }
        case .queueDeleted(let record): update(record.vhost) { $0.removeQueue(Bytes(record.name)) }
        case .bindingCreated(let binding): update(binding.vhost) { $0.bind(binding) }
        case .bindingDeleted(let binding): update(binding.vhost) { $0.unbind(binding) }
        case .userChanged, .userDeleted, .permissionsChanged, .nodeRegistered, .storeReplaced, .nodeIncarnation,
            .replaced:
            break
        }
    }

    private mutating func add(_ name: String) -> Router {
        lastSerial += 1
        let router = Router(serial: lastSerial)
        if let slot = routers.firstIndex(where: { $0 == nil }) {
            routers[slot] = router
            slots[Bytes(name)] = slot
        } else {
            slots[Bytes(name)] = routers.count
            routers.append(router)
        }
        return router
    }

    private mutating func update(_ name: String, _ body: (Router) -> Void) {
        guard let slot = slots[Bytes(name)], var mine = routers[slot] else { return }
        routers[slot] = nil
        if !isKnownUniquelyReferenced(&mine) { mine = Router(copying: mine) }
        body(mine)
        routers[slot] = mine
    }
}
