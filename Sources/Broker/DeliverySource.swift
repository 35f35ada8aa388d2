import AMQP
import Logging
import Primitives
import Topology

/// Something that brings deliveries to a channel: a consumer, or the gets from one queue.
package final class DeliverySource {
    /// The queue behind it.
    enum Backing {
        case quorum(QueueSession, consumer: UInt32)
        case transient(TransientAddress, consumer: UInt32)
        /// The queue or the channel is gone.
        case none
    }

    /// Where a consumer stands.
    enum State {
        /// The client has no `basic.consume-ok` yet.
        case attaching
        case active
        /// Cancelled: what it holds can still be acknowledged.
        case cancelled
        /// It serves `basic.get`.
        case getting
    }

    let channel: ClientChannel
    /// Names it in the channel's `unacked`.
    let slot: UInt32
    /// The consumer tag; empty for gets.
    package let tag: String
    private let tagBytes: Bytes
    package let queue: String
    package let noAck: Bool
    package let isExclusive: Bool
    package var prefetch: UInt32
    var backing = Backing.none
    var state: State
    /// Ends the `basic.consume` under way.
    var attached: (() -> Void)?
    /// Delivered and not acknowledged.
    private(set) var outstanding = 0
    /// Auto-acknowledged deliveries that are in the output and not settled.
    private var written: ClosedRange<UInt64>?

    init(
        channel: ClientChannel, slot: UInt32, tag: String, queue: String, noAck: Bool, isExclusive: Bool,
        prefetch: UInt32, state: State
    ) {
        self.channel = channel
        self.slot = slot
        self.tag = tag
        tagBytes = Bytes(tag)
        self.queue = queue
        self.noAck = noAck
        self.isExclusive = isExclusive
        self.prefetch = prefetch
        self.state = state
    }

    // MARK: Delivering

    /// One message from the queue, an envelope.
    func deliver(number: UInt64, deliveryCount: UInt32, redelivered: Bool, _ message: Bytes) {
        switch state {
        case .active: break
        case .attaching:
            state = .active
            attached?()
        case .cancelled:
            giveBack(number...number, counted: false)
            return
        case .getting:
            channel.finishGet(self, number: number, deliveryCount: deliveryCount, redelivered: redelivered, message)
            return
        }
        message.withUnsafeBytes { buffer in
            guard let envelope = readable(buffer, number) else { return }
            let connection = channel.connection
            let deliveryTag = take(number)
            channel.deliveredCount &+= 1
            if deliveryCount == 0 {
                write(envelope, envelope.properties, tag: deliveryTag, redelivered, to: connection)
            } else {
                envelope.withCounted(deliveryCount) { properties in
                    write(envelope, properties, tag: deliveryTag, redelivered, to: connection)
                }
            }
            if connection.output.count >= ClientConnection.spillSize { connection.spill() }
            connection.markDirty()
        }
    }

    @inline(__always)
    private func write(
        _ envelope: Envelope, _ properties: UnsafeRawBufferPointer, tag: UInt64, _ redelivered: Bool,
        to connection: ClientConnection
    ) {
        tagBytes.withUnsafeBytes { consumerTag in
            connection.output.write(
                DeliveryFrames(
                    channel: channel.number, consumerTag: consumerTag, deliveryTag: tag, redelivered: redelivered,
                    exchange: envelope.exchange, routingKey: envelope.routingKey, properties: properties,
                    body: envelope.body, frameMax: connection.tuning.frameMax))
        }
    }

    /// The envelope; one that cannot be read is thrown away with a word in the log.
    func readable(_ buffer: UnsafeRawBufferPointer, _ number: UInt64) -> Envelope? {
        do throws(DecodingFailure) {
            return try Envelope(buffer)
        } catch {
            channel.broker.logger.error(
                "a stored message cannot be read and is discarded: \(error)", metadata: ["queue": "\(queue)"])
            discard(number...number)
            return nil
        }
    }

    /// The delivery tag for a message on its way to the client.
    func take(_ number: UInt64) -> UInt64 {
        guard noAck else {
            outstanding += 1
            return channel.unacked.append(source: slot, number: number)
        }
        if let open = written, open.upperBound + 1 == number {
            written = open.lowerBound...number
        } else {
            settleWritten()
            written = number...number
            channel.connection.autoAcks.append(self)
        }
        return channel.unacked.skip()
    }

    /// The socket has what was written: it is settled.
    func settleWritten() {
        guard let numbers = written else { return }
        written = nil
        settle(numbers)
        if state == .getting { channel.free(self) }
    }

    // MARK: Answering

    /// Deliveries of this source left the channel's `unacked`.
    func released(_ count: Int) {
        outstanding -= count
        if outstanding == 0 && (state == .cancelled || state == .getting) { channel.free(self) }
    }

    func settle(_ numbers: ClosedRange<UInt64>) {
        switch backing {
        case .quorum(let session, let consumer): session.settle(consumer, numbers)
        case .transient(let address, let consumer): address.settle(consumer, numbers)
        case .none: break
        }
    }

    func giveBack(_ numbers: ClosedRange<UInt64>, counted: Bool) {
        switch backing {
        case .quorum(let session, let consumer): session.giveBack(consumer, numbers, counted: counted)
        case .transient(let address, let consumer): address.giveBack(consumer, numbers, counted: counted)
        case .none: break
        }
    }

    func discard(_ numbers: ClosedRange<UInt64>) {
        switch backing {
        case .quorum(let session, let consumer): session.discard(consumer, numbers)
        case .transient(let address, let consumer): address.settle(consumer, numbers)
        case .none: break
        }
    }

    func detach() {
        switch backing {
        case .quorum(let session, let consumer): session.detach(consumer)
        case .transient(let address, let consumer): address.detach(consumer)
        case .none: break
        }
    }

    func setPrefetch(_ count: UInt32) {
        guard !noAck && state != .getting else { return }
        prefetch = count
        switch backing {
        case .quorum(let session, let consumer): session.setPrefetch(consumer, count)
        case .transient(let address, let consumer): address.setWindow(consumer, count)
        case .none: break
        }
    }

    /// The queue was deleted, or the node that held it is gone.
    func queueGone() {
        backing = .none
        written = nil
        channel.sourceGone(self)
    }
}

extension Envelope {
    /// The properties with `x-delivery-count`, as RabbitMQ's quorum queues add it to a message that failed before.
    func withCounted(_ count: UInt32, _ body: (UnsafeRawBufferPointer) -> Void) {
        guard let scan = try? PropertyScan(properties) else { return body(properties) }
        var writer = ByteWriter(capacity: properties.count + 32)
        scan.write(properties, settingHeader: "x-delivery-count", to: Int64(count), into: &writer)
        writer.withUnsafeBytes { body($0) }
    }
}
