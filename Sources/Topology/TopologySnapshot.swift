public import Primitives

// The canonical bytes of the state: equal states, equal bytes, on every machine. The routing is not in
// them; it is rebuilt.
//
// Layout, little-endian, version 2: u8 version, u64 lastApplied, u64 lastID, u64 generation, u64 accessGeneration,
// flag bootstrapped; then virtual hosts, users with permissions, nodes, incarnations, stores of nodes, each with a
// varint count and in sorted order. A virtual host is its record, its declared exchanges, its queues (u64 id, u64
// created, declaration) and its bindings.

extension Topology {
    /// Appends the state in its canonical bytes.
    public func encodeSnapshot(into writer: inout ByteWriter) { state.encode(into: &writer) }

    /// Restores a state. Throws `DecodingFailure` for anything that is not exactly one snapshot.
    public init(snapshot bytes: Bytes) throws(DecodingFailure) {
        let state = try bytes.withUnsafeBytes { buffer throws(DecodingFailure) in
            var reader = ByteReader(buffer)
            let state = try TopologyState(decoding: &reader)
            guard reader.isAtEnd else { throw .invalid("snapshot length") }
            return state
        }
        self.init(state)
    }
}

extension TopologyState {
    func encode(into writer: inout ByteWriter) {
        writer.write(TopologyState.version)
        writer.write(lastApplied.rawValue)
        writer.write(lastID)
        writer.write(generation)
        writer.write(accessGeneration)
        writer.write(flag: isBootstrapped)
        writer.writeVarint(UInt64(hosts.count))
        for host in sortedHosts { host.encode(into: &writer) }
        writer.writeVarint(UInt64(users.count))
        for user in sorted(users) {
            user.record.encode(into: &writer)
            writer.writeVarint(UInt64(user.permissions.count))
            for permissions in sorted(user.permissions) {
                writer.writeLengthPrefixed(permissions.vhost)
                writer.write(patterns: (permissions.configure.text, permissions.write.text, permissions.read.text))
            }
        }
        writer.writeVarint(UInt64(nodes.count))
        for node in sortedNodes { node.encode(into: &writer) }
        writer.writeVarint(UInt64(incarnations.count))
        for (node, value) in incarnations.sorted(by: { $0.key < $1.key }) {
            writer.write(node.rawValue)
            writer.write(value.newest.rawValue)
            writer.write(flag: value.isLost)
        }
        writer.writeVarint(UInt64(stores.count))
        for (node, tenures) in stores.sorted(by: { $0.key < $1.key }) {
            writer.write(node.rawValue)
            writer.writeVarint(UInt64(tenures.count))
            for tenure in tenures {
                writer.write(store: tenure.store)
                writer.write(tenure.since)
            }
        }
    }

    init(decoding reader: inout ByteReader) throws(DecodingFailure) {
        let version = try reader.read(UInt8.self)
        guard (1...TopologyState.version).contains(version) else { throw .invalid("snapshot version") }
        lastApplied = LogIndex(try reader.read())
        lastID = try reader.read()
        generation = try reader.read()
        accessGeneration = try reader.read()
        guard max(lastApplied.rawValue, lastID, generation, accessGeneration) <= CounterBound.stored else {
            throw .invalid("snapshot counter")
        }
        isBootstrapped = try reader.readFlag()
        for _ in 0..<(try reader.readCount(limit: .max)) { try decodeHost(&reader) }
        for _ in 0..<(try reader.readCount(limit: .max)) { try decodeUser(&reader) }
        for _ in 0..<(try reader.readCount(limit: .max)) {
            let node = try NodeRecord(decoding: &reader)
            nodes[node.id] = node
        }
        for _ in 0..<(try reader.readCount(limit: .max)) {
            let node = NodeID(try reader.read())
            incarnations[node] = Incarnations(newest: Incarnation(try reader.read()), isLost: try reader.readFlag())
        }
        guard version > 1 else {
            stores = nodes.mapValues { [StoreTenure(store: $0.store, since: 0)] }
            return
        }
        for _ in 0..<(try reader.readCount(limit: .max)) { try decodeStores(&reader) }
    }

    private mutating func decodeStores(_ reader: inout ByteReader) throws(DecodingFailure) {
        let node = NodeID(try reader.read())
        var tenures: [StoreTenure] = []
        for _ in 0..<(try reader.readCount(limit: .max)) {
            tenures.append(StoreTenure(store: try reader.readStore(), since: try reader.read()))
        }
        guard !tenures.isEmpty, stores[node] == nil else { throw .invalid("stores") }
        stores[node] = tenures
    }

    /// FNV-1a over the canonical bytes.
    func hash() -> UInt64 {
        var writer = ByteWriter(capacity: 1 << 12)
        encode(into: &writer)
        return writer.withUnsafeBytes { bytes in
            var hash: UInt64 = 0xcbf2_9ce4_8422_2325
            for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
            return hash
        }
    }

    private mutating func decodeHost(_ reader: inout ByteReader) throws(DecodingFailure) {
        let record = try VirtualHostRecord(decoding: &reader)
        guard hosts[Bytes(record.name)] == nil else { throw .invalid("vhost twice") }
        var host = VirtualHost(record)
        for _ in 0..<(try reader.readCount(limit: .max)) {
            let exchange = try ExchangeRecord(decoding: &reader)
            guard host.exchanges[Bytes(exchange.name)] == nil else { throw .invalid("exchange twice") }
            host.add(exchange)
        }
        for _ in 0..<(try reader.readCount(limit: .max)) {
            let id: UInt64 = try reader.read()
            let createdAt = WallTime(milliseconds: try reader.read())
            let queue = QueueRecord(id: id, declaration: try QueueDeclaration(decoding: &reader), createdAt: createdAt)
            guard host.queues[Bytes(queue.name)] == nil, places[id] == nil, id <= lastID else {
                throw .invalid("queue twice")
            }
            host.add(queue)
            remember(queue)
        }
        for _ in 0..<(try reader.readCount(limit: .max)) {
            let binding = try Binding(decoding: &reader)
            guard host.exchanges[Bytes(binding.source)] != nil, host.missing(binding.destination) == nil else {
                throw .invalid("binding")
            }
            host.add(binding, key: binding.key)
        }
        hosts[Bytes(record.name)] = host
    }

    private mutating func decodeUser(_ reader: inout ByteReader) throws(DecodingFailure) {
        var user = User(record: try UserRecord(decoding: &reader))
        for _ in 0..<(try reader.readCount(limit: .max)) {
            let vhost = try reader.readText()
            let patterns = try reader.readPatterns()
            user.permissions[Bytes(vhost)] = Permissions(
                user: user.record.name, vhost: vhost, configure: patterns.0, write: patterns.1, read: patterns.2)
        }
        users[Bytes(user.record.name)] = user
    }
}

extension VirtualHost {
    fileprivate func encode(into writer: inout ByteWriter) {
        record.encode(into: &writer)
        let declared = sortedExchanges.map(\.record).filter { !isPredeclared($0) }
        writer.writeVarint(UInt64(declared.count))
        for exchange in declared { exchange.encode(into: &writer) }
        writer.writeVarint(UInt64(queues.count))
        for queue in sortedQueues.map(\.record) {
            writer.write(queue.id)
            writer.write(queue.createdAt.milliseconds)
            queue.declaration.encode(into: &writer)
        }
        let bindings = sortedBindings
        writer.writeVarint(UInt64(bindings.count))
        for binding in bindings { binding.encode(into: &writer) }
    }

    private func isPredeclared(_ exchange: ExchangeRecord) -> Bool {
        ExchangeRecord.predeclared(in: record.name).contains { $0.name == exchange.name }
    }
}
