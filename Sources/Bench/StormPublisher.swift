import AMQP
import AMQPClient
import NIOCore
import Primitives

/// Publishes to one queue with confirms at a steady rate. When its connection is lost, or when a confirm does not come
/// and it is of the impatient kind, it connects to the next node and sends again, in order, what was not confirmed. It
/// lives on its event loop.
final class StormPublisher: @unchecked Sendable {
    private struct Pending {
        let message: UInt64
        let sentAt: Instant
        var isSettled = false
    }

    /// How long every other publisher waits for a confirm before it goes elsewhere.
    private static let patience = Interval.seconds(3)
    /// More than this many ticks' messages are not made up for.
    private static let maximumArrears = 5.0
    private static let ticksPerSecond = 50.0

    private let board: StormBoard
    private let number: Int
    private let queue: Int
    private let window: Int
    private let perTick: Double
    private let route: PublishRoute
    private let body: MessageBody
    private let buffer: UnsafeMutableRawBufferPointer
    let link: StormLink

    /// The number of the present connection in the ledger, once it sends.
    private var connection: UInt32?
    /// Sends of this connection from confirm number `firstPending` on.
    private var pending = Ring<Pending>()
    private var firstPending: UInt64 = 1
    /// Messages to be sent again.
    private var backlog = Ring<UInt64>()
    private var allowance = 0.0
    private var isStopped = false

    /// Messages, each counted once.
    private(set) var count: UInt64 = 0
    /// Sends beyond the first of each message.
    private(set) var resends: UInt64 = 0

    init(board: StormBoard, number: Int, options: StormOptions, eventLoop: any EventLoop) throws(ClientError) {
        self.board = board
        self.number = number
        queue = number % options.queues
        window = options.window
        perTick = options.rate / Double(options.publishers) / Self.ticksPerSecond
        var properties = BasicProperties()
        properties.deliveryMode = 2
        route = try PublishRoute(routingKey: board.queues[queue], properties: properties)
        body = board.bodies[number % board.bodies.count]
        buffer = body.makeBuffer()
        link = StormLink(
            addresses: options.addresses, first: number, name: "storm publisher \(number)", eventLoop: eventLoop)
        link.onOpen = { self.opened($0) }
        link.onLoss = { self.lost() }
        link.onTick = { self.tick() }
    }

    deinit { buffer.deallocate() }

    /// Everything that was sent is confirmed.
    var isSettled: Bool { unconfirmedCount == 0 }
    /// Messages whose confirm is awaited.
    var unconfirmedCount: Int { backlog.count + pending.count { !$0.isSettled } }

    private func opened(_ channel: AMQPChannel) {
        let attempt = link.attempt
        channel.onConfirm = { run, positive in
            guard self.link.isCurrent(attempt) else { return }
            self.confirmed(run, positive: positive)
        }
        channel.confirmSelect { result in
            guard case .success = result, self.link.isCurrent(attempt) else { return }
            self.connection = self.board.ledger.open(publisher: self.number, queue: self.queue, at: .now())
            self.tick()
        }
    }

    private func lost() {
        connection = nil
        var unconfirmed = Ring<UInt64>()
        for send in pending where !send.isSettled { unconfirmed.append(send.message) }
        for message in backlog { unconfirmed.append(message) }
        backlog = unconfirmed
        pending.removeAll()
        firstPending = 1
    }

    private func tick() {
        if number % 2 == 1, let oldest = pending.first, Instant.now() - oldest.sentAt > Self.patience {
            link.drop("no confirm")
        }
        allowance = min(allowance + perTick, perTick * Self.maximumArrears + 1)
        guard let connection, let channel = link.channel, channel.isOpen, channel.connection.isWritable else { return }
        while pending.count < window, let message = backlog.popFirst() {
            resends += 1
            write(message, on: connection, channel)
        }
        while !isStopped && backlog.isEmpty && pending.count < window && allowance >= 1 {
            allowance -= 1
            count += 1
            write(count - 1, on: connection, channel)
        }
        channel.flush()
    }

    private func write(_ message: UInt64, on connection: UInt32, _ channel: AMQPChannel) {
        let now = Instant.now()
        body.stamp(board.ledger.send(on: connection, at: now), into: buffer)
        // A channel that has just ended takes nothing; its end sees to it that the message is sent again.
        channel.publish(route, body: UnsafeRawBufferPointer(buffer))
        pending.append(Pending(message: message, sentAt: now))
    }

    private func confirmed(_ run: ClosedRange<UInt64>, positive: Bool) {
        guard let connection else { return }
        let now = Instant.now()
        for number in run where number >= firstPending && number - firstPending < UInt64(pending.count) {
            let place = Int(number - firstPending)
            pending[place].isSettled = true
            let send = StormLedger.Send(connection: connection, sequence: number - 1)
            if positive {
                board.ledger.confirm(send, at: now)
            } else {
                board.ledger.refuse(send)
                backlog.append(pending[place].message)
            }
        }
        while let first = pending.first, first.isSettled {
            pending.popFirst()
            firstPending += 1
        }
    }

    /// No new messages; what was sent is still seen through.
    func stop() { isStopped = true }
}
