import Primitives
import Testing
import Topology

/// A log of one topology: commands go through their encoding into an entry, as in production.
struct Harness {
    var topology = Topology()
    private(set) var entries: [Entry] = []
    private var counter: UInt64 = 0

    /// With the virtual host `/` and the user guest.
    static func bootstrapped() -> Harness {
        var harness = Harness()
        let guest = UserRecord(
            name: "guest", passwordHash: PasswordHash(password: "guest", salt: 7), tags: ["administrator"])
        _ = harness.apply(.bootstrap(TopologyBootstrap(user: guest)))
        return harness
    }

    /// Applies the commands as one entry.
    mutating func applyAll(_ commands: [TopologyCommand]) -> [TopologyApplied] {
        var writer = ByteWriter()
        for command in commands {
            counter += 1
            let id = TopologyRequestID(node: NodeID(1), incarnation: Incarnation(1), counter: counter)
            TopologyRequest(id: id, command: command).encode(into: &writer)
        }
        return append(headers: writer.take())
    }

    mutating func append(headers: Bytes, kind: EntryKind = .commands) -> [TopologyApplied] {
        let index = UInt64(entries.count) + 1
        let entry = headers.withUnsafeBytes { bytes in
            Entry(
                kind: kind, group: .topology, index: LogIndex(index), term: Term(1),
                timestamp: WallTime(milliseconds: 1_000 + index), headers: bytes,
                bodies: UnsafeRawBufferPointer(start: nil, count: 0))
        }
        entries.append(entry)
        return topology.apply(entry)
    }

    @discardableResult mutating func apply(_ command: TopologyCommand) -> TopologyOutcome {
        applyAll([command]).first?.outcome ?? .unsupported
    }

    /// The changes of one command.
    mutating func changes(_ command: TopologyCommand) -> [TopologyChange] {
        applyAll([command]).first?.changes ?? []
    }

    /// The state as a snapshot brings it back.
    func restored() throws -> Topology {
        var writer = ByteWriter()
        topology.encodeSnapshot(into: &writer)
        return try Topology(snapshot: writer.take())
    }

    // MARK: Shorthands in the virtual host /

    @discardableResult mutating func declareQueue(_ name: String) -> QueueTarget? {
        if case .queue(let record, _) = apply(.declareQueue(.quorum(name))) { record.target } else { nil }
    }

    @discardableResult mutating func declareExchange(
        _ name: String, _ type: ExchangeType, autoDelete: Bool = false, arguments: TopologyArguments = [:]
    ) -> TopologyOutcome {
        apply(
            .declareExchange(
                ExchangeRecord(
                    vhost: "/", name: name, type: type, durable: true, autoDelete: autoDelete, arguments: arguments)))
    }

    @discardableResult mutating func bind(
        _ source: String, _ destination: BindingDestination, _ key: String = "", _ arguments: TopologyArguments = [:]
    ) -> TopologyOutcome {
        apply(
            .bind(
                Binding(
                    vhost: "/", source: source, destination: destination, routingKey: key, arguments: arguments)))
    }

    @discardableResult mutating func unbind(
        _ source: String, _ destination: BindingDestination, _ key: String = "", _ arguments: TopologyArguments = [:]
    ) -> TopologyOutcome {
        apply(
            .unbind(
                Binding(
                    vhost: "/", source: source, destination: destination, routingKey: key, arguments: arguments)))
    }

    /// The names of the queues that a message reaches; nil when there is no such exchange.
    func route(_ exchange: String, _ key: String, headers: [String: TopologyValue] = [:]) -> [String]? {
        var buffer = RouteBuffer()
        guard let vhost = topology.virtualHostRef("/"),
            let ref = Bytes(exchange).withUnsafeBytes({ topology.exchangeRef($0, in: vhost) })
        else { return nil }
        let isThere = Bytes(key).withUnsafeBytes {
            topology.route(ref, in: vhost, key: $0, into: &buffer) { headers[$0] }
        }
        guard isThere else { return nil }
        return buffer.targets.map { topology.queue($0)?.name ?? "gone" }
    }
}

extension QueueDeclaration {
    static func quorum(_ name: String, durable: Bool = true, arguments: TopologyArguments = [:]) -> QueueDeclaration {
        QueueDeclaration(
            vhost: "/", name: name, durable: durable, autoDelete: false, arguments: arguments,
            placement: .quorum(members: [NodeID(1), NodeID(2), NodeID(3)], preferredLeader: NodeID(2)))
    }

    static func exclusive(
        _ name: String, node: UInt16 = 1, incarnation: UInt32 = 1, connection: UInt64?
    ) -> QueueDeclaration {
        QueueDeclaration(
            vhost: "/", name: name, durable: false, autoDelete: connection == nil,
            placement: .transient(
                owner: NodeID(node), incarnation: Incarnation(incarnation), connection: connection))
    }
}
