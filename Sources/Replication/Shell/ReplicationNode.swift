public import LogStore
import Logging
import NIOCore
import NIOPosix
import PeerLink
public import Primitives
public import QueueClient
public import Topology

/// What the owner of a `ReplicationNode` is told; every call is made on the node's event loop.
public protocol ReplicationNodeDelegate: AnyObject {
    /// The end of a tick: hand over what was collected, by calls of the node.
    func flush(now: Instant)
    /// Some time has passed.
    func tick(now: Instant)
    func leaderChanged(group: GroupID, leader: NodeID?, term: Term)
    func received(_ message: LeaderMessage, group: GroupID, from node: NodeID)
    func topologyApplied(_ applied: [TopologyApplied])
    /// A change that this node proposed found no leader in time.
    func topologyExpired(_ counter: UInt64)
    func gatewayMessage(from node: NodeID, _ payload: Bytes)
    func nodeUp(_ node: NodeID, _ incarnation: Incarnation)
    func nodeDown(_ node: NodeID)
    /// The data connection to a node is gone, with what was on its way.
    func linkReset(_ node: NodeID)
    /// The data connection to a node can take more again.
    func linkDrained(_ node: NodeID)
    /// The node log begins or ceases to lack space.
    func logSpaceChanged(_ space: LogSpace)
    /// The node cannot go on: its disk failed, or its store does not belong to the cluster. The process must end.
    func failed(_ reason: String)
}

/// The thin shell around a shard: gives it time, the node log, the peer links and the loop's ticks.
///
/// Confined to its event loop. All inputs of one turn of the loop share a tick: the shard's work is collected and done
/// once at its end.
public final class ReplicationNode {
    /// What the node was told at start.
    public let configuration: NodeConfiguration
    /// All replicas of the node.
    public let shard: Shard
    /// What opening the store found, and how long it took.
    public let opening: StoreOpening
    let eventLoop: any EventLoop
    let logger: Logger
    let writer: LogWriter
    let reader: LogReader
    let digests: DigestBoard
    /// Encodes and decodes snapshots.
    let snapshotThread = NIOThreadPool(numberOfThreads: 1)
    var links: PeerLinks?
    var formation: Formation?
    /// The store once held something, and no longer knows the cluster that it belongs to.
    let isLost: Bool
    /// Its owner; to be set before `start`.
    public weak var delegate: (any ReplicationNodeDelegate)?

    private let startedAt = Instant.now
    private var isWaitingTold = false
    private var isFlushScheduled = false
    private var isFlushing = false
    private var needsFlush = false
    private var timer: Scheduled<Void>?
    private var timerDeadline = Instant.distantFuture
    private var ticker: RepeatedTask?

    init(
        configuration: NodeConfiguration, opening: StoreOpening, recovered: RecoveredStore, writer: LogWriter,
        reader: LogReader,
        eventLoop: any EventLoop, logger: Logger, seed: UInt64
    ) {
        self.configuration = configuration
        self.opening = opening
        self.eventLoop = eventLoop
        self.logger = logger
        self.writer = writer
        self.reader = reader
        self.digests = DigestBoard()
        self.shard = Shard(
            node: configuration.node, peers: configuration.peers.map(\.node), recovered: recovered,
            configuration: configuration.shard, seed: seed, now: .now)
        isLost = shard.founders.isEmpty && !recovered.isFresh
        if shard.founders.isEmpty {
            formation = Formation(
                node: configuration.node, store: recovered.storeID,
                configured: configuration.peers.map(\.node) + [configuration.node])
        }
    }

    // MARK: Ticks

    /// Asks for the end of the tick after the events that the loop has at hand.
    public func setNeedsFlush() {
        needsFlush = true
        guard !isFlushScheduled, !isFlushing else { return }
        isFlushScheduled = true
        let unsafe = UncheckedReference(self)
        eventLoop.execute { unsafe.value.scheduledFlush() }
    }

    private func scheduledFlush() {
        isFlushScheduled = false
        flush()
    }

    /// Passes within one tick: what one pass sets off here, the next one does.
    private static let passLimit = 4

    func flush() {
        isFlushing = true
        for _ in 0..<ReplicationNode.passLimit {
            needsFlush = false
            delegate?.flush(now: .now)
            perform(shard.flush(now: .now, wall: .now))
            if !needsFlush { break }
        }
        links?.flush()
        noteBackedUpLinks()
        isFlushing = false
        publishDigests()
        if needsFlush || shard.hasPostponedWork { setNeedsFlush() }
        setTimer()
    }

    private func perform(_ output: ShardOutput) {
        if !output.records.isEmpty { writer.submit(output.records, ticket: output.ticket) }
        if !output.releases.isEmpty { writer.release(output.releases) }
        for (peer, payload) in output.payloads { links?.send(payload, to: peer) }
        for request in output.reads { read(request) }
        for work in output.snapshotWork { perform(work) }
        for event in output.events { report(event) }
        for change in output.leaderChanges {
            delegate?.leaderChanged(group: change.group, leader: change.leader, term: change.term)
        }
        if !output.topologyApplied.isEmpty { delegate?.topologyApplied(output.topologyApplied) }
        for counter in output.topologyExpired { delegate?.topologyExpired(counter) }
        for (group, node, message) in output.leaderMessages {
            delegate?.received(message, group: group, from: node)
        }
        for (node, payload) in output.gatewayMessages { delegate?.gatewayMessage(from: node, payload) }
    }

    private func read(_ request: ReadRequest) {
        let unsafe = UncheckedReference(self)
        let loop = eventLoop
        reader.submit(request.locations) { results in
            loop.execute { unsafe.value.readCompleted(request.id, results) }
        }
    }

    private func perform(_ work: SnapshotWork) {
        let unsafe = UncheckedReference(self)
        let loop = eventLoop
        snapshotThread.submit { _ in
            let result = work.run()
            loop.execute {
                unsafe.value.shard.snapshotWorked(work.id, result, now: .now)
                unsafe.value.setNeedsFlush()
            }
        }
    }

    private func readCompleted(_ id: UInt64, _ results: [Result<Entry, EntryReadFailure>]) {
        var entries: [Entry] = []
        var failure: EntryReadFailure?
        for result in results {
            switch result {
            case .success(let entry) where failure == nil: entries.append(entry)
            case .success: break
            case .failure(let reason): failure = failure ?? reason
            }
        }
        if entries.isEmpty, let failure {
            shard.readCompleted(id, .failure(failure), now: .now)
        } else {
            shard.readCompleted(id, .success(entries), now: .now)
        }
        setNeedsFlush()
    }

    func logCompleted(_ completions: [LogCompletion]) {
        shard.logCompleted(completions, now: .now)
        if isFlushScheduled { return }
        flush()
    }

    func logSpaceChanged(_ space: LogSpace) {
        let metadata: Logger.Metadata = ["directory": "\(configuration.directory)"]
        switch space {
        case .sufficient: logger.notice("the disk has room for the log again", metadata: metadata)
        case .short:
            logger.error(
                "the disk is full: no room for another log segment; the log goes on in those that are ready",
                metadata: metadata)
        case .exhausted:
            logger.error(
                "the disk is full: the log waits for room, and nothing is stored here until there is some",
                metadata: metadata)
        }
        delegate?.logSpaceChanged(space)
        setNeedsFlush()
    }

    // MARK: Time

    private static let delegateTick = Interval.milliseconds(100)
    /// How long a first start may wait for the others before the operator is told.
    private static let formationPatience = Interval.seconds(5)

    private func setTimer() {
        let deadline = shard.nextDeadline
        guard deadline < timerDeadline else { return }
        timer?.cancel()
        timerDeadline = deadline
        let unsafe = UncheckedReference(self)
        let delay = deadline - .now
        timer = eventLoop.scheduleTask(in: .nanoseconds(Int64(clamping: delay.nanoseconds))) {
            unsafe.value.timerFired()
        }
    }

    private func timerFired() {
        timerDeadline = .distantFuture
        shard.tick(now: .now)
        flush()
    }

    /// Starts the regular tick of the delegate.
    func startTicking() {
        let unsafe = UncheckedReference(self)
        let interval = TimeAmount.nanoseconds(Int64(ReplicationNode.delegateTick.nanoseconds))
        ticker = eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
            unsafe.value.ticked()
        }
    }

    func stopTimers() {
        ticker?.cancel()
        timer?.cancel()
    }

    private func ticked() {
        delegate?.tick(now: .now)
        if !isWaitingTold, let formation, Instant.now - startedAt >= ReplicationNode.formationPatience {
            isWaitingTold = true
            logger.notice("the cluster is not founded yet: \(formation.waitingFor)")
        }
        receiveDigests()
        setNeedsFlush()
    }

    // MARK: Calls of the owner

    /// Sends a queue client's message to the node that leads the group.
    public func send(_ message: ClientMessage, group: GroupID, to node: NodeID) {
        if node == shard.node {
            shard.receive(message, group: group, now: .now)
        } else {
            shard.forward(message, group: group, to: node)
        }
        setNeedsFlush()
    }

    /// Proposes a change of the metadata; the answer is `topologyApplied` or `topologyExpired`.
    public func propose(_ command: TopologyCommand) -> TopologyRequestID {
        defer { setNeedsFlush() }
        return shard.propose(command, now: .now)
    }

    /// Sends bytes to another node's broker; lost with the link.
    public func sendToGateway(_ node: NodeID, _ payload: Bytes) {
        shard.sendToGateway(node, payload)
        setNeedsFlush()
    }

    /// Who leads a group, as far as this node knows, and in which term.
    public func leader(of group: GroupID) -> (node: NodeID?, term: Term) { shard.leader(of: group) }

    /// What the scrub of the node log has done so far.
    public var scrubTotals: ScrubTotals { writer.scrubTotals }

    /// Whether a node is heard; true for this one.
    public func isUp(_ node: NodeID) -> Bool { shard.isUp(node) }

    func report(_ event: ShardEvent) {
        switch event {
        case .becameLeader(let group, let term):
            logger.info("became leader", metadata: ["group": "\(group)", "term": "\(term)"])
        case .steppedDown(let group, let term):
            logger.info("stepped down", metadata: ["group": "\(group)", "term": "\(term)"])
        case .malformedMessage(let node, let reason):
            logger.error("malformed message of a peer", metadata: ["node": "\(node)", "reason": "\(reason)"])
        case .foreignStore(let node, let store):
            logger.error(
                "a peer is on a data directory in whose place another has come; nothing it says counts",
                metadata: ["node": "\(node)", "store": "\(store)"])
            // It is told at the next handshake, and ends.
            links?.reset(node, .closed)
        case .storeReplaced(let node, let store):
            logger.notice(
                "node \(node.rawValue) lost its data directory and rejoins with another",
                metadata: ["store": "\(store)"])
        case .rejoined(let queues, let time):
            logger.notice(
                "node \(configuration.node.rawValue) has all of its \(queues) queues again",
                metadata: ["ms": "\(time.nanoseconds / 1_000_000)"])
        case .membersChanged(let group, let index):
            logger.debug("members changed", metadata: ["group": "\(group)", "index": "\(index)"])
        case .replicaCreated(let group): logger.debug("replica created", metadata: ["group": "\(group)"])
        case .replicaRemoved(let group): logger.debug("replica removed", metadata: ["group": "\(group)"])
        case .readFailed(let group, let reason):
            logger.error("entries cannot be read", metadata: ["group": "\(group)", "reason": "\(reason)"])
        case .entryDamaged(let group, let index, let place):
            logger.error(
                "an entry is damaged on this disk; other members are asked for it",
                metadata: [
                    "group": "\(group)", "index": "\(index)", "segment": "\(place?.segment ?? 0)",
                    "offset": "\(place?.offset ?? 0)",
                ])
        case .recordDamaged(let record):
            logger.error(
                "a record is damaged on this disk; it is written again",
                metadata: [
                    "kind": "\(record.kind)", "group": "\(record.group)", "segment": "\(record.segment)",
                    "offset": "\(record.offset)",
                ])
        case .entryRepaired(let group, let index):
            logger.notice("an entry was repaired", metadata: ["group": "\(group)", "index": "\(index)"])
        case .snapshotTaken(let group, let index):
            logger.debug("snapshot taken", metadata: ["group": "\(group)", "index": "\(index)"])
        case .snapshotInstalled(let group, let index, let leader):
            logger.info(
                "snapshot installed", metadata: ["group": "\(group)", "index": "\(index)", "from": "\(leader)"])
        case .snapshotRefused(let group, let leader, let reason):
            logger.error(
                "a leader's snapshot cannot be read",
                metadata: ["group": "\(group)", "from": "\(leader)", "reason": "\(reason)"])
        case .snapshotTooLarge(let group):
            logger.error(
                "the queue's state is too large for a snapshot; its log cannot be compacted",
                metadata: ["group": "\(group)", "limit": "\(GroupState.sizeLimit)"])
        case .snapshotUnreadable(let group, let reason):
            logger.error(
                "the snapshot on this disk cannot be read; the replica waits for a leader's",
                metadata: ["group": "\(group)", "reason": "\(reason)"])
        case .violation(let group, let violation):
            logger.critical(
                "a peer broke Raft's rules: its disk may have lost data",
                metadata: ["group": "\(group)", "violation": "\(violation)"])
        }
    }
}

/// A loop-confined reference that a closure carries back to its loop.
struct UncheckedReference<Value: AnyObject>: @unchecked Sendable {
    let value: Value

    init(_ value: Value) { self.value = value }
}
