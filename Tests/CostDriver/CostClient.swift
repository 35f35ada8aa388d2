import AMQP
import Broker
import Primitives

/// A client without a socket and with little to do: it knows where frames end and which methods answer a publisher or
/// a consumer.
class CostClient: ConnectionTransport {
    private let cluster: CostCluster
    private let node: CostNode
    private var connection: ClientConnection!
    /// Methods other than deliveries and confirms, by name.
    private var answers: [String] = []
    private(set) var trouble: String?
    var isWritable: Bool { true }

    init(of cluster: CostCluster, at node: CostNode) throws {
        self.cluster = cluster
        self.node = node
        let endpoints = ConnectionEndpoints(
            peerHost: "127.0.0.1", peerPort: 40_000, host: "127.0.0.1", port: 5_672, isLoopback: true)
        connection = node.broker.accept(transport: self, endpoints: endpoints)
        try ProtocolHeader.octets.withUnsafeBytes { try send($0) }
        try ask(
            .connectionStartOk(
                ConnectionStartOk(
                    clientProperties: [:], mechanism: "PLAIN", response: Bytes("\0guest\0guest"))), channel: 0,
            "connection.tune")
        try send(.connectionTuneOk(ConnectionTuneOk(channelMax: 16, frameMax: 131_072, heartbeat: 0)), channel: 0)
        try ask(.connectionOpen(ConnectionOpen(virtualHost: "/")), channel: 0, "connection.open-ok")
        try ask(.channelOpen(ChannelOpen()), "channel.open-ok")
    }

    // MARK: Speaking

    /// Says something and waits for the answer.
    func ask(_ method: Method, channel: UInt16 = 1, _ answer: String) throws {
        try send(method, channel: channel)
        try cluster.run(answer) {
            if let trouble { throw CostFailure(trouble) }
            return answers.contains(answer)
        }
        answers = []
    }

    func send(_ method: Method, channel: UInt16 = 1) throws {
        var writer = ByteWriter()
        method.encodeFrame(channel: channel, into: &writer)
        try writer.withUnsafeBytes { try send($0) }
    }

    func send(_ bytes: UnsafeRawBufferPointer) throws {
        guard connection.receive(bytes) == bytes.count else { throw CostFailure("a frame was not taken whole") }
        node.wake()
    }

    // MARK: Hearing

    func write(_ bytes: UnsafeRawBufferPointer) {
        var offset = bytes.starts(with: ProtocolHeader.octets) ? bytes.count : 0
        while offset + 8 <= bytes.count {
            let size = Int(bytes.loadUnaligned(fromByteOffset: offset + 3, as: UInt32.self).bigEndian)
            guard offset + 8 + size <= bytes.count else { break }
            // Contents only matter by the method before them.
            if bytes[offset] == 1 { heard(UnsafeRawBufferPointer(rebasing: bytes[offset + 7..<offset + 7 + size])) }
            offset += 8 + size
        }
        if offset != bytes.count { trouble = "the broker wrote half a frame" }
    }

    private func heard(_ payload: UnsafeRawBufferPointer) {
        switch payload.loadUnaligned(as: UInt32.self).bigEndian {
        case 60 << 16 | 60: delivered()
        case 60 << 16 | 80:
            let tag = payload.loadUnaligned(fromByteOffset: 4, as: UInt64.self).bigEndian
            confirmed(tag, isMultiple: payload[12] & 1 == 1)
        default:
            guard let method = try? Method(payload: payload) else { return trouble = "the broker wrote no method" }
            if case .channelClose(let close) = method { trouble = close.replyText }
            if case .connectionClose(let close) = method { trouble = close.replyText }
            answers.append(method.name)
        }
    }

    func delivered() {}
    func confirmed(_ tag: UInt64, isMultiple: Bool) {}
    func setReading(_ isOn: Bool) {}
    func close() { trouble = trouble ?? "the broker closed the connection" }
}

/// Publishes with a window of unconfirmed messages.
final class CostPublisher: CostClient {
    private let frames: Bytes
    private let frameSize: Int
    private let window: Int
    private(set) var published = 0
    private(set) var confirmed = 0

    init(of cluster: CostCluster, at node: CostNode, to queue: String, window: Int, size: Int) throws {
        frames = CostPublisher.frames(to: queue, count: window, size: size)
        frameSize = frames.count / window
        self.window = window
        try super.init(of: cluster, at: node)
        try ask(.confirmSelect(ConfirmSelect()), "confirm.select-ok")
    }

    /// Publishes one after the other on channel 1.
    static func frames(to queue: String, count: Int, size: Int) -> Bytes {
        var writer = ByteWriter()
        let body = [UInt8](repeating: 120, count: size)
        var properties = BasicProperties()
        properties.deliveryMode = 2
        let encoded = properties.encoded()
        for _ in 0..<count {
            Method.basicPublish(BasicPublish(exchange: "", routingKey: queue, mandatory: false))
                .encodeFrame(channel: 1, into: &writer)
            encoded.withUnsafeBytes { properties in
                body.withUnsafeBytes {
                    writer.writeContent(channel: 1, properties: properties, body: $0, frameMax: 131_072)
                }
            }
        }
        return writer.take()
    }

    /// Publishes what the window takes of `count` in all.
    func publish(upTo count: Int) throws {
        let number = min(window - (published - confirmed), count - published)
        guard number > 0 else { return }
        published += number
        try frames.withUnsafeBytes { try send(UnsafeRawBufferPointer(rebasing: $0[..<(number * frameSize)])) }
    }

    override func confirmed(_ tag: UInt64, isMultiple: Bool) {
        // One queue confirms in order.
        confirmed = max(confirmed, Int(tag))
    }
}

/// Consumes, and acknowledges once for all that came together.
final class CostConsumer: CostClient {
    private(set) var received = 0
    private var acknowledged = 0

    init(of cluster: CostCluster, at node: CostNode, from queue: String, prefetch: UInt16) throws {
        try super.init(of: cluster, at: node)
        try ask(.basicQos(BasicQos(prefetchCount: prefetch)), "basic.qos-ok")
        try ask(.basicConsume(BasicConsume(queue: queue)), "basic.consume-ok")
    }

    func acknowledge() throws {
        guard received > acknowledged else { return }
        acknowledged = received
        try send(.basicAck(BasicAck(deliveryTag: UInt64(received), multiple: true)))
    }

    override func delivered() { received += 1 }
}
