import AMQPClient
import NIOCore
import Primitives

/// What all consumers of a load count together, on their event loop.
final class ConsumerSide: @unchecked Sendable {
    let run: UInt32
    let body: MessageBody
    /// Events before it are warm-up.
    var isMeasuring = false
    var delivered: UInt64 = 0
    /// Messages delivered at least once.
    var distinct: UInt64 = 0
    var corrupt: UInt64 = 0
    var foreign: UInt64 = 0
    var latencies = Latencies()
    var gaps = GapMeter()
    /// By publisher.
    var logs: [DeliveryLog]
    var subscriptionCount = 0
    /// Why a connection ended that should not have.
    var failure: String?

    init(run: UInt32, body: MessageBody, publishers: Int) {
        self.run = run
        self.body = body
        logs = [DeliveryLog](repeating: DeliveryLog(), count: publishers)
    }

    func take(_ delivery: Delivery, subscription: Int) {
        delivered += 1
        guard let stamp = body.read(delivery.body) else {
            corrupt += 1
            return
        }
        guard stamp.run == run, Int(stamp.publisher) < logs.count else {
            foreign += 1
            return
        }
        let publisher = Int(stamp.publisher)
        let before = logs[publisher].seen.count
        guard logs[publisher].deliver(stamp.sequence, redelivered: delivery.redelivered, subscription: subscription)
        else {
            corrupt += 1
            return
        }
        distinct += logs[publisher].seen.count - before
        guard isMeasuring else { return }
        let now = Instant.now()
        latencies.record(now - stamp.time)
        gaps.event(at: now)
    }
}

/// One consumer with one or more subscriptions. It lives on its event loop.
final class LoadConsumer: @unchecked Sendable {
    private let side: ConsumerSide
    private let number: Int
    private let connection: AMQPConnection
    private let channel: AMQPChannel
    private let acknowledgeEvery: Int
    private let noAck: Bool
    private var lastTag: UInt64 = 0
    private var unacknowledged = 0

    init(
        side: ConsumerSide, number: Int, connection: AMQPConnection, channel: AMQPChannel, options: LoadOptions
    ) {
        self.side = side
        self.number = number
        self.connection = connection
        self.channel = channel
        acknowledgeEvery = options.acknowledgeEvery
        noAck = options.noAck
    }

    func consume(_ queues: [String]) async throws {
        await connection.onLoop { connection in
            connection.onClose = { self.fail("\($0)") }
            self.channel.onClose = { self.fail("\($0)") }
        }
        for queue in queues {
            let subscription = await connection.onLoop { _ in
                defer { self.side.subscriptionCount += 1 }
                return self.side.subscriptionCount
            }
            _ = try await channel.consume(
                queue, options: ConsumeOptions(noAck: noAck),
                deliver: { self.delivered($0, subscription: subscription) },
                cancelled: { self.fail("the server cancelled the consumer of \(queue)") })
        }
    }

    private func fail(_ why: String) { side.failure = side.failure ?? "consumer \(number): \(why)" }

    private func delivered(_ delivery: Delivery, subscription: Int) {
        side.take(delivery, subscription: subscription)
        guard !noAck else { return }
        lastTag = delivery.deliveryTag
        unacknowledged += 1
        if unacknowledged >= acknowledgeEvery { acknowledge() }
    }

    /// Acknowledges what is left over, so that no tail waits for ever.
    func acknowledge() {
        guard unacknowledged > 0 else { return }
        channel.ack(lastTag, multiple: unacknowledged > 1)
        unacknowledged = 0
    }

    func close() async {
        await connection.onLoop { connection in
            connection.onClose = nil
            self.channel.onClose = nil
            self.acknowledge()
        }
        await connection.close()
    }
}
