import Primitives
import QueueClient
import QuorumQueue
import Topology

/// Short lives of a queue and of a topology, for inputs to start from.
enum MachineSeeds {
    static let gateway = GatewayID(node: NodeID(1), shard: 0)
    private static let session = SessionID(gateway: gateway, incarnation: Incarnation(1), number: 1)
    private static let other = SessionID(
        gateway: GatewayID(node: NodeID(2), shard: 0), incarnation: Incarnation(3), number: 7)

    private static func batch(_ body: (inout CommandEncoder) -> Void) -> CommandBatch {
        var encoder = CommandEncoder()
        body(&encoder)
        return encoder.take()
    }

    private static func enqueue(_ encoder: inout CommandEncoder, _ text: String, _ count: Int = 1) {
        for _ in 0..<count { encoder.enqueue(length: text.utf8.count) { $0.copyBytes(from: text.utf8) } }
    }

    static let batches: [CommandBatch] = [
        batch {
            $0.session(session, firstSequence: 1, lowWater: 0)
            $0.open()
            enqueue(&$0, "abc", 20)
        },
        batch {
            $0.session(other, firstSequence: 1, lowWater: 0)
            $0.open()
            $0.attach(consumer: 1, options: ConsumerOptions(prefetch: 10, exclusive: false, priority: 0, tag: "tag"))
            $0.attach(consumer: 2, options: ConsumerOptions(prefetch: 3, exclusive: false, priority: 5, tag: ""))
        },
        batch {
            $0.session(other, firstSequence: 4, lowWater: 2)
            $0.settle(consumer: 1, 1...4)
            $0.return(consumer: 1, 5...6, counted: true)
            $0.discard(consumer: 2, 1...1)
            $0.get(autoAck: false)
        },
        batch {
            $0.session(session, firstSequence: 22, lowWater: 0)
            enqueue(&$0, "", 3)
            $0.get(autoAck: true)
            $0.setPrefetch(consumer: 1, 4)
        },
        batch { $0.gatewayDown(NodeID(2)) },
        batch { $0.gatewayUp(NodeID(2), Incarnation(3)) },
        batch {
            $0.session(other, firstSequence: 8, lowWater: 5)
            $0.detach(consumer: 1)
            $0.purge()
            $0.tick()
        },
        batch { $0.detachUnknown(ConsumerID(session: other, number: 2)) },
        batch { $0.gatewayExpired(NodeID(2)) },
        batch {
            $0.session(session, firstSequence: 27, lowWater: 20)
            $0.close()
        },
    ]

    static func queue(_ count: Int) -> QueueMachine {
        var machine = QueueMachine()
        var effects: [QueueEffect] = []
        for batch in batches.prefix(count) {
            machine.apply(
                Machines.entry(batch.headers, batch.bodies, group: GroupID(5), index: machine.appliedIndex.next),
                into: &effects)
        }
        return machine
    }

    static let topologyCommands: [TopologyCommand] = [
        .bootstrap(
            TopologyBootstrap(
                user: UserRecord(
                    name: "guest", passwordHash: PasswordHash(password: "guest", salt: 7), tags: ["administrator"]))),
        .putVirtualHost(VirtualHostRecord(name: "v", text: "text", defaultQueueType: "quorum")),
        .putUser(UserRecord(name: "ann", passwordHash: nil)),
        .setPermissions(user: "ann", vhost: "v", configure: "^a", write: ".*", read: "(b|c)+"),
        .registerNode(
            NodeRecord(
                id: NodeID(1), name: "a@h", store: StoreID(high: 1, low: 2), peerAddress: "127.0.0.1:25672",
                clientAddress: "127.0.0.1:5672", managementAddress: "127.0.0.1:15672")),
        .nodeIncarnation(NodeID(1), Incarnation(2)),
        .declareExchange(
            ExchangeRecord(
                vhost: "/", name: "e", type: .topic, durable: true,
                arguments: ["alternate-exchange": .string("amq.fanout"), "n": .int(-1), "l": .list([.void])])),
        .declareQueue(
            QueueDeclaration(
                vhost: "/", name: "q", durable: true, autoDelete: false, arguments: ["x-queue-type": .string("quorum")],
                placement: .quorum(members: [NodeID(1), NodeID(2), NodeID(3)], preferredLeader: NodeID(2)))),
        .declareQueue(
            QueueDeclaration(
                vhost: "/", name: "t", durable: false, autoDelete: true,
                placement: .transient(owner: NodeID(1), incarnation: Incarnation(2), connection: 9))),
        .bind(Binding(vhost: "/", source: "e", destination: .queue("q"), routingKey: "a.*.#")),
        .bind(
            Binding(
                vhost: "/", source: "amq.headers", destination: .exchange("e"), routingKey: "",
                arguments: ["x-match": .string("any"), "k": .bool(true), "d": .double(bits: 3)])),
        .replaceStore(NodeID(1), StoreID(high: 1, low: 2), by: StoreID(high: 3, low: 4)),
        .connectionClosed(ConnectionOwner(node: NodeID(1), incarnation: Incarnation(2), connection: 9)),
        .unbind(Binding(vhost: "/", source: "e", destination: .queue("q"), routingKey: "a.*.#")),
        .nodeLost(NodeID(1), Incarnation(2)),
        .deleteQueue(vhost: "/", name: "q", expected: nil),
        .deleteExchange(vhost: "/", name: "e", ifUnused: true),
        .clearPermissions(user: "ann", vhost: "v"),
        .deleteUser("ann"),
        .deleteVirtualHost("v"),
    ]

    static func requests(_ commands: [TopologyCommand]) -> Bytes {
        encoded { writer in
            for command in commands {
                let id = TopologyRequestID(node: NodeID(1), incarnation: Incarnation(1), counter: 1)
                TopologyRequest(id: id, command: command).encode(into: &writer)
            }
        }
    }

    static func topology(_ count: Int) -> Topology {
        var topology = Topology()
        for command in topologyCommands.prefix(count) {
            let entry = Machines.entry(
                requests([command]), Bytes(), group: .topology, index: topology.lastApplied.next)
            _ = topology.apply(entry)
        }
        return topology
    }
}
