import Broker
import LogStore
import Logging
import NIOEmbedded
import PeerLink
import Primitives
import QueueClient
import Replication
import Topology

/// A node in one thread: production's broker, shard, node log and peer frames, with a shell that does at once what
/// production gives to threads and sockets.
final class CostNode {
    private unowned let cluster: CostCluster
    let shard: Shard
    let eventLoop = EmbeddedEventLoop()
    private(set) var broker: BrokerLoop!
    private var log: NodeLog<FileDisk>
    private var reader: EntryReader<FileDisk>
    /// What became durable since the last turn.
    private var durable: [LogCompletion] = []
    private var reads: [ReadRequest] = []
    private var work: [SnapshotWork] = []
    private var inbox: [(from: NodeID, bytes: Bytes)] = []
    private var links: [NodeID: Link] = [:]
    private var completions: [UInt64: (Result<TopologyOutcome, ProposeFailure>) -> Void] = [:]
    private var needsFlush = false
    private var isAnnouncing = false
    /// The node is part of the cluster.
    private(set) var isReady = false

    /// The connection with a peer.
    private final class Link {
        var incoming = PeerFrameReader(limit: PeerFrame.maximumPayload)
        var outgoing = ByteWriter()
    }

    init(_ id: NodeID, of nodes: [NodeID], directory: String, cluster: CostCluster) throws {
        self.cluster = cluster
        let disk = try FileDisk(path: "\(directory)/node\(id.rawValue)")
        var random = SeededRandom(seed: UInt64(id.rawValue))
        let recovered: RecoveredStore
        (log, recovered) = try NodeLog.open(disk: disk, randomness: &random)
        reader = EntryReader(disk: disk)
        shard = Shard(
            node: id, peers: nodes.filter { $0 != id }, recovered: recovered, configuration: ShardConfiguration(),
            seed: random.next(), now: cluster.now)
        broker = BrokerLoop(
            node: self, configuration: BrokerConfiguration(), eventLoop: eventLoop,
            logger: Logger(label: "cost", factory: { _ in SwiftLogNoOpLogHandler() }), seed: random.next(),
            now: cluster.now)
    }

    /// The cluster is founded, and all links stand.
    func begin(with members: [GroupDescriptor.Member]) {
        shard.found(members: members, now: cluster.now)
        for member in members where member.node != nodeID {
            let identity = PeerIdentity(node: member.node, store: member.store, incarnation: Incarnation(1))
            links[member.node] = Link()
            shard.linkUp(identity, now: cluster.now)
            shard.nodeUp(member.node, identity.incarnation, now: cluster.now)
            broker.nodeUp(member.node, incarnation: identity.incarnation)
        }
        needsFlush = true
    }

    /// Bytes of a peer's link.
    func deliver(_ bytes: Bytes, from peer: NodeID) { inbox.append((peer, bytes)) }

    /// Something came by another way; the next turn looks at it.
    func wake() { needsFlush = true }

    /// Takes what has come and does all that follows from it.
    func turn() throws {
        guard needsFlush || !inbox.isEmpty || !durable.isEmpty || !reads.isEmpty || !work.isEmpty else { return }
        try receive()
        for request in reads.take() { try complete(request) }
        for work in work.take() { shard.snapshotWorked(work.id, work.run(), now: cluster.now) }
        if !durable.isEmpty { shard.logCompleted(durable.take(), now: cluster.now) }
        for _ in 0..<4 {
            needsFlush = false
            broker.flush()
            try perform(shard.flush(now: cluster.now, wall: cluster.wall))
            if !needsFlush { break }
        }
        for peer in links.keys.sorted() {
            guard let bytes = links[peer]?.outgoing.take(), !bytes.isEmpty else { continue }
            cluster[peer].deliver(bytes, from: nodeID)
        }
        try writeLog()
        if shard.hasPostponedWork { needsFlush = true }
    }

    /// Lets time pass.
    func tick() {
        shard.tick(now: cluster.now)
        broker.tick(now: cluster.now)
        announce()
        needsFlush = true
    }

    private func receive() throws {
        for (peer, bytes) in inbox.take() {
            guard let link = links[peer] else { continue }
            try bytes.withUnsafeBytes { buffer in
                var offset = 0
                while let frame = try link.incoming.next(buffer, at: &offset) {
                    guard shard.receive(frame.payload, from: peer, now: cluster.now) else {
                        throw CostFailure("a peer's payload was not understood")
                    }
                }
            }
        }
    }

    private func perform(_ output: ShardOutput) throws {
        if !output.records.isEmpty { log.stage(output.records, ticket: output.ticket) }
        if !output.releases.isEmpty { log.release(output.releases) }
        for (peer, payload) in output.payloads {
            guard let link = links[peer] else { continue }
            PeerFrame(kind: .message, payload: payload).encode(into: &link.outgoing)
        }
        reads += output.reads
        work += output.snapshotWork
        for event in output.events {
            switch event {
            case .violation, .malformedMessage, .readFailed, .entryDamaged: throw CostFailure("\(event)")
            default: break
            }
        }
        for change in output.leaderChanges where change.group != .topology {
            broker.leaderChanged(change.group, node: change.leader, term: change.term)
        }
        for applied in output.topologyApplied {
            if !applied.changes.isEmpty { broker.topologyChanged(applied.changes) }
            guard applied.request.node == nodeID else { continue }
            completions.removeValue(forKey: applied.request.counter)?(.success(applied.outcome))
        }
        for (group, node, message) in output.leaderMessages { broker.received(message, group: group, from: node) }
        for (node, payload) in output.gatewayMessages { broker.gatewayMessage(from: node, payload) }
    }

    private func writeLog() throws {
        while let write = try log.prepareFrame() {
            try log.disk.write(write.file, at: write.offset, write.parts)
            try log.disk.sync(write.file)
            durable += log.frameDurable(write)
            try log.prepareSegments()
        }
    }

    private func complete(_ request: ReadRequest) throws {
        var entries: [Entry] = []
        for result in reader.read(request.locations) { entries.append(try result.get()) }
        shard.readCompleted(request.id, .success(entries), now: cluster.now)
    }

    // MARK: The node's entry in the metadata

    private func announce() {
        guard shard.topologyLeader != nil, !isAnnouncing else { return }
        isAnnouncing = true
        if shard.topologyLeader == nodeID {
            let guest = UserRecord(
                name: "guest", passwordHash: PasswordHash(password: "guest", salt: 1), tags: ["administrator"])
            propose(.bootstrap(TopologyBootstrap(user: guest))) { _ in }
        }
        let record = NodeRecord(
            id: nodeID, name: "node\(nodeID.rawValue)", store: shard.store, peerAddress: "", clientAddress: "",
            managementAddress: "")
        propose(.registerNode(record)) { _ in }
        propose(.nodeIncarnation(nodeID, incarnation)) { [unowned self] _ in isReady = true }
    }
}

extension CostNode: BrokerNode {
    var nodeID: NodeID { shard.node }
    var incarnation: Incarnation { shard.incarnation }
    var topology: Topology { shard.topology }

    func leader(of group: GroupID) -> (node: NodeID?, term: Term) { shard.leader(of: group) }
    func commandRoom(to node: NodeID) -> Int? { shard.commandRoom(to: node) }

    func send(_ message: ClientMessage, group: GroupID, to node: NodeID) {
        if node == nodeID {
            shard.receive(message, group: group, now: cluster.now)
        } else {
            shard.forward(message, group: group, to: node)
        }
        needsFlush = true
    }

    func propose(
        _ command: TopologyCommand, completion: @escaping (Result<TopologyOutcome, ProposeFailure>) -> Void
    ) {
        completions[shard.propose(command, now: cluster.now).counter] = completion
        needsFlush = true
    }

    func sendToGateway(_ node: NodeID, _ payload: Bytes) {
        shard.sendToGateway(node, payload)
        needsFlush = true
    }

    func isUp(_ node: NodeID) -> Bool { shard.isUp(node) }
    func setNeedsFlush() { needsFlush = true }
}

extension Array {
    /// Leaves nothing behind.
    mutating func take() -> [Element] {
        defer { self = [] }
        return self
    }
}
