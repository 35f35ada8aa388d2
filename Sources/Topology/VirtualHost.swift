import Primitives

/// The exchanges, queues and bindings of one virtual host. Names are kept by their bytes: equality of Swift strings is
/// wider than AMQP's.
struct VirtualHost: Sendable {
    struct Exchange: Sendable {
        let record: ExchangeRecord
        /// Bindings from it, by their key.
        var outgoing: [Bytes: Binding] = [:]
        /// Keys of the bindings to it, with their source.
        var incoming: [Bytes: Bytes] = [:]
    }

    struct Queue: Sendable {
        let record: QueueRecord
        /// Keys of the bindings to it, with their source.
        var incoming: [Bytes: Bytes] = [:]
    }

    var record: VirtualHostRecord
    private(set) var exchanges: [Bytes: Exchange] = [:]
    private(set) var queues: [Bytes: Queue] = [:]

    init(_ record: VirtualHostRecord) {
        self.record = record
        for exchange in ExchangeRecord.predeclared(in: record.name) { add(exchange) }
    }
}

// MARK: - Sorted views

extension VirtualHost {
    var sortedExchanges: [Exchange] { sorted(exchanges) }
    var sortedQueues: [Queue] { sorted(queues) }
    var sortedBindings: [Binding] { sortedExchanges.flatMap { sorted($0.outgoing) } }

    func bindings(source: Bytes) -> [Binding] { exchanges[source].map { sorted($0.outgoing) } ?? [] }

    func bindings(destination: BindingDestination) -> [Binding] {
        incoming(destination).compactMap { key, source in exchanges[source]?.outgoing[key] }
    }

    /// Keys and sources of the bindings to `destination`, in canonical order.
    private func incoming(_ destination: BindingDestination) -> [(key: Bytes, source: Bytes)] {
        let all: [Bytes: Bytes]? =
            switch destination {
            case .queue(let name): queues[Bytes(name)]?.incoming
            case .exchange(let name): exchanges[Bytes(name)]?.incoming
            }
        return (all ?? [:]).sorted { $0.key.precedes($1.key) }.map { ($0.key, $0.value) }
    }
}

/// The values of a dictionary in the order of their keys.
func sorted<Value>(_ dictionary: [Bytes: Value]) -> [Value] {
    dictionary.sorted { $0.key.precedes($1.key) }.map(\.value)
}

// MARK: - Elementary changes

extension VirtualHost {
    mutating func add(_ record: ExchangeRecord) { exchanges[Bytes(record.name)] = Exchange(record: record) }

    mutating func add(_ record: QueueRecord) { queues[Bytes(record.name)] = Queue(record: record) }

    /// Source and destination exist, the binding does not.
    mutating func add(_ binding: Binding, key: Bytes) {
        let source = Bytes(binding.source)
        exchanges[source]?.outgoing[key] = binding
        switch binding.destination {
        case .queue(let name): queues[Bytes(name)]?.incoming[key] = source
        case .exchange(let name): exchanges[Bytes(name)]?.incoming[key] = source
        }
    }

    /// Returns false when there is no such binding.
    mutating func remove(binding key: Bytes, source: Bytes) -> Binding? {
        guard let binding = exchanges[source]?.outgoing.removeValue(forKey: key) else { return nil }
        switch binding.destination {
        case .queue(let name): queues[Bytes(name)]?.incoming[key] = nil
        case .exchange(let name): exchanges[Bytes(name)]?.incoming[key] = nil
        }
        return binding
    }
}

// MARK: - Deletion, with what follows from it

extension VirtualHost {
    /// Removes one binding, and its source if that was its last and it is auto-delete.
    mutating func unbind(_ key: Bytes, source: Bytes, _ changes: inout [TopologyChange]) {
        var orphans: [Bytes] = []
        removeBinding(key, source: source, &changes, &orphans)
        removeExchanges(orphans, &changes)
    }

    /// Removes a queue with the bindings to it. Returns the record; nil when there is none.
    mutating func removeQueue(_ name: Bytes, _ changes: inout [TopologyChange]) -> QueueRecord? {
        guard let queue = queues[name] else { return nil }
        var orphans: [Bytes] = []
        for (key, source) in incoming(.queue(queue.record.name)) {
            removeBinding(key, source: source, &changes, &orphans)
        }
        queues[name] = nil
        changes.append(.queueDeleted(queue.record))
        removeExchanges(orphans, &changes)
        return queue.record
    }

    /// Removes exchanges with the bindings from and to them, and the auto-delete exchanges that lose their last binding
    /// by that. A worklist, because a client may chain any number of them.
    mutating func removeExchanges(_ names: [Bytes], _ changes: inout [TopologyChange]) {
        var pending = names
        var cursor = 0
        while cursor < pending.count {
            let name = pending[cursor]
            cursor += 1
            guard let exchange = exchanges[name] else { continue }
            var orphans: [Bytes] = []
            for key in exchange.outgoing.keys.sorted(by: { $0.precedes($1) }) {
                removeBinding(key, source: name, &changes, &orphans)
            }
            for (key, source) in incoming(.exchange(exchange.record.name)) {
                removeBinding(key, source: source, &changes, &orphans)
            }
            exchanges[name] = nil
            changes.append(.exchangeDeleted(exchange.record))
            pending.append(contentsOf: orphans)
        }
    }

    private mutating func removeBinding(
        _ key: Bytes, source: Bytes, _ changes: inout [TopologyChange], _ orphans: inout [Bytes]
    ) {
        guard let binding = remove(binding: key, source: source) else { return }
        changes.append(.bindingDeleted(binding))
        if let exchange = exchanges[source], exchange.record.autoDelete, exchange.outgoing.isEmpty {
            orphans.append(source)
        }
    }
}
