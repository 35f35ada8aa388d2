import AMQP
import Logging
import Primitives
import Topology

/// One AMQP channel: its publishes, consumers, acknowledgements and the operation it waits for.
///
/// Methods are done strictly in order. One that has to wait, for the topology or for a queue's leader, keeps the frames
/// behind it back until it is answered; deliveries and confirms go on meanwhile.
///
/// References between connection, channel, sessions and sources are strong in both directions, because weak and unowned
/// ones cost more than a message may; `end` takes the circles apart.
package final class ClientChannel {
    /// A frame kept back.
    private struct DeferredFrame {
        var type: FrameType
        var payload: Bytes
    }

    package let number: UInt16
    /// Unique on this node in this incarnation; names the channel to other nodes.
    let serial: UInt64
    let connection: ClientConnection
    let broker: BrokerLoop

    /// Our `channel.close` is out: frames are thrown away until its answer.
    private(set) var isClosing = false
    /// The channel holds nothing any more.
    private(set) var hasEnded = false

    // Publishing
    var content = ContentProgress()
    var publish = PublishState()
    var head = EnvelopeHead()
    var body = ByteWriter()
    var room = BodyRoom.none
    var routes = RouteCache()
    package var isConfirming = false
    var ledger = ConfirmLedger()
    /// Listed in the connection's `confirming`.
    var isListedConfirming = false
    package var publishedCount: UInt64 = 0

    // Queues
    /// Sessions at quorum queues, by group.
    var sessions: [GroupID: QueueSession] = [:]
    /// Publishes to transient queues of other nodes, by queue.
    var remotePublishes: [TransientID: RemotePublishes] = [:]
    /// Transient queues where the channel consumes or holds deliveries; they have to hear of its end.
    var transientUses: Set<TransientID> = []
    /// The queue that an empty name stands for.
    var recentQueue = ""

    // Consuming
    package var unacked = UnackedRing()
    /// By slot; what the tags in `unacked` name.
    var sources: [DeliverySource?] = []
    var freeSlots: [UInt32] = []
    /// Scratch memory of `acknowledge`, kept so that an ack allocates nothing.
    var acknowledged: [AcknowledgedRun] = []
    package var consumers: [String: DeliverySource] = [:]
    /// Consumers and gets at transient queues, by consumer number.
    var transientSources: [UInt32: DeliverySource] = [:]
    var nextTransientConsumer: UInt32 = 1
    /// Unacknowledged deliveries per consumer; 0 leaves it to the queue.
    package var prefetch: UInt32 = 0
    package var deliveredCount: UInt64 = 0

    // Waiting
    /// The operation under way; 0 for none.
    private var operation: UInt64 = 0
    private var lastOperation: UInt64 = 0
    private var operationSince = Instant.zero
    private var operationMethod = MethodID(rawValue: 0)
    private var deferred = Ring<DeferredFrame>()
    private var deferredBytes = 0
    private var isReplaying = false
    private var holdsReading = false
    /// The message of a `basic.get` is on its way.
    var pendingGet: PendingGet?
    /// Queues that are too far behind for more publishes of this channel's connection.
    var blockedOn: [QueueHandle] = []

    init(number: UInt16, serial: UInt64, connection: ClientConnection) {
        self.number = number
        self.serial = serial
        self.connection = connection
        broker = connection.broker
    }

    var vhost: String { connection.vhost }
    var topology: Topology { broker.node.topology }

    // MARK: Frames

    /// Takes the next frame of the channel.
    @inline(__always)
    func receive(_ type: FrameType, _ payload: UnsafeRawBufferPointer) throws(AMQPError) {
        if operation == 0 && !isClosing && deferred.isEmpty {
            try perform(type, payload)
        } else {
            try keepBack(type, payload)
        }
    }

    private func keepBack(_ type: FrameType, _ payload: UnsafeRawBufferPointer) throws(AMQPError) {
        guard !isClosing else {
            try receiveWhileClosing(type, payload)
            return
        }
        deferred.append(DeferredFrame(type: type, payload: Bytes(copying: payload)))
        deferredBytes += payload.count + FrameFormat.overhead
        if deferredBytes > broker.configuration.deferredLimit && !holdsReading {
            holdsReading = true
            connection.holdReading()
        }
    }

    private func receiveWhileClosing(_ type: FrameType, _ payload: UnsafeRawBufferPointer) throws(AMQPError) {
        guard type == .method else { return }
        switch MethodID.peek(payload) {
        case ChannelCloseOk.id: connection.forget(self)
        case ChannelClose.id:
            send(.channelCloseOk(ChannelCloseOk()))
            connection.forget(self)
        default: break
        }
    }

    @inline(__always)
    private func perform(_ type: FrameType, _ payload: UnsafeRawBufferPointer) throws(AMQPError) {
        switch type {
        case .method:
            switch MethodID.peek(payload) {
            case BasicPublish.id:
                try content.method(hasContent: true)
                try beginPublish(payload)
            case BasicAck.id:
                try content.method(hasContent: false)
                let ack = try BasicAck(payload: payload)
                try acknowledge(tag: ack.deliveryTag, multiple: ack.multiple, .settle, method: BasicAck.id)
            default:
                let method = try Method(payload: payload)
                try content.method(hasContent: false)
                try perform(method)
            }
        case .header: try contentHeader(payload)
        case .body: try contentBody(payload)
        case .heartbeat: throw .frame("heartbeat on channel \(number)")
        }
    }

    private func perform(_ method: Method) throws(AMQPError) {
        switch method {
        case .channelOpen: throw AMQPError(.channelError, "second 'channel.open' seen", method: method.id)
        case .channelClose:
            end()
            connection.forget(self)
            send(.channelCloseOk(ChannelCloseOk()))
        case .channelCloseOk: break
        case .channelFlow(let flow):
            guard flow.active else { throw AMQPError(.notImplemented, "active=false", method: method.id) }
            send(.channelFlowOk(ChannelFlowOk(active: true)))
        case .channelFlowOk: break
        case .confirmSelect(let select): confirmSelect(select)
        case .exchangeDeclare(let declare): try exchangeDeclare(declare)
        case .exchangeDelete(let delete): try exchangeDelete(delete)
        case .exchangeBind(let bind): try exchangeBind(bind)
        case .exchangeUnbind(let unbind): try exchangeUnbind(unbind)
        case .queueDeclare(let declare): try queueDeclare(declare)
        case .queueBind(let bind): try queueBind(bind)
        case .queueUnbind(let unbind): try queueUnbind(unbind)
        case .queuePurge(let purge): try queuePurge(purge)
        case .queueDelete(let delete): try queueDelete(delete)
        case .basicQos(let qos): try basicQos(qos)
        case .basicConsume(let consume): try basicConsume(consume)
        case .basicCancel(let cancel): basicCancel(cancel)
        case .basicCancelOk: break
        case .basicGet(let get): try basicGet(get)
        case .basicReject(let reject):
            try acknowledge(
                tag: reject.deliveryTag, multiple: false, reject.requeue ? .giveBack(counted: true) : .discard,
                method: BasicReject.id)
        case .basicNack(let nack):
            try acknowledge(
                tag: nack.deliveryTag, multiple: nack.multiple,
                nack.requeue ? .giveBack(counted: true) : .discard, method: BasicNack.id)
        case .basicRecover(let recover):
            try basicRecover(requeue: recover.requeue, method: BasicRecover.id)
            send(.basicRecoverOk(BasicRecoverOk()))
        case .basicRecoverAsync(let recover):
            try basicRecover(requeue: recover.requeue, method: BasicRecoverAsync.id)
        case .txSelect, .txCommit, .txRollback:
            throw AMQPError(.notImplemented, "transactions are not supported", method: method.id)
        case .accessRequest: send(.accessRequestOk(AccessRequestOk()))
        default: throw AMQPError(.commandInvalid, "unexpected method on a channel", method: method.id)
        }
    }

    func send(_ method: Method) { connection.send(method, channel: number) }

    // MARK: Operations that wait

    /// Keeps the frames that follow back until `finish` with the token given.
    func begin(_ method: MethodID) -> UInt64 {
        precondition(operation == 0)
        lastOperation += 1
        operation = lastOperation
        operationSince = broker.now
        operationMethod = method
        return operation
    }

    func isCurrent(_ token: UInt64) -> Bool { operation == token && !hasEnded }

    /// Ends the operation: `answer` says what the client hears. Does nothing for an operation that is over.
    func finish(_ token: UInt64, _ answer: () throws(AMQPError) -> Void) {
        guard isCurrent(token) else { return }
        operation = 0
        do throws(AMQPError) {
            try answer()
        } catch {
            report(error)
        }
        replay()
    }

    private func replay() {
        guard !isReplaying else { return }
        isReplaying = true
        while operation == 0, !isClosing, !hasEnded, let frame = deferred.popFirst() {
            deferredBytes -= frame.payload.count + FrameFormat.overhead
            do throws(AMQPError) {
                try frame.payload.withUnsafeBytes { payload throws(AMQPError) in try perform(frame.type, payload) }
            } catch {
                report(error)
            }
        }
        isReplaying = false
        if isClosing || hasEnded { dropDeferred() }
        if holdsReading && deferredBytes <= broker.configuration.deferredLimit / 2 {
            holdsReading = false
            connection.releaseReading()
        }
    }

    private func dropDeferred() {
        deferred.removeAll()
        deferredBytes = 0
    }

    /// Asks the topology for a change and ends the operation with its outcome.
    func propose(
        _ command: TopologyCommand, method: MethodID,
        then answer: @escaping (TopologyOutcome) throws(AMQPError) -> Void
    ) {
        let token = begin(method)
        broker.node.propose(command) { [self] result in
            finish(token) { () throws(AMQPError) in
                switch result {
                case .success(let outcome): try answer(outcome)
                case .failure:
                    throw AMQPError(
                        .internalError, "the cluster's metadata has no leader, or it did not answer in time",
                        method: method, scope: .channel)
                }
            }
        }
    }

    // MARK: Ending

    /// Closes whatever the error is about.
    func report(_ error: AMQPError) {
        if error.scope == .channel { fail(error) } else { connection.fail(error) }
    }

    /// Closes the channel for a reason.
    func fail(_ error: AMQPError) {
        guard !isClosing && !hasEnded else { return }
        broker.logger.info(
            "channel closed: \(error.replyText)",
            metadata: ["connection": "\(connection.endpoints.name)", "channel": "\(number)"])
        // Confirms for what was stored before go out first.
        writeConfirms()
        end()
        isClosing = true
        send(.channelClose(error.channelClose))
    }

    /// Gives everything back that the channel holds. Idempotent.
    func end() {
        guard !hasEnded else { return }
        hasEnded = true
        operation = 0
        content.reset()
        publish = PublishState()
        head = EnvelopeHead()
        body = ByteWriter()
        giveRoomBack()
        dropDeferred()
        if holdsReading {
            holdsReading = false
            connection.releaseReading()
        }
        for handle in blockedOn { handle.forgetWaiter(self) }
        for _ in blockedOn { connection.releaseReading() }
        blockedOn.removeAll()
        routes.removeAll()
        let open = sessions.values.sorted { $0.id < $1.id }
        sessions.removeAll()
        for session in open { session.close() }
        for queue in transientUses.sorted() { broker.transientChannelGone(queue, channel: serial) }
        transientUses.removeAll()
        for source in sources {
            source?.backing = .none
            source?.attached = nil
        }
        sources.removeAll()
        consumers.removeAll()
        transientSources.removeAll()
        remotePublishes.removeAll()
        unacked = UnackedRing()
        broker.unregister(self)
    }

    func tick(now: Instant) {
        guard operation != 0, now - operationSince > broker.configuration.operationTimeout else { return }
        fail(
            AMQPError(
                .internalError, "the queue has no leader, or it did not answer in time", method: operationMethod,
                scope: .channel))
    }
}
