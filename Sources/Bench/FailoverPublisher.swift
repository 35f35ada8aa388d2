import AMQP
import AMQPClient
import NIOCore
import Primitives

/// A trial's ledger, shared by its clients on their event loop.
final class TrialBoard: @unchecked Sendable {
    var ledger: TrialLedger
    let body: MessageBody
    let queue: String
    /// Messages are being sent, and so to be confirmed and delivered.
    var isFlowing = false

    init(queue: String, run: UInt32, bodySize: Int) {
        self.queue = queue
        ledger = TrialLedger(run: run)
        body = MessageBody(size: bodySize)
    }
}

/// Sends a message whenever one is due, whatever became of the ones before. It lives on its event loop. When its
/// connection is lost it connects to the next address and sends again, in order, what was not confirmed.
final class FailoverPublisher: @unchecked Sendable {
    private struct Pending {
        let sequence: UInt64
        let sentAt: Instant
        var isSettled = false
    }

    static let retryDelay = TimeAmount.milliseconds(5)

    private let eventLoop: any EventLoop
    private let board: TrialBoard
    private let addresses: [ClientSettings]
    private let route: PublishRoute
    private let interval: Interval
    private let maximumUnconfirmed: UInt64
    private let patience: Interval?
    private let buffer: UnsafeMutableRawBufferPointer

    private var address = 0
    /// Callbacks of connections before the present one are not heard any more.
    private var epoch = 0
    private var connection: AMQPConnection?
    private var channel: AMQPChannel?
    /// Sends of this connection from confirm number `firstPending` on.
    private var pending = Ring<Pending>()
    private var firstPending: UInt64 = 1
    /// Nacked messages and when to send them again.
    private var retries = Ring<(sequence: UInt64, at: Instant)>()
    private var start = Instant.zero
    /// The last confirm, or the connection's start.
    private var lastHeard = Instant.zero
    private var isStarted = false
    private var isStopped = false
    private var isClosed = false
    private var hasConnected = false

    /// Connections after the first.
    private(set) var reconnects = 0
    /// Why the last connection or attempt failed.
    private(set) var lastError: String?
    /// Confirms that repeated an earlier one.
    private(set) var repeatedConfirms: UInt64 = 0

    init(
        board: TrialBoard, addresses: [ClientSettings], options: FailoverOptions, eventLoop: any EventLoop
    ) throws(ClientError) {
        self.board = board
        self.addresses = addresses
        self.eventLoop = eventLoop
        var properties = BasicProperties()
        properties.deliveryMode = 2
        route = try PublishRoute(routingKey: board.queue, properties: properties)
        interval = options.interval
        maximumUnconfirmed = UInt64(options.maximumUnconfirmed)
        patience = options.clients == .leader ? Interval(inSeconds: options.patience) : nil
        buffer = board.body.makeBuffer()
    }

    deinit { buffer.deallocate() }

    /// Messages can leave.
    var isReady: Bool { channel?.isOpen ?? false }

    func connect() {
        guard !isClosed else { return }
        let attempt = epoch
        AMQPConnection.connect(addresses[address], on: eventLoop) { result in
            guard attempt == self.epoch && !self.isClosed else {
                if case .success(let late) = result { late.abort() }
                return
            }
            switch result {
            case .success(let connection): self.connected(connection, attempt)
            case .failure(let error): self.lost("\(error)", attempt)
            }
        }
    }

    private func connected(_ connection: AMQPConnection, _ attempt: Int) {
        self.connection = connection
        connection.onClose = { self.lost("\($0)", attempt) }
        connection.onWritabilityChanged = { if $0 { self.send() } }
        connection.openChannel { result in
            guard case .success(let channel) = result else { return self.lost("no channel", attempt) }
            channel.onClose = { self.lost("\($0)", attempt) }
            channel.onConfirm = { self.confirmed($0, positive: $1, on: channel, attempt) }
            channel.confirmSelect { result in
                guard case .success = result else { return self.lost("no confirms", attempt) }
                self.opened(channel, attempt)
            }
        }
    }

    private func opened(_ channel: AMQPChannel, _ attempt: Int) {
        guard attempt == epoch else { return }
        self.channel = channel
        lastHeard = .now()
        if hasConnected { reconnects += 1 }
        hasConnected = true
        pending.removeAll()
        firstPending = 1
        retries.removeAll()
        for sequence in board.ledger.oldestUnconfirmed..<board.ledger.count where !board.ledger.isConfirmed(sequence) {
            board.ledger.resend(sequence, behind: false)
            write(sequence, to: channel)
        }
        send()
    }

    private func lost(_ why: String, _ attempt: Int) {
        guard attempt == epoch && !isClosed else { return }
        epoch += 1
        lastError = why
        address = (address + 1) % addresses.count
        repeatedConfirms += channel?.repeatedConfirms ?? 0
        channel = nil
        let old = connection
        connection = nil
        old?.abort()
        eventLoop.scheduleTask(in: Self.retryDelay) { self.connect() }
    }

    /// The first message is due now.
    func startTraffic() {
        precondition(!isStarted)
        isStarted = true
        board.isFlowing = true
        start = .now()
        lastHeard = start
        tick()
    }

    private func tick() {
        guard !isClosed else { return }
        send()
        let now = Instant.now()
        if let patience, channel != nil, board.ledger.unconfirmedCount > 0, now - lastHeard > patience {
            lost("no confirm for \(patience.text) ms", epoch)
        }
        let due = dueTime(board.ledger.count)
        let next = due > now ? due : now + interval
        eventLoop.scheduleTask(deadline: .uptimeNanoseconds(next.nanoseconds)) { self.tick() }
    }

    private func dueTime(_ sequence: UInt64) -> Instant { start + interval * sequence }

    private func send() {
        guard isStarted, let channel, channel.isOpen, channel.connection.isWritable else { return }
        let now = Instant.now()
        while let retry = retries.first, retry.at <= now {
            retries.popFirst()
            guard !board.ledger.isConfirmed(retry.sequence) else { continue }
            board.ledger.resend(retry.sequence, behind: retry.sequence + 1 < board.ledger.count)
            write(retry.sequence, to: channel)
        }
        while !isStopped && board.ledger.unconfirmedCount < maximumUnconfirmed {
            let due = dueTime(board.ledger.count)
            let now = Instant.now()
            guard due <= now, channel.isOpen, channel.connection.isWritable else { break }
            write(board.ledger.publish(due: due, at: now), to: channel)
        }
        channel.flush()
    }

    private func write(_ sequence: UInt64, to channel: AMQPChannel) {
        board.body.stamp(board.ledger.stamp(of: sequence), into: buffer)
        let number = channel.publish(route, body: UnsafeRawBufferPointer(buffer))
        // A channel that has just ended numbers nothing; its `onClose` sees to it that the message is sent again.
        guard number == firstPending + UInt64(pending.count) else { return }
        pending.append(Pending(sequence: sequence, sentAt: .now()))
    }

    private func confirmed(
        _ run: ClosedRange<UInt64>, positive: Bool, on channel: AMQPChannel, _ attempt: Int
    ) {
        guard attempt == epoch && channel === self.channel else { return }
        let now = Instant.now()
        lastHeard = now
        for number in run where number >= firstPending && number - firstPending < UInt64(pending.count) {
            let index = Int(number - firstPending)
            let message = pending[index]
            pending[index].isSettled = true
            if positive {
                board.ledger.confirm(message.sequence, sentAt: message.sentAt, at: now)
            } else {
                board.ledger.nack(message.sequence)
                retries.append((message.sequence, now + .milliseconds(5)))
            }
        }
        while let first = pending.first, first.isSettled {
            pending.popFirst()
            firstPending += 1
        }
    }

    /// No new messages; what was sent is still seen through.
    func stop() {
        isStopped = true
        board.isFlowing = false
    }

    /// Closes the connection; nothing is sent any more.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        repeatedConfirms += channel?.repeatedConfirms ?? 0
        connection?.close()
        connection = nil
        channel = nil
    }
}
