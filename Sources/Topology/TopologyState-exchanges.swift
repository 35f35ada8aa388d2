import Primitives

// Exchanges and bindings.

extension TopologyState {
    mutating func declareExchange(_ record: ExchangeRecord, _ changes: inout [TopologyChange]) -> TopologyOutcome {
        let vhost = Bytes(record.vhost)
        guard hosts[vhost] != nil else { return .notFound(.virtualHost(record.vhost)) }
        if let current = hosts[vhost]?.exchanges[Bytes(record.name)]?.record {
            if let difference = current.difference(from: record) { return .inequivalent(difference) }
            return .exchange(current, created: false)
        }
        hosts[vhost]?.add(record)
        changes.append(.exchangeCreated(record))
        return .exchange(record, created: true)
    }

    mutating func deleteExchange(
        vhost: String, name: String, ifUnused: Bool, _ changes: inout [TopologyChange]
    ) -> TopologyOutcome {
        let host = Bytes(vhost)
        guard hosts[host] != nil else { return .notFound(.virtualHost(vhost)) }
        guard let isUnused = hosts[host]?.exchanges[Bytes(name)]?.outgoing.isEmpty else { return .done }
        // The caller refuses the other reserved names.
        guard !name.isEmpty else { return .invalid("the default exchange cannot be deleted") }
        if ifUnused && !isUnused { return .inUse(.exchange(name, vhost: vhost)) }
        hosts[host]?.removeExchanges([Bytes(name)], &changes)
        return .done
    }

    mutating func bind(_ binding: Binding, _ changes: inout [TopologyChange]) -> TopologyOutcome {
        let vhost = Bytes(binding.vhost)
        guard hosts[vhost] != nil else { return .notFound(.virtualHost(binding.vhost)) }
        let key = binding.key
        // Asked of the host in place: a copy of it alive during the change would make the change a copy of the whole.
        if let answer = hosts[vhost]?.answer(to: binding, key: key) { return answer }
        hosts[vhost]?.add(binding, key: key)
        changes.append(.bindingCreated(binding))
        return .done
    }

    mutating func unbind(_ binding: Binding, _ changes: inout [TopologyChange]) -> TopologyOutcome {
        let vhost = Bytes(binding.vhost)
        guard hosts[vhost] != nil else { return .notFound(.virtualHost(binding.vhost)) }
        hosts[vhost]?.unbind(binding.key, source: Bytes(binding.source), &changes)
        return .done
    }
}

extension VirtualHost {
    /// The outcome of a bind that changes nothing; nil when the binding is to be added.
    fileprivate func answer(to binding: Binding, key: Bytes) -> TopologyOutcome? {
        guard !binding.source.isEmpty else { return .invalid("the default exchange binds every queue by its name") }
        guard let source = exchanges[Bytes(binding.source)] else {
            return .notFound(.exchange(binding.source, vhost: binding.vhost))
        }
        if let missing = missing(binding.destination) { return .notFound(missing) }
        if case .exchange("") = binding.destination { return .invalid("the default exchange cannot be bound to") }
        if source.record.type == .headers && HeadersRule(binding.arguments) == nil {
            return .invalid("Invalid x-match field; expected all, any, all-with-x, or any-with-x")
        }
        return source.outgoing[key] == nil ? nil : .done
    }

    func missing(_ destination: BindingDestination) -> TopologyResource? {
        switch destination {
        case .queue(let name): queues[Bytes(name)] == nil ? .queue(name, vhost: record.name) : nil
        case .exchange(let name): exchanges[Bytes(name)] == nil ? .exchange(name, vhost: record.name) : nil
        }
    }
}
