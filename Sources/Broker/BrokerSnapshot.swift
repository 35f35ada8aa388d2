public import AMQP
import Topology

/// A client's connection, for management.
public struct ConnectionSnapshot: Sendable {
    /// Unique on its node in its incarnation.
    public var id: UInt64
    /// As RabbitMQ names it: `127.0.0.1:40000 -> 127.0.0.1:5672`.
    public var name: String
    /// The client's address.
    public var peerHost: String
    /// The client's port.
    public var peerPort: Int
    /// The address that the client connected to.
    public var host: String
    /// The port that the client connected to.
    public var port: Int
    /// The user that logged in.
    public var user: String
    /// The virtual host.
    public var vhost: String
    /// `starting`, `running`, `blocked` by an alarm, `closing`.
    public var state: String
    /// Channels open.
    public var channels: Int
    /// Negotiated, in bytes.
    public var frameMax: UInt32
    /// Negotiated.
    public var channelMax: UInt16
    /// Seconds.
    public var heartbeat: UInt16
    /// What the client said of itself.
    public var clientProperties: FieldTable

    package init(
        id: UInt64, name: String, peerHost: String, peerPort: Int, host: String, port: Int, user: String, vhost: String,
        state: String, channels: Int, frameMax: UInt32, channelMax: UInt16, heartbeat: UInt16,
        clientProperties: FieldTable
    ) {
        self.id = id
        self.name = name
        self.peerHost = peerHost
        self.peerPort = peerPort
        self.host = host
        self.port = port
        self.user = user
        self.vhost = vhost
        self.state = state
        self.channels = channels
        self.frameMax = frameMax
        self.channelMax = channelMax
        self.heartbeat = heartbeat
        self.clientProperties = clientProperties
    }
}

/// A channel, for management.
public struct ChannelSnapshot: Sendable {
    /// The id of the connection it belongs to.
    public var connection: UInt64
    /// The name of the connection it belongs to.
    public var connectionName: String
    /// Its number in the connection.
    public var number: UInt16
    /// The user that logged in.
    public var user: String
    /// The virtual host.
    public var vhost: String
    /// In confirm mode.
    public var isConfirming: Bool
    /// Deliveries without acknowledgement per consumer; 0 leaves it to the queue.
    public var prefetch: UInt32
    /// Consumers attached.
    public var consumers: Int
    /// Deliveries without acknowledgement.
    public var unacknowledged: Int
    /// Publishes without confirm.
    public var unconfirmed: Int
    /// Messages published since the channel was opened.
    public var published: UInt64
    /// Messages delivered since the channel was opened.
    public var delivered: UInt64

    package init(
        connection: UInt64, connectionName: String, number: UInt16, user: String, vhost: String, isConfirming: Bool,
        prefetch: UInt32, consumers: Int, unacknowledged: Int, unconfirmed: Int, published: UInt64, delivered: UInt64
    ) {
        self.connection = connection
        self.connectionName = connectionName
        self.number = number
        self.user = user
        self.vhost = vhost
        self.isConfirming = isConfirming
        self.prefetch = prefetch
        self.consumers = consumers
        self.unacknowledged = unacknowledged
        self.unconfirmed = unconfirmed
        self.published = published
        self.delivered = delivered
    }
}

/// A consumer, for management.
public struct ConsumerSnapshot: Sendable {
    /// The name of the connection it belongs to.
    public var connectionName: String
    /// The number of its channel.
    public var channel: UInt16
    /// The consumer tag.
    public var tag: String
    /// The name of its queue.
    public var queue: String
    /// The virtual host.
    public var vhost: String
    /// Whether deliveries have to be acknowledged.
    public var ackRequired: Bool
    /// Whether it is the only one by request.
    public var isExclusive: Bool
    /// Deliveries without acknowledgement per consumer; 0 leaves it to the queue.
    public var prefetch: UInt32

    package init(
        connectionName: String, channel: UInt16, tag: String, queue: String, vhost: String, ackRequired: Bool,
        isExclusive: Bool, prefetch: UInt32
    ) {
        self.connectionName = connectionName
        self.channel = channel
        self.tag = tag
        self.queue = queue
        self.vhost = vhost
        self.ackRequired = ackRequired
        self.isExclusive = isExclusive
        self.prefetch = prefetch
    }
}

/// A queue in this node's memory, for management.
public struct TransientQueueSnapshot: Sendable {
    /// Its number in the topology.
    public var id: UInt64
    /// Messages ready.
    public var ready: Int
    /// Messages delivered and not acknowledged.
    public var unacknowledged: Int
    /// Consumers attached.
    public var consumers: Int
    /// Bytes of the ready messages.
    public var readyBytes: Int
    /// Messages dropped because it was full.
    public var dropped: UInt64
}

extension BrokerLoop {
    /// Bodies received and sent since the broker started, in messages; of living channels only.
    public var messageTotals: (published: UInt64, delivered: UInt64) {
        channels.values.reduce((0, 0)) { ($0.0 + $1.publishedCount, $0.1 + $1.deliveredCount) }
    }

    /// All connections, in order of their ids.
    public func connectionSnapshots() -> [ConnectionSnapshot] {
        connections.values.sorted { $0.id < $1.id }.map { connection in
            ConnectionSnapshot(
                id: connection.id, name: connection.endpoints.name, peerHost: connection.endpoints.peerHost,
                peerPort: connection.endpoints.peerPort, host: connection.endpoints.host,
                port: connection.endpoints.port, user: connection.user, vhost: connection.vhost,
                state: BrokerLoop.word(connection), channels: connection.channelCount,
                frameMax: connection.tuning.frameMax, channelMax: connection.tuning.channelMax,
                heartbeat: connection.tuning.heartbeat, clientProperties: connection.clientProperties)
        }
    }

    private static func word(_ connection: ClientConnection) -> String {
        switch connection.stage {
        case .header, .handshake: "starting"
        case .open: connection.isAlarmed ? "blocked" : "running"
        case .closing, .closed: "closing"
        }
    }

    private var channelsInOrder: [ClientChannel] { channels.values.sorted { $0.serial < $1.serial } }

    /// All channels, in the order in which they were opened.
    public func channelSnapshots() -> [ChannelSnapshot] {
        channelsInOrder.map { channel in
            ChannelSnapshot(
                connection: channel.connection.id, connectionName: channel.connection.endpoints.name,
                number: channel.number, user: channel.connection.user, vhost: channel.vhost,
                isConfirming: channel.isConfirming, prefetch: channel.prefetch, consumers: channel.consumers.count,
                unacknowledged: channel.unacked.count, unconfirmed: channel.ledger.unconfirmed,
                published: channel.publishedCount, delivered: channel.deliveredCount)
        }
    }

    /// All consumers of the connections here.
    public func consumerSnapshots() -> [ConsumerSnapshot] {
        channelsInOrder.flatMap { channel in
            channel.consumers.values.sorted { $0.slot < $1.slot }.map { source in
                ConsumerSnapshot(
                    connectionName: channel.connection.endpoints.name, channel: channel.number, tag: source.tag,
                    queue: source.queue, vhost: channel.vhost, ackRequired: !source.noAck,
                    isExclusive: source.isExclusive, prefetch: source.prefetch)
            }
        }
    }

    /// The queues in this node's memory that were used, in order of their numbers.
    public func transientQueueSnapshots() -> [TransientQueueSnapshot] {
        transients.values.sorted { $0.id < $1.id }.map { local in
            TransientQueueSnapshot(
                id: local.id.rawValue, ready: local.queue.messagesReady,
                unacknowledged: local.queue.messagesUnacknowledged, consumers: local.queue.consumerCount,
                readyBytes: local.queue.readyBytes, dropped: local.queue.dropped)
        }
    }
}
