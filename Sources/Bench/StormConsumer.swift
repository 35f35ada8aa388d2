import AMQPClient
import NIOCore
import Primitives

/// Consumes one queue with manual acks, one by one or several together, and gives a message back now and then. When its
/// connection is lost it connects to the next node. It lives on its event loop.
final class StormConsumer: @unchecked Sendable {
    private static let prefetches: [UInt16] = [500, 20, 100]
    private static let acknowledgeEvery = [1, 10]
    /// One delivery in so many is given back.
    private static let returnOneIn: UInt64 = 200

    private let board: StormBoard
    private let number: Int
    private let queue: Int
    private let prefetch: UInt16
    private let acknowledgeEvery: Int
    private let eventLoop: any EventLoop
    private var random: SeededRandom
    let link: StormLink

    private var subscription: StormSubscription
    private var lastTag: UInt64 = 0
    private var unacknowledged = 0

    /// It consumes.
    private(set) var isReady = false
    /// Deliveries beyond the prefetch.
    private(set) var excess: UInt64 = 0
    /// Deliveries that it gave back.
    private(set) var returned: UInt64 = 0

    init(board: StormBoard, number: Int, options: StormOptions, eventLoop: any EventLoop) {
        self.board = board
        self.number = number
        self.eventLoop = eventLoop
        queue = number % options.queues
        prefetch = Self.prefetches[number % Self.prefetches.count]
        acknowledgeEvery = Self.acknowledgeEvery[number % Self.acknowledgeEvery.count]
        random = SeededRandom(seed: options.seed &+ UInt64(number))
        subscription = StormSubscription(prefetch: prefetch)
        // Consumers begin one node further than publishers.
        link = StormLink(
            addresses: options.addresses, first: number + 1, name: "storm consumer \(number)", eventLoop: eventLoop)
        link.onOpen = { self.opened($0) }
        link.onLoss = { self.lost() }
        link.onTick = { self.acknowledge() }
    }

    private func opened(_ channel: AMQPChannel) {
        let attempt = link.attempt
        subscription = StormSubscription(prefetch: prefetch)
        lastTag = 0
        unacknowledged = 0
        Task {
            // A failure ends the channel or the connection, which is heard.
            try? await channel.qos(prefetchCount: self.prefetch)
            self.eventLoop.execute { self.consume(on: channel, attempt) }
        }
    }

    private func consume(on channel: AMQPChannel, _ attempt: Int) {
        guard link.isCurrent(attempt) else { return }
        channel.consume(board.queues[queue]) { delivery in
            guard self.link.isCurrent(attempt) else { return }
            self.delivered(delivery, on: channel)
        } cancelled: {
            if self.link.isCurrent(attempt) { self.link.drop("the server cancelled the consumer") }
        } completion: { result in
            guard self.link.isCurrent(attempt) else { return }
            switch result {
            case .success: self.isReady = true
            case .failure(let error): self.link.drop("\(error)")
            }
        }
    }

    private func lost() {
        isReady = false
        excess += subscription.excess
        subscription = StormSubscription(prefetch: prefetch)
    }

    private func delivered(_ delivery: Delivery, on channel: AMQPChannel) {
        let stamp = board.bodies.first { $0.size == delivery.body.count }?.read(delivery.body)
        let send = board.ledger.deliver(
            stamp, queue: queue, consumer: number, redelivered: delivery.redelivered, at: .now())
        if let settled = subscription.deliver(send) { board.ledger.settle(settled) }
        guard delivery.redelivered || !random.oneIn(Self.returnOneIn) else {
            acknowledge()
            channel.nack(delivery.deliveryTag)
            subscription.giveBack(delivery.deliveryTag)
            returned += 1
            return
        }
        lastTag = delivery.deliveryTag
        unacknowledged += 1
        if unacknowledged >= acknowledgeEvery { acknowledge() }
    }

    private func acknowledge() {
        guard unacknowledged > 0, let channel = link.channel, channel.isOpen else { return }
        channel.ack(lastTag, multiple: unacknowledged > 1)
        for tag in lastTag - UInt64(unacknowledged) + 1...lastTag {
            if let send = subscription.acknowledge(tag) { board.ledger.acknowledge(send) }
        }
        unacknowledged = 0
    }

    /// Closes the connection in order, which makes its acks certain if nothing goes wrong meanwhile.
    func close(_ completion: @escaping @Sendable () -> Void) {
        acknowledge()
        link.close { wasOpen in
            if wasOpen {
                for send in self.subscription.close() { self.board.ledger.settle(send) }
            }
            self.excess += self.subscription.excess
            completion()
        }
    }
}
