import AMQP
import Broker
import Primitives

/// An AMQP client without a socket: what it says goes straight into its connection, what it hears is read as text.
final class TestClient: ConnectionTransport {
    private let cluster: FakeCluster
    private(set) var connection: ClientConnection!
    private var received: [UInt8] = []
    /// What is left of the broker's frames when a method needs its content.
    private var parser = FrameParser(maximumFrameSize: 0)
    var isWritable = true
    private(set) var isReading = true
    private(set) var isClosed = false

    init(_ cluster: FakeCluster, node: Int = 1, isLoopback: Bool = true) {
        self.cluster = cluster
        let endpoints = ConnectionEndpoints(
            peerHost: isLoopback ? "127.0.0.1" : "10.0.0.9", peerPort: 40_000, host: "127.0.0.1", port: 5_672,
            isLoopback: isLoopback)
        connection = cluster[node].broker.accept(transport: self, endpoints: endpoints)
    }

    /// A client with an open connection and channel 1.
    static func open(
        _ cluster: FakeCluster, node: Int = 1, vhost: String = "/", properties: FieldTable = [:]
    ) -> TestClient {
        let client = TestClient(cluster, node: node)
        client.shakeHands(vhost: vhost, properties: properties)
        client.send(.channelOpen(ChannelOpen()))
        _ = client.hear()
        return client
    }

    func shakeHands(
        user: String = "guest", password: String = "guest", vhost: String = "/", properties: FieldTable = [:]
    ) {
        sendBytes(ProtocolHeader.octets)
        send(
            .connectionStartOk(
                ConnectionStartOk(
                    clientProperties: properties, mechanism: "PLAIN", response: Bytes("\0\(user)\0\(password)"))),
            channel: 0)
        send(.connectionTuneOk(ConnectionTuneOk(channelMax: 2_047, frameMax: 131_072, heartbeat: 60)), channel: 0)
        send(.connectionOpen(ConnectionOpen(virtualHost: vhost)), channel: 0)
        _ = hear()
    }

    // MARK: Speaking

    func send(_ method: Method, channel: UInt16 = 1) {
        var writer = ByteWriter()
        method.encodeFrame(channel: channel, into: &writer)
        sendBytes(writer.take().toArray())
    }

    func publish(
        _ body: String, exchange: String = "", key: String, mandatory: Bool = false,
        properties: BasicProperties = BasicProperties(), channel: UInt16 = 1, frameMax: UInt32 = 0
    ) {
        var writer = ByteWriter()
        Method.basicPublish(BasicPublish(exchange: exchange, routingKey: key, mandatory: mandatory))
            .encodeFrame(channel: channel, into: &writer)
        let encoded = properties.encoded()
        encoded.withUnsafeBytes { raw in
            Bytes(body).withUnsafeBytes {
                writer.writeContent(channel: channel, properties: raw, body: $0, frameMax: frameMax)
            }
        }
        sendBytes(writer.take().toArray())
    }

    /// Bytes that did not make a frame yet.
    private var unconsumed: [UInt8] = []

    func sendBytes(_ bytes: [UInt8]) {
        unconsumed += bytes
        let consumed = unconsumed.withUnsafeBytes { connection.receive($0) }
        unconsumed.removeFirst(consumed)
        cluster.run()
    }

    /// Says nothing more and lets the socket end.
    func disconnect() {
        connection.disconnected()
        cluster.run()
    }

    // MARK: Hearing

    /// What the broker has sent since, a line per method; contents in brackets behind their methods.
    func hear() -> [String] {
        cluster.run()
        return frames().map(\.text)
    }

    /// The methods that the broker has sent since.
    func hearMethods() -> [Method] {
        cluster.run()
        return frames().compactMap(\.method)
    }

    /// The properties of the contents that the broker has sent since.
    func hearProperties() -> [BasicProperties] {
        cluster.run()
        return frames().compactMap(\.properties)
    }

    private struct Heard {
        var text: String
        var method: Method?
        var properties: BasicProperties?
    }

    private func frames() -> [Heard] {
        var heard: [Heard] = []
        if received.starts(with: ProtocolHeader.octets) {
            heard.append(Heard(text: "protocol header"))
            received.removeFirst(8)
        }
        var offset = 0
        received.withUnsafeBytes { buffer in
            while let frame = (try? parser.next(buffer, at: &offset)) ?? nil {
                let payload = UnsafeRawBufferPointer(rebasing: buffer[frame.payload])
                switch frame.type {
                case .method:
                    guard let method = try? Method(payload: payload) else { continue }
                    heard.append(Heard(text: describe(method, frame.channel), method: method))
                case .header:
                    guard let header = try? ContentHeader(payload: payload) else { continue }
                    heard[heard.count - 1].properties = try? BasicProperties(decoding: header.properties)
                    heard[heard.count - 1].text += " []"
                case .body:
                    heard[heard.count - 1].text.removeLast()
                    heard[heard.count - 1].text += String(decoding: payload, as: UTF8.self) + "]"
                case .heartbeat: heard.append(Heard(text: "heartbeat"))
                }
            }
        }
        received.removeFirst(offset)
        return heard
    }

    private func describe(_ method: Method, _ channel: UInt16) -> String {
        let prefix = channel <= 1 ? "" : "#\(channel) "
        switch method {
        case .basicDeliver(let deliver):
            return prefix + "deliver \(deliver.consumerTag) \(deliver.deliveryTag)"
                + (deliver.redelivered ? " again" : "")
        case .basicAck(let ack): return prefix + "ack \(ack.deliveryTag)" + (ack.multiple ? " multiple" : "")
        case .basicNack(let nack): return prefix + "nack \(nack.deliveryTag)" + (nack.multiple ? " multiple" : "")
        case .basicReturn(let back): return prefix + "return \(back.replyCode) \(back.exchange)/\(back.routingKey)"
        case .basicGetOk(let get):
            return prefix + "get-ok \(get.deliveryTag)" + (get.redelivered ? " again" : "") + " of \(get.messageCount)"
        case .basicGetEmpty: return prefix + "get-empty"
        case .basicConsumeOk(let ok): return prefix + "consume-ok \(ok.consumerTag)"
        case .basicCancelOk(let ok): return prefix + "cancel-ok \(ok.consumerTag)"
        case .basicCancel(let cancel): return prefix + "cancel \(cancel.consumerTag)"
        case .queueDeclareOk(let ok):
            return prefix + "declare-ok \(ok.queue) \(ok.messageCount) \(ok.consumerCount)"
        case .queuePurgeOk(let ok): return prefix + "purge-ok \(ok.messageCount)"
        case .queueDeleteOk(let ok): return prefix + "delete-ok \(ok.messageCount)"
        case .channelClose(let close): return prefix + "channel.close \(close.replyCode) \(close.replyText)"
        case .connectionClose(let close): return "connection.close \(close.replyCode) \(close.replyText)"
        default: return prefix + method.name
        }
    }

    // MARK: ConnectionTransport

    func write(_ bytes: UnsafeRawBufferPointer) { received += Array(bytes) }
    func setReading(_ isOn: Bool) { isReading = isOn }
    func close() {
        isClosed = true
        connection.disconnected()
    }
}
