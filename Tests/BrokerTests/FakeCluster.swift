import Broker
import Logging
import NIOCore
import NIOEmbedded
import Primitives
import QueueClient
import QuorumQueue
import Topology

/// Nodes with a broker each over one topology and one log per queue, all in memory: what is proposed is committed when
/// `run` is called, and nothing happens by itself.
final class FakeCluster {
    /// A queue's log, machine and leader.
    final class Queue {
        var machine = QueueMachine()
        var port = LeaderPort()
        var log: [Entry] = []
        var leader: NodeID?
        var term = Term.zero
        var inbox: [(from: NodeID, ClientMessage)] = []
        /// The leader stores what comes, and nobody hears of it.
        var losesAnswers = false
    }

    private(set) var nodes: [FakeNode] = []
    private var topologyIndex = LogIndex.zero
    private var counter: UInt64 = 0
    private var proposals: [(FakeNode, TopologyCommand, (Result<TopologyOutcome, ProposeFailure>) -> Void)] = []
    private var gatewayMail: [(from: NodeID, to: NodeID, Bytes)] = []
    private(set) var queues: [GroupID: Queue] = [:]
    /// Whether the topology takes proposals.
    var hasTopologyLeader = true
    private(set) var now = Instant(nanoseconds: 1_000_000_000_000)

    init(nodes count: UInt16 = 1, configuration: BrokerConfiguration = BrokerConfiguration()) {
        nodes = (1...count).map { FakeNode(NodeID($0), self) }
        for node in nodes { node.start(configuration) }
        let hash = PasswordHash(password: "guest", salt: 7)
        change(
            .bootstrap(TopologyBootstrap(user: UserRecord(name: "guest", passwordHash: hash, tags: ["administrator"]))))
        for node in nodes {
            change(
                .registerNode(
                    NodeRecord(
                        id: node.nodeID, name: "warren@\(node.nodeID.rawValue)",
                        store: StoreID(high: 1, low: UInt64(node.nodeID.rawValue)), peerAddress: "", clientAddress: "",
                        managementAddress: "")))
            change(.nodeIncarnation(node.nodeID, Incarnation(1)))
        }
        tick(0)
    }

    subscript(node: Int) -> FakeNode { nodes[node - 1] }

    /// A snapshot of itself takes the place of a node's topology; its broker is not told.
    func replaceTopology(of node: Int) throws {
        var writer = ByteWriter()
        self[node].topology.encodeSnapshot(into: &writer)
        self[node].topology = try Topology(snapshot: writer.take())
    }

    /// Makes a change of the topology on behalf of a test.
    func change(_ command: TopologyCommand) {
        nodes[0].propose(command) { _ in }
        run()
    }

    // MARK: Running

    /// Works until nothing is left to do.
    func run() {
        for _ in 0..<10_000 {
            var isQuiet = true
            for node in nodes where node.wantsFlush {
                node.flush()
                isQuiet = false
            }
            if commitTopology() { isQuiet = false }
            for group in queues.keys.sorted() where serve(group) { isQuiet = false }
            let mail = gatewayMail
            gatewayMail = []
            for (from, to, payload) in mail {
                self[Int(to.rawValue)].broker.gatewayMessage(from: from, payload)
                isQuiet = false
            }
            if isQuiet && !waitAMoment() { return }
        }
        preconditionFailure("the cluster does not come to rest")
    }

    /// Lets what may wait for other commands have waited.
    /// - Returns: whether something did.
    private func waitAMoment() -> Bool {
        for node in nodes {
            node.eventLoop.advanceTime(by: .nanoseconds(Int64(QueueClient.settlementDelay.nanoseconds)))
        }
        return nodes.contains(where: \.wantsFlush)
    }

    /// Lets time pass.
    func tick(_ milliseconds: UInt64) {
        let end = now + .milliseconds(milliseconds)
        while now < end {
            now = min(now + .milliseconds(100), end)
            for node in nodes { node.broker.tick(now: now) }
            run()
        }
    }

    /// Lets time pass without a tick: the processes stand still.
    func stall(_ milliseconds: UInt64) {
        now = now + .milliseconds(milliseconds)
        for node in nodes { node.broker.tick(now: now) }
        run()
    }

    // MARK: Topology

    func propose(
        _ node: FakeNode, _ command: TopologyCommand,
        _ completion: @escaping (Result<TopologyOutcome, ProposeFailure>) -> Void
    ) {
        proposals.append((node, command, completion))
    }

    private func commitTopology() -> Bool {
        let due = proposals
        proposals = []
        for (node, command, completion) in due {
            guard hasTopologyLeader else {
                completion(.failure(.unavailable))
                continue
            }
            counter += 1
            topologyIndex = topologyIndex.next
            var writer = ByteWriter()
            TopologyRequest(
                id: TopologyRequestID(node: node.nodeID, incarnation: node.incarnation, counter: counter),
                command: command
            ).encode(into: &writer)
            let entry = writer.withUnsafeBytes {
                Entry(
                    kind: .commands, group: .topology, index: topologyIndex, term: Term(1), timestamp: .zero,
                    headers: $0, bodies: UnsafeRawBufferPointer(start: nil, count: 0))
            }
            var outcome = TopologyOutcome.unsupported
            for each in nodes {
                for applied in each.topology.apply(entry) {
                    outcome = applied.outcome
                    host(applied.changes)
                    each.broker.topologyChanged(applied.changes)
                }
            }
            completion(.success(outcome))
        }
        return !due.isEmpty
    }

    private func host(_ changes: [TopologyChange]) {
        for change in changes {
            switch change {
            case .queueCreated(let record):
                guard case .quorum(_, let leader) = record.placement, let group = record.group,
                    queues[group] == nil
                else { continue }
                queues[group] = Queue()
                elect(leader, group)
            case .queueDeleted(let record):
                guard let group = record.group, queues.removeValue(forKey: group) != nil else { continue }
                for node in nodes { node.broker.received(.groupGone, group: group, from: nodes[0].nodeID) }
            default: break
            }
        }
    }

    /// The group of a queue.
    func group(_ name: String) -> GroupID? { nodes[0].topology.queue(name, vhost: "/")?.group }

    func queue(_ name: String) -> Queue? { group(name).flatMap { queues[$0] } }

    // MARK: Queues

    /// Makes a node the queue's leader.
    func elect(_ node: NodeID, _ group: GroupID) {
        guard let queue = queues[group] else { return }
        queue.term = queue.term.next
        queue.leader = node
        queue.inbox = []
        queue.port = LeaderPort()
        queue.port.lead(term: queue.term)
        append(.noop, CommandBatch(headers: Bytes(), bodies: Bytes(), commandCount: 0), group, queue)
        queue.port.caughtUp(machine: queue.machine)
        for each in nodes { each.broker.leaderChanged(group, node: node, term: queue.term) }
    }

    /// Takes the queue's leader away.
    func depose(_ group: GroupID) {
        guard let queue = queues[group] else { return }
        queue.leader = nil
        queue.inbox = []
        queue.term = queue.term.next
        for each in nodes { each.broker.leaderChanged(group, node: nil, term: queue.term) }
    }

    func deliver(_ message: ClientMessage, _ group: GroupID, from: NodeID, to node: NodeID) {
        guard let queue = queues[group], queue.leader == node else { return }
        queue.inbox.append((from, message))
    }

    private func serve(_ group: GroupID) -> Bool {
        guard let queue = queues[group], let leader = queue.leader else { return false }
        let inbox = queue.inbox
        queue.inbox = []
        var out: [(GatewayID, LeaderMessage)] = []
        for (_, message) in inbox {
            if case .propose(let batch) = queue.port.receive(message, machine: queue.machine, into: &out) {
                append(.commands, batch, group, queue)
            }
        }
        var encoder = CommandEncoder()
        queue.port.ownCommands(machine: queue.machine, into: &encoder)
        if !encoder.isEmpty { append(.commands, encoder.take(), group, queue) }
        var source = Bodies(log: queue.log)
        queue.port.flush(from: &source, isBackedUp: { _ in false }, into: &out)
        if queue.losesAnswers { return !inbox.isEmpty }
        for (gateway, message) in out {
            self[Int(gateway.node.rawValue)].broker.received(message, group: group, from: leader)
        }
        return !inbox.isEmpty || !out.isEmpty
    }

    private func append(_ kind: EntryKind, _ batch: CommandBatch, _ group: GroupID, _ queue: Queue) {
        let entry = batch.headers.withUnsafeBytes { headers in
            batch.bodies.withUnsafeBytes { bodies in
                Entry(
                    kind: kind, group: group, index: LogIndex(UInt64(queue.log.count + 1)), term: queue.term,
                    timestamp: .zero, headers: headers, bodies: bodies)
            }
        }
        queue.log.append(entry)
        var effects: [QueueEffect] = []
        queue.machine.apply(entry, into: &effects)
        queue.port.perform(effects)
    }

    private struct Bodies: MessageBodySource {
        let log: [Entry]
        mutating func bodies(of delivery: Delivery) -> MessageBodies? {
            let entry = log[Int(delivery.index.rawValue) - 1]
            return MessageBodies(delivery.ordinals, of: MessageTable(entry), in: entry.bodies)
        }
        func isGone(_ delivery: Delivery) -> Bool { false }
        mutating func prefetch(_ delivery: Delivery) {}
    }

    // MARK: Between brokers

    func post(_ payload: Bytes, from: NodeID, to: NodeID) { gatewayMail.append((from, to, payload)) }

    /// Cuts the link between two nodes: what is on its way is lost, both brokers hear of it.
    func reset(_ a: Int, _ b: Int) {
        gatewayMail.removeAll {
            ($0.from == self[a].nodeID && $0.to == self[b].nodeID)
                || ($0.from == self[b].nodeID && $0.to == self[a].nodeID)
        }
        self[a].broker.linkReset(self[b].nodeID)
        self[b].broker.linkReset(self[a].nodeID)
    }
}

/// One node of a `FakeCluster`.
final class FakeNode: BrokerNode {
    let nodeID: NodeID
    let incarnation = Incarnation(1)
    var topology = Topology()
    private unowned let cluster: FakeCluster
    private(set) var broker: BrokerLoop!
    let eventLoop = EmbeddedEventLoop()
    var wantsFlush = false
    /// Bytes of commands that each other node takes in a tick; nil for links that are backed up.
    var linkRoom: Int? = Int.max
    /// Bytes of commands that went to other nodes in this tick.
    private var forwarded = 0
    /// The most that went in any tick.
    private(set) var mostForwarded = 0

    init(_ id: NodeID, _ cluster: FakeCluster) {
        nodeID = id
        self.cluster = cluster
    }

    func start(_ configuration: BrokerConfiguration) {
        broker = BrokerLoop(
            node: self, configuration: configuration, eventLoop: eventLoop,
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }), seed: UInt64(nodeID.rawValue),
            now: cluster.now)
    }

    /// A tick.
    func flush() {
        wantsFlush = false
        forwarded = 0
        broker.flush()
    }

    func commandRoom(to node: NodeID) -> Int? {
        node == nodeID ? Int.max : linkRoom.map { max(0, $0 - forwarded) }
    }

    func leader(of group: GroupID) -> (node: NodeID?, term: Term) {
        guard let queue = cluster.queues[group] else { return (nil, .zero) }
        return (queue.leader, queue.term)
    }

    func send(_ message: ClientMessage, group: GroupID, to node: NodeID) {
        if node != nodeID, case .commands(let commands) = message {
            forwarded += commands.batch.byteCount
            mostForwarded = max(mostForwarded, forwarded)
        }
        cluster.deliver(message, group, from: nodeID, to: node)
    }

    func propose(
        _ command: TopologyCommand, completion: @escaping (Result<TopologyOutcome, ProposeFailure>) -> Void
    ) {
        cluster.propose(self, command, completion)
    }

    func sendToGateway(_ node: NodeID, _ payload: Bytes) { cluster.post(payload, from: nodeID, to: node) }

    func isUp(_ node: NodeID) -> Bool { true }

    func setNeedsFlush() { wantsFlush = true }
}
