import Primitives
import Testing
import Topology

@Suite struct CodingTests {
    private static let arguments: TopologyArguments = [
        "void": .void, "bool": .bool(true), "int": .int(-5), "double": .double(bits: 0x4000_0000_0000_0000),
        "time": .timestamp(9), "text": .string("é"), "bytes": .bytes(Bytes([0, 255])),
        "list": .list([.int(1), .list([]), .string("x")]), "table": .table(["a": .table(["b": .bool(false)])]),
    ]

    static let commands: [TopologyCommand] = [
        .bootstrap(TopologyBootstrap(user: user)), .putVirtualHost(VirtualHostRecord(name: "v", text: "t")),
        .deleteVirtualHost("v"), .putUser(user), .putUser(UserRecord(name: "n", passwordHash: nil)), .deleteUser("u"),
        .setPermissions(user: "u", vhost: "v", configure: ".*", write: "^a", read: ""),
        .clearPermissions(user: "u", vhost: "v"),
        .declareExchange(
            ExchangeRecord(
                vhost: "v", name: "x", type: .headers, durable: true, autoDelete: true, isInternal: true,
                arguments: arguments, user: "u")),
        .deleteExchange(vhost: "v", name: "x", ifUnused: true),
        .declareQueue(.quorum("q", arguments: arguments)), .declareQueue(.exclusive("q", connection: 7)),
        .declareQueue(.exclusive("q", connection: nil)), .deleteQueue(vhost: "v", name: "q", expected: nil),
        .deleteQueue(vhost: "v", name: "q", expected: 12),
        .bind(
            Binding(
                vhost: "v", source: "x", destination: .exchange("y"), routingKey: Bytes([255, 0]),
                arguments: arguments)),
        .unbind(Binding(vhost: "v", source: "x", destination: .queue("y"), routingKey: "k")),
        .connectionClosed(ConnectionOwner(node: NodeID(3), incarnation: Incarnation(2), connection: 1)),
        .registerNode(
            NodeRecord(
                id: NodeID(3), name: "n", store: StoreID(high: 1, low: 2), peerAddress: "p", clientAddress: "c",
                managementAddress: "m")),
        .replaceStore(NodeID(3), StoreID(high: 1, low: 2), by: StoreID(high: 3, low: 4)),
        .nodeIncarnation(NodeID(3), Incarnation(4)), .nodeLost(NodeID(3), Incarnation(4)),
    ]

    private static let user = UserRecord(
        name: "u", passwordHash: PasswordHash(password: "p", salt: 3), tags: ["administrator", "monitoring"])

    private static func request(_ command: TopologyCommand) -> TopologyRequest {
        TopologyRequest(
            id: TopologyRequestID(node: NodeID(9), incarnation: Incarnation(8), counter: 7), command: command)
    }

    @Test(arguments: commands) func roundTrip(_ command: TopologyCommand) throws {
        let request = CodingTests.request(command)
        var writer = ByteWriter()
        request.encode(into: &writer)
        let bytes = writer.take()
        let decoded = try bytes.withUnsafeBytes { buffer in
            var reader = ByteReader(buffer)
            let decoded = try TopologyRequest(decoding: &reader)
            #expect(reader.isAtEnd)
            return decoded
        }
        #expect(decoded == request)
    }

    @Test(arguments: commands) func everyTruncationIsRefused(_ command: TopologyCommand) {
        var writer = ByteWriter()
        CodingTests.request(command).encode(into: &writer)
        let bytes = writer.take()
        for count in 1..<bytes.count { CodingTests.expectRefusal(of: bytes[0..<count]) }
        // With a length that is right for the shorter payload, so that the fields themselves run out.
        let payload = bytes[(bytes.count > 129 ? 2 : 1)..<bytes.count]
        for count in 0..<payload.count {
            var shorter = ByteWriter()
            shorter.writeLengthPrefixed(payload[0..<count])
            CodingTests.expectRefusal(of: shorter.take())
        }
    }

    private static func expectRefusal(of bytes: Bytes) {
        #expect(throws: DecodingFailure.self) {
            try bytes.withUnsafeBytes { buffer in _ = try TopologyRequest.validate(buffer) }
        }
    }

    @Test func garbageIsRefusedOrReadButNeverTraps() {
        var random = SeededRandom(seed: 3)
        var refused = 0
        for _ in 0..<4_000 {
            var writer = ByteWriter()
            let command = CodingTests.commands[Int(random.next(below: UInt64(CodingTests.commands.count)))]
            CodingTests.request(command).encode(into: &writer)
            var bytes = writer.take().toArray()
            for _ in 0...random.next(below: 3) {
                bytes[Int(random.next(below: UInt64(bytes.count)))] = UInt8(truncatingIfNeeded: random.next())
            }
            bytes.withUnsafeBytes { buffer in
                do { _ = try TopologyRequest.validate(buffer) } catch { refused += 1 }
            }
            var harness = Harness.bootstrapped()
            _ = harness.append(headers: Bytes(bytes))
            #expect(harness.topology.lastApplied == LogIndex(2))
        }
        #expect(refused > 1_000)
    }

    @Test func depthIsBounded() {
        var value = TopologyValue.int(1)
        for _ in 0..<20 { value = .list([value]) }
        var writer = ByteWriter()
        CodingTests.request(.declareQueue(.quorum("q", arguments: ["a": value]))).encode(into: &writer)
        CodingTests.expectRefusal(of: writer.take())
    }

    @Test func unknownCommandsAreAnsweredAndSkipped() {
        var writer = ByteWriter()
        var payload = ByteWriter()
        payload.write(UInt8(1))
        payload.write(UInt16(2))
        payload.write(UInt32(3))
        payload.write(UInt64(4))
        payload.write(UInt8(200))
        writer.writeLengthPrefixed(payload.take())
        CodingTests.request(.putUser(CodingTests.user)).encode(into: &writer)
        var harness = Harness.bootstrapped()
        let applied = harness.append(headers: writer.take())
        #expect(applied.map(\.outcome) == [.unsupported, .done])
        #expect(applied.first?.request.counter == 4)
        #expect(harness.topology.user("u") == CodingTests.user)
    }

    @Test func argumentsDoNotKnowTheirOrderAndKeepTheFirstOfAName() {
        let a = TopologyArguments([("b", .int(1)), ("a", .int(2)), ("b", .int(3))])
        let b = TopologyArguments([("a", .int(2)), ("b", .int(1))])
        #expect(a == b)
        #expect(a["b"] == .int(1))
        #expect(a["c"] == nil)
    }
}
