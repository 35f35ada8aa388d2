public import Logging
public import NIOCore
public import Primitives
public import QueueClient
public import QuorumQueue
public import Topology

/// The AMQP front door of one event loop: its clients' connections, the queue clients that serve them, and the
/// transient queues of this node.
///
/// Everything happens on the event loop. The node pushes what it learns (`received`, `topologyChanged`, …); the broker
/// answers through `BrokerNode`. Output is gathered and leaves in `flush`, once per tick of the loop.
public final class BrokerLoop {
    unowned let node: any BrokerNode
    let configuration: BrokerConfiguration
    let eventLoop: any EventLoop
    let logger: Logger
    /// This loop as the queues know it.
    public let gateway: GatewayID

    /// The time of the last tick; a few milliseconds old at most.
    private(set) var now: Instant
    private var lastSweep = Instant.zero
    private var random: SeededRandom
    private var lastSerial: UInt64 = 0
    /// Grows whenever the topology has changed: cached routes hold for one value.
    private(set) var topologyGeneration: UInt64 = 1

    /// Why publishers have to wait.
    private(set) var alarm: String?
    /// This node's memory and disk.
    var monitor: ResourceMonitor
    /// What the nodes that can be reached have told of theirs.
    var peerResources: [NodeID: NodeResources] = [:]
    /// What large messages may take.
    var largeBodies: LargeBodies
    /// When the other nodes were last told of this one's.
    var lastReport = Instant.zero

    /// By id.
    var connections: [UInt64: ClientConnection] = [:]
    /// By serial number.
    var channels: [UInt64: ClientChannel] = [:]
    /// The quorum queues in use.
    var queues: [GroupID: QueueHandle] = [:]
    /// Only in tests of the checkers.
    let sabotage: Sabotage?
    private var nextClientGeneration: UInt32 = 0
    /// The transient queues in this node's memory.
    var transients: [TransientID: LocalTransient] = [:]
    /// Channels, by serial number, that publish to a transient queue or consume from it.
    var transientUsers: [TransientID: [UInt64]] = [:]
    /// Messages to other brokers, to leave with the next flush.
    var outboxes: [NodeID: GatewayOutbox] = [:]
    /// Requests to other brokers without an answer.
    var requests: [UInt64: GatewayRequest] = [:]
    /// Changes of the topology that must happen and could not be proposed yet.
    var cleanups: [TopologyCommand] = []

    private var dirtyConnections: [ClientConnection] = []
    private var dirtyQueues: [QueueHandle] = []
    /// Queues whose commands wait until the link to the leader has drained.
    private var heldUp: [QueueHandle] = []
    /// Queues whose settlements wait for other commands.
    private var deferring: [QueueHandle] = []
    private var hasAskedForFlush = false
    private var spareEvents: [QueueClientEvent] = []
    private var spareMessages: [(NodeID, ClientMessage)] = []
    var listeners: [any Channel] = []
    /// What sockets are written from: one buffer for all, free again whenever a socket takes everything at once.
    var outgoing = ByteBuffer()
    /// Connections accepted so far.
    public internal(set) var connectionsOpened: UInt64 = 0
    /// Connections ended so far.
    public internal(set) var connectionsClosed: UInt64 = 0

    /// - Parameters:
    ///   - node: must outlive the broker.
    ///   - eventLoop: the loop that all calls are made on.
    ///   - shard: the loop's number within the node.
    ///   - seed: entropy for generated names.
    ///   - now: the present; clients may come before the first tick.
    public init(
        node: any BrokerNode, configuration: BrokerConfiguration, eventLoop: any EventLoop, logger: Logger,
        shard: UInt16 = 0, seed: UInt64 = .random(in: .min ... .max), now: Instant
    ) {
        self.node = node
        self.configuration = configuration
        self.eventLoop = eventLoop
        self.logger = logger
        gateway = GatewayID(node: node.nodeID, shard: shard)
        monitor = ResourceMonitor(configuration.resourceLimits)
        largeBodies = LargeBodies(memory: configuration.resourceLimits.memory)
        sabotage = configuration.sabotage.map { Sabotage($0) }
        random = SeededRandom(seed: seed)
        self.now = now
    }

    // MARK: What the node pushes

    /// A queue's group has another leader, or none that is known.
    public func leaderChanged(_ group: GroupID, node: NodeID?, term: Term) {
        guard let handle = queues[group] else { return }
        handle.client.leaderChanged(to: node, term: term)
        handle.markDirty()
    }

    /// A message of a queue's leader to this gateway.
    public func received(_ message: LeaderMessage, group: GroupID, from node: NodeID) {
        guard let handle = queues[group] else { return }
        var events: [QueueClientEvent] = []
        swap(&events, &spareEvents)
        handle.client.receive(message, from: node, into: &events)
        for event in events { handle.handle(event) }
        events.removeAll(keepingCapacity: true)
        swap(&events, &spareEvents)
        handle.settle()
        handle.markDirty()
    }

    /// The local copy of the topology has changed so.
    public func topologyChanged(_ changes: [TopologyChange]) {
        topologyGeneration += 1
        for change in changes {
            switch change {
            case .queueDeleted(let record): queueDeleted(record)
            case .virtualHostDeleted(let name): close("vhost '\(name)' is down") { $0.vhost == name }
            case .userDeleted(let name): close("user '\(name)' is deleted") { $0.user == name }
            default: break
            }
        }
    }

    private func close(_ reason: String, where isMeant: (ClientConnection) -> Bool) {
        for connection in connections.values.filter(isMeant).sorted(by: { $0.id < $1.id }) {
            connection.shutDown(reason)
        }
    }

    /// Raises or lowers the alarm that keeps publishers away: a connection that publishes under the alarm is not read
    /// any further and told why, if it wants to know.
    ///
    /// - Parameter reason: nil when publishing may go on.
    func setAlarm(_ reason: String?) {
        guard alarm != reason else { return }
        alarm = reason
        guard reason == nil else { return }
        for connection in connections.values.sorted(by: { $0.id < $1.id }) { connection.alarmCleared() }
    }

    /// A payload that the broker of another node sent with `sendToGateway`.
    public func gatewayMessage(from node: NodeID, _ payload: Bytes) { takeGateway(payload, from: node) }

    /// A node can be reached.
    public func nodeUp(_ node: NodeID, incarnation: Incarnation) {
        for handle in queues.values {
            handle.client.nodeUp(node)
            askAnother(handle)
            handle.markDirty()
        }
        if node != self.node.nodeID { reportResources(to: node) }
    }

    /// The link to a node was lost with what was on its way. To be called before anything of the next link arrives.
    public func linkReset(_ node: NodeID) {
        for handle in queues.values {
            handle.client.linkReset(node)
            askAnother(handle)
            handle.markDirty()
        }
        gatewayLost(node)
        forgetResources(of: node)
    }

    /// The link to a node can take more again.
    public func linkDrained(_ node: NodeID) {
        var held: [QueueHandle] = []
        swap(&held, &heldUp)
        for handle in held {
            handle.isHeldUp = false
            handle.markDirty()
        }
    }

    /// A node is down.
    public func nodeDown(_ node: NodeID) { linkReset(node) }

    /// The end of a tick of the event loop: everything gathered leaves.
    public func flush() {
        hasAskedForFlush = false
        var connections: [ClientConnection] = []
        swap(&connections, &dirtyConnections)
        for connection in connections { connection.flush() }
        var handles: [QueueHandle] = []
        swap(&handles, &dirtyQueues)
        var messages: [(NodeID, ClientMessage)] = []
        swap(&messages, &spareMessages)
        for handle in handles {
            handle.isDirty = false
            flush(handle, &messages)
            handle.noteUnanswered()
            // What a new leader knows to be applied leaves the client here.
            handle.settle()
        }
        admitBodies()
        swap(&messages, &spareMessages)
        connections.removeAll(keepingCapacity: true)
        if dirtyConnections.isEmpty { swap(&connections, &dirtyConnections) }
        handles.removeAll(keepingCapacity: true)
        if dirtyQueues.isEmpty { swap(&handles, &dirtyQueues) }
        flushGateways()
    }

    /// Sends what the queue's client has, as far as the way to the leader takes it: after an outage many queues have
    /// all that they keep to send at once.
    private func flush(_ handle: QueueHandle, _ messages: inout [(NodeID, ClientMessage)]) {
        guard let leader = handle.client.leader else { return }
        let room = node.commandRoom(to: leader)
        let isPatient = !handle.areSettlementsDue
        handle.client.flush(room: room ?? 0, isPatient: isPatient, into: &messages)
        handle.areSettlementsDue = false
        for (node, message) in messages { self.node.send(message, group: handle.group, to: node) }
        messages.removeAll(keepingCapacity: true)
        guard handle.client.needsFlush else { return }
        if isPatient && handle.client.defersSettlements {
            deferSettlements(of: handle)
        } else if room != nil {
            handle.markDirty()
        } else if !handle.isHeldUp {
            handle.isHeldUp = true
            heldUp.append(handle)
        }
    }

    /// Gives other commands of the queue, which share their entries with the settlements, a little time to come.
    private func deferSettlements(of handle: QueueHandle) {
        guard handle.deferredRound == nil else { return }
        handle.deferredRound = handle.client.settlementRounds
        deferring.append(handle)
        if deferring.count == 1 { awaitSettlements() }
    }

    private func awaitSettlements() {
        let broker = NIOLoopBound(self, eventLoop: eventLoop)
        let delay = TimeAmount.nanoseconds(Int64(QueueClient.settlementDelay.nanoseconds / 2))
        eventLoop.scheduleTask(in: delay) { broker.value.endDeferrals() }
    }

    /// Sends what has waited since the last time at least. What other commands took along meanwhile may have been
    /// followed by newer settlements: those wait once more.
    private func endDeferrals() {
        var handles: [QueueHandle] = []
        swap(&handles, &deferring)
        for handle in handles {
            let round = handle.deferredRound
            handle.deferredRound = nil
            guard handle.client.defersSettlements else { continue }
            if handle.client.settlementRounds == round {
                handle.areSettlementsDue = true
                handle.markDirty()
            } else {
                deferSettlements(of: handle)
            }
        }
    }

    /// A tick that comes so late finds a process that did not run.
    private static let stall = Interval.seconds(1)

    /// Lets time pass. To be called every 10 to 100 ms.
    public func tick(now: Instant) {
        // What clients sent while the loop stood still is not read yet: their silence says nothing.
        if now - self.now > BrokerLoop.stall { for connection in connections.values { connection.excuseSilence(now) } }
        self.now = now
        guard now - lastSweep >= Interval.milliseconds(100) else { return }
        let isHalfSecond = now.nanoseconds / 500_000_000 != lastSweep.nanoseconds / 500_000_000
        lastSweep = now
        admitBodies()
        var idle: [QueueHandle] = []
        for handle in Array(queues.values) {
            if handle.hasCountRequests { handle.expireCounts(now: now) }
            if handle.client.needsTick {
                handle.client.tick(now: now)
                askAnother(handle)
                handle.markDirty()
            } else if handle.client.isIdle {
                idle.append(handle)
            }
        }
        for handle in idle { forget(handle) }
        guard isHalfSecond else { return }
        for connection in connections.values.sorted(by: { $0.id < $1.id }) { connection.tick(now: now) }
        retryCleanups()
    }

    // MARK: Connections

    /// Takes a client's connection, whose bytes will come through `ClientConnection.receive`.
    package func accept(
        transport: any ConnectionTransport, endpoints: ConnectionEndpoints
    ) -> ClientConnection? {
        guard connections.count < configuration.connectionLimit else {
            logger.warning("connection refused: connection limit", metadata: ["connection": "\(endpoints.name)"])
            return nil
        }
        let connection = ClientConnection(
            id: nextSerial(), broker: self, transport: transport, endpoints: endpoints, now: now)
        connections[connection.id] = connection
        connectionsOpened += 1
        return connection
    }

    func forget(_ connection: ClientConnection) {
        if connections.removeValue(forKey: connection.id) != nil { connectionsClosed += 1 }
    }

    func register(_ channel: ClientChannel) { channels[channel.serial] = channel }

    func unregister(_ channel: ClientChannel) { channels[channel.serial] = nil }

    /// A number never given before in this incarnation.
    func nextSerial() -> UInt64 {
        lastSerial += 1
        return lastSerial
    }

    /// A name nobody has, as RabbitMQ generates them: the prefix and 22 letters or digits.
    func uniqueName(_ prefix: String) -> String {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        return prefix + String((0..<22).map { _ in letters[Int(random.next(below: 64))] })
    }

    // MARK: Flushing

    func enlist(_ connection: ClientConnection) {
        connection.isDirty = true
        dirtyConnections.append(connection)
        askForFlush()
    }

    func enlist(_ handle: QueueHandle) {
        handle.isDirty = true
        dirtyQueues.append(handle)
        askForFlush()
    }

    func askForFlush() {
        guard !hasAskedForFlush else { return }
        hasAskedForFlush = true
        node.setNeedsFlush()
    }

    // MARK: Queues

    /// The queue's client on this loop, made when it is first needed.
    func handle(for group: GroupID) -> QueueHandle {
        if let known = queues[group] { return known }
        nextClientGeneration += 1
        let handle = QueueHandle(group: group, broker: self, generation: nextClientGeneration)
        queues[group] = handle
        let (leader, term) = node.leader(of: group)
        handle.client.leaderChanged(to: leader, term: term)
        return handle
    }

    /// Where this node has no replica of the queue, nobody tells it of a new leader: when the one it knows is not heard
    /// any more, a member that is knows.
    private func askAnother(_ handle: QueueHandle) {
        guard handle.client.mustAskAnother(isUp: node.isUp) else { return }
        let (member, term) = node.leader(of: handle.group)
        if term == .zero, let member { handle.client.turn(to: member) }
    }

    func forget(_ handle: QueueHandle) {
        guard queues[handle.group] === handle else { return }
        handle.noteUnanswered()
        queues[handle.group] = nil
    }

    private func queueDeleted(_ record: QueueRecord) {
        guard case .transient(let id, _) = record.target else { return }
        transientDeleted(id)
    }
}
