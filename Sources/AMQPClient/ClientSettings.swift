import AMQP

/// Where and as whom to connect. Defaults are RabbitMQ's for a local broker.
public struct ClientSettings: Hashable, Sendable {
    /// Name or address.
    public var host: String
    /// TCP port.
    public var port: Int
    /// User for SASL PLAIN.
    public var user: String
    /// Password for SASL PLAIN.
    public var password: String
    /// Virtual host.
    public var virtualHost: String
    /// Seconds; the lower of this and the server's counts. 0 asks for none.
    public var heartbeat: UInt16
    /// Octets; the lower of this and the server's counts.
    public var frameMax: UInt32
    /// Time for the TCP connection, and again for the handshake, in milliseconds.
    public var connectTimeoutMilliseconds: Int64
    /// How long an answer may take, in milliseconds, before the connection is given up; 0 for ever.
    public var replyTimeoutMilliseconds: Int64
    /// Largest body accepted from the server, in octets.
    public var maximumBodySize: UInt64
    /// Shown by the server's management (`connection_name`).
    public var name: String

    /// Settings with RabbitMQ's defaults.
    public init(
        host: String = "127.0.0.1", port: Int = 5672, user: String = "guest", password: String = "guest",
        virtualHost: String = "/", heartbeat: UInt16 = 10, frameMax: UInt32 = 131_072,
        connectTimeoutMilliseconds: Int64 = 5_000, replyTimeoutMilliseconds: Int64 = 30_000,
        maximumBodySize: UInt64 = 128 << 20, name: String = "warren"
    ) {
        self.host = host
        self.port = port
        self.user = user
        self.password = password
        self.virtualHost = virtualHost
        self.heartbeat = heartbeat
        self.frameMax = max(frameMax, FrameFormat.minimumMaximumSize)
        self.connectTimeoutMilliseconds = connectTimeoutMilliseconds
        self.replyTimeoutMilliseconds = replyTimeoutMilliseconds
        self.maximumBodySize = maximumBodySize
        self.name = name
    }
}
