import Primitives

/// What one virtual host routes by, compiled from its exchanges, queues and bindings and kept current change by change.
///
/// An object, so that routing reads it in place; `Routing` changes only what it alone holds and copies what it shares.
final class Router: @unchecked Sendable {
    fileprivate enum Table: Sendable {
        /// The default exchange: the key is the name of a queue.
        case implicit
        case direct(BytesTable<DestinationSet>)
        case fanout(DestinationSet)
        case topic(TopicTrie)
        case headers(HeadersTable)
    }

    private struct Exchange: Sendable {
        /// 0 while the slot is free.
        var serial: UInt32
        var table: Table
        var alternate: Bytes?
    }

    /// Told from every other router of the same `Routing`, earlier ones included.
    let serial: UInt64
    private var exchanges: [Exchange] = []
    private var free: [UInt32] = []
    private var nextSerial: UInt32 = 0
    private var refs = BytesTable<ExchangeRef>()
    private var queues = BytesTable<QueueTarget>()

    /// Without any exchange.
    init(serial: UInt64) { self.serial = serial }

    /// A router that changes on its own.
    init(copying other: Router) {
        serial = other.serial
        exchanges = other.exchanges
        free = other.free
        nextSerial = other.nextSerial
        refs = other.refs
        queues = other.queues
    }

    func exchange(named name: UnsafeRawBufferPointer) -> ExchangeRef? { refs[name] }

    func queue(named name: UnsafeRawBufferPointer) -> QueueTarget? { queues[name] }
}

// MARK: - Changes

extension Router {
    func addExchange(_ record: ExchangeRecord) {
        let table: Table =
            switch record.type {
            case .direct: record.name.isEmpty ? .implicit : .direct(BytesTable())
            case .fanout: .fanout(DestinationSet())
            case .topic: .topic(TopicTrie())
            case .headers: .headers(HeadersTable())
            }
        nextSerial &+= 1
        let exchange = Exchange(serial: nextSerial, table: table, alternate: record.alternate.map { Bytes($0) })
        let slot: UInt32
        if let reused = free.popLast() {
            slot = reused
            exchanges[Int(slot)] = exchange
        } else {
            slot = UInt32(exchanges.count)
            exchanges.append(exchange)
        }
        refs.set(Bytes(record.name), ExchangeRef(slot: slot, serial: nextSerial))
    }

    /// The bindings from and to it must have been removed.
    func removeExchange(_ name: Bytes) {
        guard let ref = name.withUnsafeBytes({ refs[$0] }) else { return }
        refs.remove(name)
        exchanges[Int(ref.slot)] = Exchange(serial: 0, table: .implicit, alternate: nil)
        free.append(ref.slot)
    }

    func addQueue(_ name: Bytes, _ target: QueueTarget) { queues.set(name, target) }

    /// The bindings to it must have been removed.
    func removeQueue(_ name: Bytes) { queues.remove(name) }

    func bind(_ binding: Binding) { change(binding, isNew: true) }

    func unbind(_ binding: Binding) { change(binding, isNew: false) }

    private func change(_ binding: Binding, isNew: Bool) {
        guard let slot = slot(of: binding.source), let destination = destination(binding.destination) else { return }
        exchanges[slot].table.change(binding, destination, isNew: isNew)
    }

    private func slot(of exchange: String) -> Int? {
        Bytes(exchange).withUnsafeBytes { refs[$0] }.map { Int($0.slot) }
    }

    private func destination(_ destination: BindingDestination) -> RouterDestination? {
        switch destination {
        case .queue(let name): Bytes(name).withUnsafeBytes { queues[$0] }.map { .queue($0) }
        case .exchange(let name): slot(of: name).map { .exchange(UInt32($0)) }
        }
    }
}

extension Router.Table {
    fileprivate mutating func change(_ binding: Binding, _ destination: RouterDestination, isNew: Bool) {
        // The case's payload is taken out and put back, and `implicit` stands in meanwhile, so that it is held once.
        let table = self
        self = .implicit
        switch consume table {
        case .implicit: break
        case .direct(var keys):
            keys.update(binding.routingKey, initial: { DestinationSet() }) { set in
                if isNew { set.insert(destination) } else { set.remove(destination) }
                return !set.isEmpty
            }
            self = .direct(keys)
        case .fanout(var set):
            if isNew { set.insert(destination) } else { set.remove(destination) }
            self = .fanout(set)
        case .topic(var trie):
            if isNew {
                trie.insert(binding.routingKey, destination)
            } else {
                trie.remove(binding.routingKey, destination)
            }
            self = .topic(trie)
        case .headers(var rows):
            if isNew {
                rows.insert(binding.arguments, destination)
            } else {
                rows.remove(binding.arguments, destination)
            }
            self = .headers(rows)
        }
    }
}

// MARK: - Routing

extension Router {
    /// Fills `buffer.targets`; false when the exchange is gone. The buffer was emptied.
    func route(
        _ ref: ExchangeRef, key: UnsafeRawBufferPointer, into buffer: inout RouteBuffer,
        headers: (String) -> TopologyValue?
    ) -> Bool {
        guard Int(ref.slot) < exchanges.count, exchanges[Int(ref.slot)].serial == ref.serial else { return false }
        let isUnique = visit(exchanges[Int(ref.slot)], key, &buffer, headers)
        if buffer.pending.isEmpty && isUnique { return true }
        if !buffer.pending.isEmpty { visitPending(from: ref.slot, key, &buffer, headers) }
        RouteBuffer.sortUnique(&buffer.targets)
        return true
    }

    /// Visits the exchanges reached from `origin`, each once, so that a cycle of bindings ends.
    private func visitPending(
        from origin: UInt32, _ key: UnsafeRawBufferPointer, _ buffer: inout RouteBuffer,
        _ headers: (String) -> TopologyValue?
    ) {
        var seen = [Bool](repeating: false, count: exchanges.count)
        seen[Int(origin)] = true
        var cursor = 0
        while cursor < buffer.pending.count {
            let slot = Int(buffer.pending[cursor])
            cursor += 1
            if seen[slot] { continue }
            seen[slot] = true
            _ = visit(exchanges[slot], key, &buffer, headers)
        }
    }

    /// Appends the destinations of one exchange, or its alternate when it has none for this message. Returns whether
    /// the appended queues are known to be sorted and without repetition.
    private func visit(
        _ exchange: Exchange, _ key: UnsafeRawBufferPointer, _ buffer: inout RouteBuffer,
        _ headers: (String) -> TopologyValue?
    ) -> Bool {
        let targets = buffer.targets.count
        let pending = buffer.pending.count
        var isUnique = true
        switch exchange.table {
        case .implicit:
            if let target = queues[key] { buffer.targets.append(target) }
        case .direct(let keys):
            _ = keys.withValue(key) { set in buffer.append(set) }
        case .fanout(let set): buffer.append(set)
        case .topic(let trie):
            trie.match(key, into: &buffer)
            isUnique = buffer.targets.count - targets < 2
        case .headers(let rows):
            buffer.dependsOnHeaders = true
            rows.match(headers, into: &buffer)
            isUnique = buffer.targets.count - targets < 2
        }
        if let alternate = exchange.alternate, buffer.targets.count == targets, buffer.pending.count == pending,
            let ref = alternate.withUnsafeBytes({ refs[$0] })
        {
            buffer.pending.append(ref.slot)
        }
        return isUnique
    }
}

extension RouteBuffer {
    fileprivate mutating func append(_ set: DestinationSet) {
        if set.queues.count == 1 { targets.append(set.queues[0]) } else { targets.append(contentsOf: set.queues) }
        if !set.exchanges.isEmpty { pending.append(contentsOf: set.exchanges) }
    }

    fileprivate static func sortUnique(_ targets: inout [QueueTarget]) {
        guard targets.count > 1 else { return }
        targets.sort()
        var kept = 1
        for index in 1..<targets.count where targets[index] != targets[kept - 1] {
            targets[kept] = targets[index]
            kept += 1
        }
        targets.removeLast(targets.count - kept)
    }
}
