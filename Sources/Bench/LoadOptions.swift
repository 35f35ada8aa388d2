/// A load: how many clients, what they send, for how long.
public struct LoadOptions: Hashable, Sendable {
    /// The nodes' AMQP addresses. Queue, publisher and consumer i use the i-th, round and round.
    public var addresses: [BrokerAddress]
    /// Where publishers connect, if elsewhere.
    public var publisherAddresses: [BrokerAddress] = []
    /// Where consumers connect, if elsewhere.
    public var consumerAddresses: [BrokerAddress] = []
    /// Queues; 1 to 10,000. They are declared for the run and deleted after it.
    public var queues = 1
    /// The queues' `x-queue-type`; empty for none.
    public var queueType = "quorum"
    /// Publishers, each with its connection; 1 to 1,000. With fewer than queues, each goes round several queues.
    public var publishers = 1
    /// Consumers, each with its connection; 0 to 1,000. With fewer than queues, each consumes from several. Without
    /// any, nothing can be said about losses.
    public var consumers = 1
    /// Octets of a body; at least 16.
    public var bodySize = 1024
    /// `delivery_mode` 2.
    public var isPersistent = true
    /// Unconfirmed messages of a publisher; 0 is no confirms at all.
    public var confirmWindow = 100
    /// Messages per second of all publishers together, each due at its time; 0 is as fast as the window allows.
    public var rate = 0.0
    /// Unacknowledged messages of each subscription; 0 is no limit.
    public var prefetch: UInt16 = 1_000
    /// Deliveries per `basic.ack`; 1 acknowledges each on its own.
    public var acknowledgeEvery = 1
    /// The server takes deliveries as acknowledged.
    public var noAck = false
    /// Messages that are published, and confirmed, before the first consumer comes; then these are drained, and the run
    /// ends. 0 is publishers and consumers at the same time, for `seconds`.
    public var backlog: UInt64 = 0
    /// Only declares the queues, one after the other, and looks at the servers' memory before and half a minute later.
    public var declaresOnly = false
    /// Measured seconds.
    public var seconds = 10.0
    /// Seconds before them, left out of rates, latencies and CPU; not out of the integrity counts.
    public var warmup = 2.0
    /// How long nothing may come, at the end, before what is missing is taken for lost, in seconds.
    public var drainTimeout = 15.0
    /// Server processes whose CPU and memory are told.
    public var processes: [Int32] = []
    /// Said again in the report.
    public var label = ""

    /// The required option; the rest are properties.
    public init(addresses: [BrokerAddress]) { self.addresses = addresses }

    /// What the load is, in a line.
    var summary: String {
        if declaresOnly { return "\(queues) queues declared one by one" }
        return """
            \(queues) queues, \(publishers) publishers, \(consumers) consumers, \(bodySize) octets, \
            \(confirmWindow == 0 ? "no confirms" : "window \(confirmWindow)")\
            \(rate > 0 ? ", \(rate.fixed(0))/s due" : "")\(backlog > 0 ? ", backlog \(backlog)" : "")
            """
    }

    /// Checks the options.
    ///
    /// - Throws: `invalidOption`.
    public func validate() throws(BenchError) {
        guard !addresses.isEmpty else { throw .invalidOption("no AMQP address") }
        guard (1...10_000).contains(queues) else { throw .invalidOption("queues: 1 to 10000") }
        guard (1...1_000).contains(publishers) else { throw .invalidOption("publishers: 1 to 1000") }
        guard (0...1_000).contains(consumers) else { throw .invalidOption("consumers: 0 to 1000") }
        guard (MessageBody.minimumSize...16 << 20).contains(bodySize) else {
            throw .invalidOption("size: \(MessageBody.minimumSize) octets to 16 MiB")
        }
        guard (0...1_000_000).contains(confirmWindow) else { throw .invalidOption("confirm window: 0 to 1000000") }
        guard rate >= 0 && rate <= 1e8 else { throw .invalidOption("rate: 0 to 100000000 a second") }
        guard backlog <= 1_000_000_000, backlog % UInt64(publishers) == 0 else {
            throw .invalidOption("backlog: 0 to 1000000000, the same for each publisher")
        }
        guard acknowledgeEvery >= 1, noAck || prefetch == 0 || acknowledgeEvery <= Int(prefetch) else {
            throw .invalidOption("ack-every: 1 up to the prefetch, or the server waits for acks that never come")
        }
        for duration in [warmup, drainTimeout] {
            guard duration >= 0 && duration <= 86_400 else { throw .invalidOption("durations: 0 to 86400 s") }
        }
        guard seconds > 0 && seconds <= 86_400 else { throw .invalidOption("seconds: above 0, up to 86400") }
    }
}
