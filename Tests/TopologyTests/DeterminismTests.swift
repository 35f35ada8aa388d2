import Primitives
import Testing
import Topology

/// Replicas that apply the same entries agree to the byte, whatever the path.
@Suite struct DeterminismTests {
    /// Random commands over few names, so that they meet.
    private static func command(_ random: inout SeededRandom) -> TopologyCommand {
        func name(_ prefix: String, _ bound: UInt64 = 5) -> String { "\(prefix)\(random.next(below: bound))" }
        let vhost = random.oneIn(4) ? name("v", 3) : "/"
        switch random.next(below: 16) {
        case 0: return .putVirtualHost(VirtualHostRecord(name: name("v", 3)))
        case 1: return random.oneIn(3) ? .deleteVirtualHost(name("v", 3)) : .deleteUser(name("u", 3))
        case 2: return .putUser(UserRecord(name: name("u", 3), passwordHash: nil, tags: [name("tag")]))
        case 3:
            return .setPermissions(user: name("u", 3), vhost: vhost, configure: name("^a"), write: ".*", read: "")
        case 4, 5:
            let type = ExchangeType.allCases[Int(random.next(below: 4))]
            return .declareExchange(
                ExchangeRecord(
                    vhost: vhost, name: name("x"), type: type, durable: true, autoDelete: random.oneIn(2)))
        case 6: return .deleteExchange(vhost: vhost, name: name("x"), ifUnused: random.oneIn(2))
        case 7, 8:
            var declaration = QueueDeclaration.quorum(name("q"))
            declaration.vhost = vhost
            return .declareQueue(declaration)
        case 9, 10:
            var declaration = QueueDeclaration.exclusive(
                name("q"), node: UInt16(1 + random.next(below: 3)), incarnation: UInt32(1 + random.next(below: 2)),
                connection: random.oneIn(2) ? 1 : nil)
            declaration.vhost = vhost
            return .declareQueue(declaration)
        case 11: return .deleteQueue(vhost: vhost, name: name("q"), expected: nil)
        case 12:
            return .connectionClosed(
                ConnectionOwner(
                    node: NodeID(UInt16(1 + random.next(below: 3))), incarnation: Incarnation(1), connection: 1))
        case 13:
            let node = NodeID(UInt16(1 + random.next(below: 3)))
            let incarnation = Incarnation(UInt32(1 + random.next(below: 4)))
            return random.oneIn(3) ? .nodeLost(node, incarnation) : .nodeIncarnation(node, incarnation)
        default:
            let destination: BindingDestination = random.oneIn(3) ? .exchange(name("x")) : .queue(name("q"))
            let binding = Binding(
                vhost: vhost, source: name("x"), destination: destination, routingKey: name("k"),
                arguments: random.oneIn(3) ? ["a": .int(1)] : [:])
            return random.oneIn(4) ? .unbind(binding) : .bind(binding)
        }
    }

    @Test(arguments: 1...10 as ClosedRange<UInt64>)
    func replayAndSnapshotLeadToTheSameState(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var harness = Harness.bootstrapped()
        var snapshot: (Bytes, from: Int)?
        var results: [TopologyApplied] = []
        for step in 0..<150 {
            var commands: [TopologyCommand] = []
            for _ in 0...random.next(below: 4) { commands.append(DeterminismTests.command(&random)) }
            results += harness.applyAll(commands)
            if step == 70 {
                var writer = ByteWriter()
                harness.topology.encodeSnapshot(into: &writer)
                snapshot = (writer.take(), harness.entries.count)
            }
        }
        #expect(results.contains { !$0.changes.isEmpty })
        var replica = Topology()
        var replayed: [TopologyApplied] = []
        for entry in harness.entries { replayed += replica.apply(entry) }
        #expect(Array(replayed.dropFirst()) == results)
        #expect(replica.stateHash() == harness.topology.stateHash())
        guard let snapshot else {
            Issue.record("no snapshot")
            return
        }
        var restored = try Topology(snapshot: snapshot.0)
        var later: [TopologyApplied] = []
        for entry in harness.entries[snapshot.from...] { later += restored.apply(entry) }
        #expect(later == Array(results.suffix(later.count)))
        #expect(restored.stateHash() == harness.topology.stateHash())
        #expect(DeterminismTests.routes(restored) == DeterminismTests.routes(harness.topology))
    }

    /// Everything the router says about every exchange and key in use.
    private static func routes(_ topology: Topology) -> [[QueueTarget]] {
        var routes: [[QueueTarget]] = []
        var buffer = RouteBuffer()
        for vhost in topology.virtualHosts {
            guard let ref = topology.virtualHostRef(vhost.name) else { continue }
            for exchange in topology.exchanges(vhost: vhost.name) {
                for key in ["k0", "k1", "k2", "k3", "k4", "q0", "q1"] {
                    let handle = Bytes(exchange.name).withUnsafeBytes { topology.exchangeRef($0, in: ref) }
                    guard let handle else { continue }
                    _ = Bytes(key).withUnsafeBytes {
                        topology.route(handle, in: ref, key: $0, into: &buffer) { _ in .int(1) }
                    }
                    routes.append(buffer.targets)
                }
            }
        }
        return routes
    }

    @Test func aSnapshotCutShortOrDamagedIsRefusedOrReadButNeverTraps() throws {
        var random = SeededRandom(seed: 77)
        var harness = Harness.bootstrapped()
        for _ in 0..<60 { harness.apply(DeterminismTests.command(&random)) }
        var writer = ByteWriter()
        harness.topology.encodeSnapshot(into: &writer)
        let bytes = writer.take()
        for count in 0..<bytes.count {
            #expect(throws: DecodingFailure.self) { try Topology(snapshot: bytes[0..<count]) }
        }
        var refused = 0
        for _ in 0..<2_000 {
            var damaged = bytes.toArray()
            damaged[Int(random.next(below: UInt64(damaged.count)))] ^= UInt8(1 << random.next(below: 8))
            if (try? Topology(snapshot: Bytes(damaged))) == nil { refused += 1 }
        }
        #expect(refused > 100)
    }

    @Test func copiesAreIndependentAndOldEntriesDoNothing() {
        var harness = Harness.bootstrapped()
        let before = harness.topology
        harness.declareQueue("q")
        #expect(before.queues.isEmpty)
        #expect(harness.topology.queues.count == 1)
        harness.bind("amq.fanout", .queue("q"))
        let bound = harness
        harness.unbind("amq.fanout", .queue("q"))
        #expect(bound.route("amq.fanout", "") == ["q"])
        #expect(harness.route("amq.fanout", "") == [])
        let hash = harness.topology.stateHash()
        #expect(before.stateHash() != hash)
        for entry in harness.entries { #expect(harness.topology.apply(entry).isEmpty) }
        #expect(harness.topology.stateHash() == hash)
    }
}
