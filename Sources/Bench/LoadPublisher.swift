import AMQP
import AMQPClient
import NIOCore
import Primitives

/// What all publishers of a load count together, on their event loop.
final class PublisherSide: @unchecked Sendable {
    /// Events before it are warm-up.
    var isMeasuring = false
    var isStopped = false
    /// The time that open-loop messages are due from.
    var start = Instant.zero
    var published: UInt64 = 0
    var confirmed: UInt64 = 0
    var nacked: UInt64 = 0
    var latencies = Latencies()
    var gaps = GapMeter()
    /// How late, at most, a due message was written.
    var worstLag = Interval.zero
    var blockedCount = 0
    /// Why a connection ended that should not have.
    var failure: String?
}

/// One publisher: as fast as its window allows, or each message at its time. It lives on its event loop.
final class LoadPublisher: @unchecked Sendable {
    /// Octets that gather before they are written in the middle of a turn.
    private static let writeSize = 256 << 10
    /// Messages of one turn, so that a publisher without confirms does not keep the loop.
    private static let turnLimit = 1024

    private let side: PublisherSide
    private let run: UInt32
    private let number: UInt32
    private let connection: AMQPConnection
    private let channel: AMQPChannel
    private let routes: [PublishRoute]
    private let body: MessageBody
    private let buffer: UnsafeMutableRawBufferPointer
    private let window: UInt64
    /// Nanoseconds between due times; 0 in closed loop.
    private let interval: Double
    private let phase: Double
    /// Messages in all.
    private let limit: UInt64

    private(set) var log = PublishLog()
    private var nextRoute = 0
    /// By confirm number modulo their count: since when the latency counts, or 0 when settled.
    private var sentAt: [UInt64]
    private var oldest: UInt64 = 1
    private var outstanding: UInt64 = 0
    private var isScheduled = false

    init(
        side: PublisherSide, run: UInt32, number: Int, connection: AMQPConnection, channel: AMQPChannel,
        queues: [String], options: LoadOptions
    ) throws(ClientError) {
        self.side = side
        self.run = run
        self.number = UInt32(number)
        self.connection = connection
        self.channel = channel
        var properties = BasicProperties()
        properties.deliveryMode = options.isPersistent ? 2 : 1
        var routes: [PublishRoute] = []
        for queue in queues { routes.append(try PublishRoute(routingKey: queue, properties: properties)) }
        self.routes = routes
        body = MessageBody(size: options.bodySize)
        buffer = body.makeBuffer()
        window = UInt64(options.confirmWindow)
        interval = options.rate > 0 ? 1e9 * Double(options.publishers) / options.rate : 0
        phase = interval * Double(number) / Double(options.publishers)
        limit = options.backlog == 0 ? .max : options.backlog / UInt64(options.publishers)
        var slots = 1024
        while slots < 8 * options.confirmWindow { slots *= 2 }
        sentAt = window > 0 ? [UInt64](repeating: 0, count: slots) : []
    }

    deinit { buffer.deallocate() }

    /// Everything sent is confirmed, and nothing more is to come.
    var isDone: Bool { (side.isStopped || log.count == limit) && outstanding == 0 }

    func begin() {
        connection.onClose = { self.side.failure = self.side.failure ?? "publisher \(self.number): \($0)" }
        channel.onClose = { self.side.failure = self.side.failure ?? "publisher \(self.number): \($0)" }
        channel.onConfirm = { self.confirmed($0, positive: $1) }
        connection.onWritabilityChanged = { if $0 { self.publish() } }
        connection.onBlocked = { if $0 != nil { self.side.blockedCount += 1 } }
        publish()
    }

    private func publish() {
        var now = Instant.now()
        var gathered = 0
        var turn = 0
        while !side.isStopped && log.count < limit && hasRoom && channel.isOpen && connection.isWritable {
            var time = now
            if interval > 0 {
                time = due(log.count)
                if time > now { now = .now() }
                if time > now {
                    schedule(at: time)
                    break
                }
                side.worstLag = max(side.worstLag, now - time)
            } else if turn & 31 == 31 {
                now = .now()
                time = now
            }
            if turn == Self.turnLimit {
                schedule(at: now)
                break
            }
            turn += 1
            write(time)
            gathered += body.size
            if gathered >= Self.writeSize {
                connection.flush()
                gathered = 0
            }
        }
    }

    private var hasRoom: Bool { window == 0 || outstanding < window && log.count + 1 - oldest < UInt64(sentAt.count) }

    private func due(_ sequence: UInt64) -> Instant {
        side.start + Interval(nanoseconds: UInt64(phase + interval * Double(sequence)))
    }

    private func schedule(at time: Instant) {
        guard !isScheduled else { return }
        isScheduled = true
        connection.eventLoop.scheduleTask(deadline: .uptimeNanoseconds(time.nanoseconds)) {
            self.isScheduled = false
            self.publish()
        }
    }

    private func write(_ time: Instant) {
        let sequence = log.publish()
        body.stamp(MessageStamp(run: run, publisher: number, sequence: sequence, time: time), into: buffer)
        channel.publish(routes[nextRoute], body: UnsafeRawBufferPointer(buffer))
        nextRoute = nextRoute + 1 == routes.count ? 0 : nextRoute + 1
        side.published += 1
        guard window > 0 else { return }
        // Confirms are numbered from 1.
        sentAt[Int(sequence + 1) & (sentAt.count - 1)] = max(1, time.nanoseconds)
        outstanding += 1
    }

    private func confirmed(_ run: ClosedRange<UInt64>, positive: Bool) {
        let now = Instant.now()
        for number in run {
            let slot = Int(number) & (sentAt.count - 1)
            let time = sentAt[slot]
            sentAt[slot] = 0
            outstanding -= 1
            guard positive else {
                side.nacked += 1
                continue
            }
            _ = log.confirm(number - 1)
            side.confirmed += 1
            if side.isMeasuring { side.latencies.record(now - Instant(nanoseconds: time)) }
        }
        if side.isMeasuring { side.gaps.event(at: now) }
        while oldest <= log.count && sentAt[Int(oldest) & (sentAt.count - 1)] == 0 { oldest += 1 }
        publish()
    }

    func close() async {
        await connection.onLoop { connection in
            connection.onClose = nil
            self.channel.onClose = nil
        }
        await connection.close()
    }
}
