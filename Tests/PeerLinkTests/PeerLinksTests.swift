import Logging
import NIOCore
import NIOPosix
import PeerLink
import Primitives
import Synchronization
import Testing

/// A node on loopback: links, their loop and what they reported.
private struct Node {
    let identity: PeerIdentity
    let recorder = Recorder()
    let loop: any EventLoop
    let links: NIOLoopBound<PeerLinks>
    let port: UInt16

    static func start(
        _ number: UInt16, incarnation: UInt32 = 1, peers: [PeerEndpoint], port: UInt16 = 0,
        secret text: String = "sesame", silence: Interval = .seconds(20), on group: MultiThreadedEventLoopGroup
    ) async throws -> Node {
        let identity = PeerIdentity(
            node: NodeID(number), store: StoreID(high: 0, low: UInt64(number)), incarnation: Incarnation(incarnation))
        let listen = PeerAddress(host: "127.0.0.\(number)", port: port)
        var configuration = PeerLinkConfiguration(
            identity: identity, cluster: nil, listen: listen, peers: peers, secrets: [try secret(text)])
        // A loaded machine must not turn a test of something else into a test of silence.
        configuration.liveness.minimumSilence = silence
        configuration.liveness.maximumSilence = silence
        configuration.limits.silentLinkTimeout = silence / 2
        configuration.limits.backedUpBytes = 4 << 20
        configuration.limits.outboundBytes = 24 << 20
        return try await Node(identity, configuration, on: group.next())
    }

    private init(_ identity: PeerIdentity, _ configuration: PeerLinkConfiguration, on loop: any EventLoop) async throws
    {
        self.identity = identity
        self.loop = loop
        let recorder = recorder
        (links, port) = try await loop.submit {
            var logger = Logger(label: "test")
            logger.logLevel = .critical
            let sources = HeartbeatSources(digest: { UInt64($0.rawValue) + 100 })
            let links = PeerLinks(configuration: configuration, eventLoop: loop, sources: sources, logger: logger)
            links.delegate = recorder
            links.bootstrap = Bytes("hello from \(identity.node)")
            let port = try links.start()
            return (NIOLoopBound(links, eventLoop: loop), port)
        }.get()
    }

    func run<R: Sendable>(_ body: @escaping @Sendable (PeerLinks) -> R) async throws -> R {
        let links = links
        return try await loop.submit { body(links.value) }.get()
    }

    func endpoint() -> PeerEndpoint {
        PeerEndpoint(
            node: identity.node, address: PeerAddress(host: "127.0.0.\(identity.node.rawValue)", port: port))
    }

    func stop() async throws {
        let links = links
        try await loop.flatSubmit { links.value.shutdown() }.get()
    }
}

@Suite(.serialized, .timeLimit(.minutes(2))) struct PeerLinksTests {
    private func withGroup(_ body: (MultiThreadedEventLoopGroup) async throws -> Void) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        do {
            try await body(group)
        } catch {
            try await group.shutdownGracefully()
            throw error
        }
        try await group.shutdownGracefully()
    }

    private func pair(_ group: MultiThreadedEventLoopGroup) async throws -> (Node, Node) {
        let second = try await Node.start(2, peers: [], on: group)
        let first = try await Node.start(1, peers: [second.endpoint()], on: group)
        let endpoint = first.endpoint()
        try await second.run { $0.add(endpoint) }
        return (first, second)
    }

    /// A node numbered 2 that waits for a fake peer, which never accepts what is dialled to it.
    private func lonely(_ group: MultiThreadedEventLoopGroup) async throws -> Node {
        let nowhere = PeerEndpoint(node: NodeID(1), address: PeerAddress(host: "127.0.0.1", port: 1))
        return try await Node.start(2, peers: [nowhere], on: group)
    }

    private func fake(incarnation: UInt32, attempt: UInt64 = 1) throws -> PeerHandshake.Parameters {
        var result = try parameters(1, nonce: UInt8(incarnation))
        result.identity.incarnation = Incarnation(incarnation)
        result.attempt = attempt
        return result
    }

    @Test("two nodes find each other, exchange messages of all sizes in order, and part with a farewell")
    func exchange() async throws {
        try await withGroup { group in
            let (first, second) = try await pair(group)
            let before = await first.recorder.wait { $0 == .up(second.identity, Bytes("hello from n2")) }
            #expect(before.contains(.verdict(.up(NodeID(2), Incarnation(1)))))
            _ = await second.recorder.wait { $0 == .up(first.identity, Bytes("hello from n1")) }

            let large = Bytes([UInt8](repeating: 42, count: 9 << 20))
            let isSent = try await first.run { links in
                for number in 0..<1_000 {
                    links.send(Bytes("message \(number)"), followedBy: [Bytes("!"), Bytes("?")], to: NodeID(2))
                }
                let isSent = links.send(large, to: NodeID(2))
                links.send(Bytes(), to: NodeID(2))
                links.flush()
                return isSent && !links.send(Bytes("nobody"), to: NodeID(9))
            }
            #expect(isSent)
            let messages = await second.recorder.wait { $0 == .received(Bytes(), NodeID(1)) }.compactMap { event in
                if case .received(let payload, NodeID(1)) = event { return payload } else { return nil }
            }
            #expect(messages.count == 1_002)
            #expect(messages.prefix(1_000).enumerated().allSatisfy { $1 == Bytes("message \($0)!?") })
            #expect(messages[1_000].count == large.count)
            #expect(CRC32C.checksum(messages[1_000]) == CRC32C.checksum(large))

            let status = try await second.run { $0.snapshot() }
            #expect(status.count == 1 && status[0].linked == first.identity && status[0].bytesReceived > 9 << 20)

            try await first.stop()
            let end = await second.recorder.wait { $0 == .verdict(.suspected(NodeID(1), .stopping)) }
            #expect(!end.contains(.verdict(.suspected(NodeID(1), .linkReset))))
            try await second.stop()
        }
    }

    @Test("heartbeats carry the digest for their receiver")
    func digest() async throws {
        try await withGroup { group in
            let (first, second) = try await pair(group)
            _ = await first.recorder.wait { $0 == .verdict(.up(NodeID(2), Incarnation(1))) }
            var heartbeat: Heartbeat?
            while heartbeat == nil {
                heartbeat = try await first.run { $0.lastHeartbeat(of: NodeID(2)) }
                await Task.yield()
            }
            #expect(heartbeat?.digest == 101)
            #expect(heartbeat?.diskAge == .zero)
            try await first.stop()
            try await second.stop()
        }
    }

    @Test("a process that dies is noticed by the end of its connection, and its successor by the incarnation")
    func death() async throws {
        try await withGroup { group in
            let node = try await lonely(group)
            let channel = try await FakePeer.connect(try fake(incarnation: 1), port: node.port, on: group.next())
            let up = await node.recorder.wait { if case .up = $0 { true } else { false } }
            #expect(up.contains(.verdict(.up(NodeID(1), Incarnation(1)))))
            try await channel.close()
            let down = await node.recorder.wait { $0 == .verdict(.suspected(NodeID(1), .linkReset)) }
            #expect(down.count == 2)
            guard case .down(NodeID(1), .reset) = down[0] else {
                Issue.record("\(down)")
                return
            }
            // The successor appears while nothing has been seen of its predecessor's end, too.
            _ = try await FakePeer.connect(try fake(incarnation: 2), port: node.port, on: group.next())
            _ = await node.recorder.wait { if case .up = $0 { true } else { false } }
            _ = try await FakePeer.connect(try fake(incarnation: 3), port: node.port, on: group.next())
            let replaced = await node.recorder.wait { if case .up = $0 { true } else { false } }
            #expect(
                replaced.prefix(3) == [
                    .down(NodeID(1), .newIncarnation(Incarnation(3))),
                    .verdict(.suspected(NodeID(1), .newIncarnation(Incarnation(3)))),
                    .verdict(.up(NodeID(1), Incarnation(3))),
                ])
            await #expect(throws: PeerRefusal.self) {
                _ = try await FakePeer.connect(try fake(incarnation: 2), port: node.port, on: group.next())
            }
            try await node.stop()
        }
    }

    @Test("the end of a heartbeat connection is evidence as well")
    func heartbeatReset() async throws {
        try await withGroup { group in
            let node = try await lonely(group)
            var beating = try fake(incarnation: 1)
            beating.kind = .heartbeat
            let channel = try await FakePeer.connect(beating, port: node.port, on: group.next())
            _ = await node.recorder.wait { $0 == .verdict(.up(NodeID(1), Incarnation(1))) }
            try await channel.close()
            let down = await node.recorder.wait { $0 == .verdict(.suspected(NodeID(1), .linkReset)) }
            #expect(down.count == 1)
            try await node.stop()
        }
    }

    @Test("a process that stands still is suspected for its silence, and its link given up")
    func silence() async throws {
        try await withGroup { group in
            let nowhere = PeerEndpoint(node: NodeID(1), address: PeerAddress(host: "127.0.0.1", port: 1))
            let node = try await Node.start(2, peers: [nowhere], silence: .milliseconds(200), on: group)
            // Its sockets stay open, as those of a stopped process do, and nothing beats.
            let channel = try await FakePeer.connect(try fake(incarnation: 1), port: node.port, on: group.next())
            let events = await node.recorder.wait { $0 == .down(NodeID(1), .silent) }
            let reasons = events.compactMap { event -> SuspicionReason? in
                if case .verdict(.suspected(NodeID(1), let reason)) = event { return reason } else { return nil }
            }
            guard case .silence(let silence) = reasons.last else {
                Issue.record("\(events)")
                return
            }
            #expect(silence >= .milliseconds(200))
            try await channel.closeFuture.get()
            try await node.stop()
        }
    }

    @Test("a peer that does not read backs its link up, and loses it before memory runs out")
    func overflow() async throws {
        try await withGroup { group in
            let node = try await lonely(group)
            let channel = try await FakePeer.connect(try fake(incarnation: 1), port: node.port, on: group.next())
            _ = await node.recorder.wait { if case .up = $0 { true } else { false } }
            let message = Bytes([UInt8](repeating: 3, count: 1 << 20))
            try await channel.setOption(.autoRead, value: false).get()
            // The sockets hold a part of it.
            let isBackedUp = try await node.run { links in
                for _ in 0..<16 { links.send(message, to: NodeID(1)) }
                links.flush()
                return links.isBackedUp(NodeID(1))
            }
            #expect(isBackedUp)
            try await channel.setOption(.autoRead, value: true).get()
            _ = await node.recorder.wait { $0 == .drained(NodeID(1)) }
            #expect(try await node.run { !$0.isBackedUp(NodeID(1)) })

            try await channel.setOption(.autoRead, value: false).get()
            let sent = try await node.run { links in
                var sent = 0
                while sent < 1_000 && links.send(message, to: NodeID(1)) {
                    links.flush()
                    sent += 1
                }
                return sent
            }
            // Up to half of the high-water mark was still waiting.
            #expect(sent >= 21 && sent < 1_000)
            let end = await node.recorder.wait { if case .down = $0 { true } else { false } }
            #expect(end.last == .down(NodeID(1), .overflow))
            try await channel.close()
            try await node.stop()
        }
    }

    @Test("large messages wait by reference behind a slow peer, in order, and say when they have left")
    func largeMessages() async throws {
        try await withGroup { group in
            let (first, second) = try await pair(group)
            _ = await first.recorder.wait { if case .up = $0 { true } else { false } }
            _ = await second.recorder.wait { if case .up = $0 { true } else { false } }
            let isBackedUp = try await first.run { links in
                for number in 0..<3 {
                    links.send(Bytes([UInt8](repeating: UInt8(number), count: 5 << 20)), to: NodeID(2))
                    links.send(Bytes("behind \(number)"), to: NodeID(2))
                }
                links.flush()
                return links.isBackedUp(NodeID(2))
            }
            #expect(isBackedUp)
            let messages = await second.recorder.wait { $0 == .received(Bytes("behind 2"), NodeID(1)) }.compactMap {
                if case .received(let payload, NodeID(1)) = $0 { return payload } else { return nil }
            }
            #expect(messages.count == 6)
            for number in 0..<3 {
                #expect(messages[2 * number].count == 5 << 20 && messages[2 * number][77] == UInt8(number))
                #expect(messages[2 * number + 1] == Bytes("behind \(number)"))
            }
            _ = await first.recorder.wait { $0 == .drained(NodeID(2)) }
            #expect(try await first.run { !$0.isBackedUp(NodeID(2)) })
            try await first.stop()
            try await second.stop()
        }
    }

    @Test("bytes that are no frames close their link, and only that")
    func garbage() async throws {
        try await withGroup { group in
            let node = try await lonely(group)
            let channel = try await FakePeer.connect(try fake(incarnation: 1), port: node.port, on: group.next())
            _ = await node.recorder.wait { if case .up = $0 { true } else { false } }
            try await channel.writeAndFlush(ByteBuffer(repeating: 0xee, count: 100))
            let down = await node.recorder.wait { if case .down = $0 { true } else { false } }
            guard case .down(NodeID(1), .malformed(.tooLong)) = down.last else {
                Issue.record("\(down)")
                return
            }
            try await channel.closeFuture.get()
            // A newer connection of the same process replaces an open one, an older one is refused.
            _ = try await FakePeer.connect(
                try fake(incarnation: 1, attempt: 5), port: node.port, on: group.next())
            _ = await node.recorder.wait { if case .up = $0 { true } else { false } }
            await #expect(throws: PeerRefusal.self) {
                _ = try await FakePeer.connect(
                    try fake(incarnation: 1, attempt: 4), port: node.port, on: group.next())
            }
            _ = try await FakePeer.connect(
                try fake(incarnation: 1, attempt: 6), port: node.port, on: group.next())
            let replaced = await node.recorder.wait { if case .up = $0 { true } else { false } }
            #expect(replaced.first == .down(NodeID(1), .replaced))
            try await node.stop()
        }
    }

    @Test("strangers, wrong secrets and refused stores get no link")
    func refusals() async throws {
        try await withGroup { group in
            let node = try await lonely(group)
            let stranger = try await ClientBootstrap(group: group.next())
                .connect(host: "127.0.0.2", port: Int(node.port)).get()
            try await stranger.writeAndFlush(ByteBuffer(string: "AMQP\0\0\u{9}\u{1}"))
            try await stranger.closeFuture.get()

            var wrong = try fake(incarnation: 1)
            wrong.secrets = [try secret("guess")]
            await #expect(throws: PeerRefusal(.secret, "n1 does not share a secret with n2")) {
                _ = try await FakePeer.connect(wrong, port: node.port, on: group.next())
            }
            let store = StoreID(high: 6, low: 6)
            node.recorder.refusedStores.withLock { $0 = [store] }
            var lost = try fake(incarnation: 1)
            lost.identity.store = store
            await #expect(throws: PeerRefusal(.notAdmitted, "another store")) {
                _ = try await FakePeer.connect(lost, port: node.port, on: group.next())
            }
            #expect(try await node.run { !$0.isLinked(NodeID(1)) })
            try await node.stop()
        }
    }

    @Test("a node that starts again is dialled at once, by whichever side")
    func rejoin() async throws {
        try await withGroup { group in
            let (first, second) = try await pair(group)
            _ = await first.recorder.wait { if case .up = $0 { true } else { false } }
            _ = await second.recorder.wait { if case .up = $0 { true } else { false } }
            let port = second.port
            try await second.stop()
            _ = await first.recorder.wait { $0 == .verdict(.suspected(NodeID(2), .stopping)) }
            let again = try await Node.start(
                2, incarnation: 2, peers: [first.endpoint()], port: port, on: group)
            let events = await first.recorder.wait {
                if case .up(let peer, _) = $0 { peer == again.identity } else { false }
            }
            #expect(events.contains(.verdict(.up(NodeID(2), Incarnation(2)))))
            try await first.stop()
            try await again.stop()
        }
    }
}
