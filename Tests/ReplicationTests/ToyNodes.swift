import LogStore
import PeerLink
import Primitives
import Raft
import Replication
import Topology

/// Three shards joined without sockets, disks or time: what one asks for is done at once, in order, unless the test
/// holds it back.
final class ToyNodes {
    static let nodes = [NodeID(1), NodeID(2), NodeID(3)]

    /// Little sets a snapshot off.
    static var snapshotsOften: ShardConfiguration {
        var configuration = ShardConfiguration()
        configuration.snapshotThreshold = 64
        return configuration
    }

    var shards: [Shard] = []
    var now = Instant.zero + .seconds(1)
    /// Nodes whose disk takes records and does not answer.
    var stalled: Set<NodeID> = []
    /// Nodes that are dead to the others.
    var cut: Set<NodeID> = []
    var events: [NodeID: [ShardEvent]] = [:]
    var applied: [NodeID: [TopologyApplied]] = [:]
    /// Everything that was written.
    private(set) var records: [NodeID: [LogRecord]] = [:]
    private var held: [NodeID: [LogCompletion]] = [:]
    private let configuration: ShardConfiguration
    /// The store and the start of each node.
    private(set) var identities: [NodeID: PeerIdentity] = [:]

    static func store(_ node: NodeID) -> StoreID { StoreID(high: 7, low: UInt64(node.rawValue)) }

    static let members = nodes.map { GroupDescriptor.Member(node: $0, store: store($0)) }

    /// - Parameter groups: what the nodes' stores held.
    init(_ configuration: ShardConfiguration = ShardConfiguration(), groups: [NodeID: [RecoveredGroup]] = [:]) {
        self.configuration = configuration
        for node in ToyNodes.nodes {
            shards.append(makeShard(node, ToyNodes.store(node), Incarnation(1), groups[node]))
        }
    }

    /// - Parameter groups: what the store held; nil when it is empty.
    private func makeShard(
        _ node: NodeID, _ store: StoreID, _ incarnation: Incarnation, _ groups: [RecoveredGroup]? = nil
    ) -> Shard {
        identities[node] = PeerIdentity(node: node, store: store, incarnation: incarnation)
        let recovered = RecoveredStore(
            storeID: store, incarnation: incarnation, isFresh: groups == nil, mayVote: true, groups: groups ?? [],
            removedGroups: [])
        return Shard(
            node: node, peers: ToyNodes.nodes.filter { $0 != node }, recovered: recovered,
            configuration: configuration, seed: UInt64(node.rawValue), now: now)
    }

    /// The node's machine ends, and it starts on an empty store.
    func loseDisk(of node: NodeID, newStore: StoreID) {
        cut(node)
        held[node] = nil
        records[node] = nil
        let incarnation = Incarnation((identities[node]?.incarnation.rawValue ?? 0) + 1)
        shards[Int(node.rawValue) - 1] = makeShard(node, newStore, incarnation)
        self[node.rawValue].found(members: ToyNodes.members, now: now)
    }

    subscript(node: UInt16) -> Shard { shards[Int(node) - 1] }

    /// The cluster is founded and everybody hears everybody.
    func found() {
        for shard in shards { shard.found(members: ToyNodes.members, now: now) }
        for shard in shards {
            for peer in ToyNodes.nodes where peer != shard.node { join(shard, to: peer) }
        }
        settle()
    }

    private func join(_ shard: Shard, to peer: NodeID) {
        guard let identity = identities[peer] else { return }
        shard.linkUp(identity, now: now)
        shard.nodeUp(peer, identity.incarnation, now: now)
    }

    /// A node is dead to the others.
    func cut(_ node: NodeID) {
        cut.insert(node)
        for peer in ToyNodes.nodes where peer != node {
            for (shard, other) in [(self[peer.rawValue], node), (self[node.rawValue], peer)] {
                shard.linkDown(other, now: now)
                shard.nodeSuspected(other, now: now)
            }
        }
        settle()
    }

    /// A node is back.
    func heal(_ node: NodeID) {
        cut.remove(node)
        for peer in ToyNodes.nodes where peer != node {
            join(self[peer.rawValue], to: node)
            join(self[node.rawValue], to: peer)
        }
        settle()
    }

    /// Does what the shards ask for until they ask for nothing.
    func settle() {
        var isBusy = true
        while isBusy {
            isBusy = false
            for shard in shards {
                let output = shard.flush(now: now, wall: WallTime(milliseconds: now.nanoseconds / 1_000_000))
                guard !output.isEmpty || shard.hasPostponedWork else { continue }
                isBusy = true
                perform(output, of: shard)
            }
        }
    }

    private func perform(_ output: ShardOutput, of shard: Shard) {
        events[shard.node, default: []] += output.events
        applied[shard.node, default: []] += output.topologyApplied
        for request in output.reads {
            shard.readCompleted(request.id, .success(request.locations.compactMap { entry($0, of: shard) }), now: now)
        }
        records[shard.node, default: []] += output.records
        if !output.records.isEmpty {
            held[shard.node, default: []].append(
                LogCompletion(ticket: output.ticket, locations: output.records.compactMap(ToyNodes.location)))
        }
        for (to, payload) in output.payloads where !cut.contains(to) && !cut.contains(shard.node) {
            _ = shards[Int(to.rawValue) - 1].receive(payload, from: shard.node, now: now)
        }
        for work in output.snapshotWork { shard.snapshotWorked(work.id, work.run(), now: now) }
        answer(shard)
    }

    private static func location(of record: LogRecord) -> EntryLocation? {
        guard case .entry(let entry) = record else { return nil }
        return EntryLocation(
            group: entry.group, index: entry.index, term: entry.term, segment: 1, offset: 0,
            length: UInt32(entry.bytes.count), checksum: CRC32C.checksum(entry.bytes))
    }

    private func entry(_ location: EntryLocation, of shard: Shard) -> Entry? {
        for case .entry(let entry) in records[shard.node] ?? []
        where entry.group == location.group && entry.index == location.index && entry.term == location.term {
            return entry
        }
        return nil
    }

    private func answer(_ shard: Shard) {
        guard !stalled.contains(shard.node), let completions = held.removeValue(forKey: shard.node) else { return }
        shard.logCompleted(completions, now: now)
    }

    /// Bytes of entries that wait for a stalled disk.
    func heldBytes(of node: NodeID) -> Int {
        held[node, default: []].flatMap(\.locations).reduce(0) { $0 + Int($1.length) }
    }

    /// The disk goes on.
    func release(_ node: NodeID) {
        stalled.remove(node)
        answer(shards[Int(node.rawValue) - 1])
        settle()
    }

    /// Lets time pass, a millisecond at a time.
    func advance(milliseconds: Int) {
        for _ in 0..<milliseconds {
            now = now + .milliseconds(1)
            for shard in shards where shard.nextDeadline <= now { shard.tick(now: now) }
            settle()
        }
    }

    /// The newest snapshot of the topology that a node has written, of one chunk.
    func topologySnapshot(of node: NodeID) -> RecoveredSnapshot? {
        var found: RecoveredSnapshot?
        var bytes = Bytes()
        for record in records[node] ?? [] {
            if case .snapshotChunk(let chunk) = record, chunk.group == .topology { bytes = chunk.bytes }
            if case .snapshotCurrent(let mark) = record, mark.group == .topology {
                found = RecoveredSnapshot(index: mark.index, term: mark.term, bytes: bytes, live: mark.live)
            }
        }
        return found
    }

    func topology(of node: UInt16) -> ReplicaState? { self[node].replicaState(of: .topology) }
}
