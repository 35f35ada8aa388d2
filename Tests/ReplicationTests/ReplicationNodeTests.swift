import Glibc
import LogStore
import Logging
import NIOCore
import NIOPosix
import PeerLink
import Primitives
import Replication
import Testing

/// A node with its sockets and its disk, and a peer that says what it likes.
@Suite(.timeLimit(.minutes(1))) struct ReplicationNodeTests {
    fileprivate static let liveness = {
        var liveness = LivenessConfiguration()
        // A loaded machine must not turn this into a test of silence.
        liveness.minimumSilence = .seconds(20)
        liveness.maximumSilence = .seconds(20)
        return liveness
    }()

    @Test func aPayloadThatIsNoneResetsItsLinkAndOnlyThat() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let directory = try TemporaryDirectory()
        let secret = try #require(PeerSecret("sesame"))
        let (peer, events, port) = try await loop.submit { try LoosePeer.start(secret, on: loop) }.get()
        var configuration = NodeConfiguration(
            node: NodeID(1), directory: directory.path, listen: PeerAddress(host: "127.0.0.1", port: 0),
            peers: [PeerEndpoint(node: NodeID(2), address: PeerAddress(host: "127.0.0.2", port: port))],
            secrets: [secret])
        configuration.liveness = ReplicationNodeTests.liveness
        configuration.log = LogConfiguration(segmentSize: 64 << 10, firstSegmentSize: 64 << 10)
        let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        let store = try OpenedStore(configuration: configuration, logger: logger)
        let node = try await loop.submit {
            let node = ReplicationNode(store: store, eventLoop: loop, logger: logger)
            try node.start()
            return NIOLoopBound(node, eventLoop: loop)
        }.get()

        var told = events.makeAsyncIterator()
        #expect(await told.next() == .up(isFounded: false))
        // All are there, and the node founds the cluster: what it said a moment ago is not so any more.
        #expect(await told.next() == .down(.closedByPeer))
        #expect(await told.next() == .up(isFounded: true))
        try await loop.submit { peer.value.say(Bytes([99, 1, 2])) }.get()
        #expect(await told.next() == .down(.closedByPeer))
        #expect(await told.next() == .up(isFounded: true))

        try await loop.flatSubmit { peer.value.stop() }.get()
        let close = try await loop.flatSubmit { node.value.stop().map { node.value.storeCloser } }.get()
        try await NIOThreadPool.singleton.runIfActive(close)
        try await group.shutdownGracefully()
    }
}

/// A node's links without a node behind them.
private final class LoosePeer: PeerLinksDelegate {
    enum Event: Equatable, Sendable {
        case up(isFounded: Bool)
        case down(LinkDownReason)
    }

    private let events: AsyncStream<Event>
    private let continuation: AsyncStream<Event>.Continuation
    private let links: PeerLinks

    static func start(
        _ secret: PeerSecret, on loop: any EventLoop
    ) throws -> (peer: NIOLoopBound<LoosePeer>, events: AsyncStream<Event>, port: UInt16) {
        var configuration = PeerLinkConfiguration(
            identity: PeerIdentity(node: NodeID(2), store: StoreID(high: 0, low: 2), incarnation: Incarnation(1)),
            cluster: nil, listen: PeerAddress(host: "127.0.0.2", port: 0),
            peers: [PeerEndpoint(node: NodeID(1), address: PeerAddress(host: "127.0.0.1", port: 1))],
            secrets: [secret])
        configuration.liveness = ReplicationNodeTests.liveness
        let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        let links = PeerLinks(
            configuration: configuration, eventLoop: loop, sources: HeartbeatSources(digest: { _ in 0 }),
            logger: logger)
        let peer = LoosePeer(links)
        links.delegate = peer
        return (NIOLoopBound(peer, eventLoop: loop), peer.events, try links.start())
    }

    private init(_ links: PeerLinks) {
        self.links = links
        (events, continuation) = AsyncStream.makeStream()
    }

    func say(_ payload: Bytes) {
        links.send(payload, to: NodeID(1))
        links.flush()
    }

    func stop() -> EventLoopFuture<Void> { links.shutdown() }

    func linkUp(_ peer: PeerIdentity, bootstrap: Bytes) {
        continuation.yield(.up(isFounded: !bootstrap.isEmpty))
    }
    func linkDown(_ node: NodeID, reason: LinkDownReason) { continuation.yield(.down(reason)) }
    func received(_ payload: Bytes, from node: NodeID) {}
    func livenessChanged(_ verdicts: [LivenessVerdict]) {}
}

/// A directory that goes with the test.
private final class TemporaryDirectory {
    let path: String

    init() throws {
        var template = Array("/tmp/replication-XXXXXX".utf8CString)
        let made = template.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
        }
        path = try #require(made)
    }

    deinit {
        if let disk = try? FileDisk(path: path) { for name in (try? disk.list()) ?? [] { try? disk.remove(name) } }
        rmdir(path)
    }
}
