/// What a storm does: faults drawn from a seed, made by the repository's scripts, under load.
public struct StormOptions: Sendable {
    /// The nodes' AMQP addresses in the order of their numbers: the first is node 1's.
    public var addresses: [BrokerAddress]
    /// The directory that holds `Cluster/` and `Chaos/`.
    public var scripts: String
    /// How long faults are made.
    public var seconds = 60.0
    /// What the faults are drawn from.
    public var seed: UInt64 = 1
    /// Those that are made; a ring only in clusters of four and five nodes.
    public var faults = StormFaultKind.allCases
    /// Declared for the run and deleted after it; 1 to 1,000.
    public var queues = 4
    /// Each with a connection, to queue after queue; at least one a queue, to 1,000.
    public var publishers = 6
    /// Each with a connection, to queue after queue; at least one a queue, to 1,000.
    public var consumers = 6
    /// Messages a second of all publishers together.
    public var rate = 2_000.0
    /// Unconfirmed messages of a publisher.
    public var window = 500
    /// At the end: how long nothing may come before what is missing is taken for lost, in seconds.
    public var drainTimeout = 30.0

    /// The required options; the rest are properties.
    public init(addresses: [BrokerAddress], scripts: String) {
        self.addresses = addresses
        self.scripts = scripts
    }

    /// Checks the options.
    ///
    /// - Throws: `invalidOption`.
    public func validate() throws(BenchError) {
        guard addresses.count >= 3 else { throw .invalidOption("a storm takes three nodes or more") }
        guard !scripts.isEmpty else { throw .invalidOption("the directory of the scripts is missing") }
        guard seconds > 0 && seconds <= 604_800 else { throw .invalidOption("for: above 0, up to 604800 s") }
        guard !faults.isEmpty else { throw .invalidOption("no kind of fault") }
        guard faults != [.ring] || (4...5).contains(addresses.count) else {
            throw .invalidOption("a ring takes four or five nodes")
        }
        guard (1...1_000).contains(queues) else { throw .invalidOption("queues: 1 to 1000") }
        guard (queues...1_000).contains(publishers) else { throw .invalidOption("publishers: one a queue to 1000") }
        guard (queues...1_000).contains(consumers) else { throw .invalidOption("consumers: one a queue to 1000") }
        guard rate > 0 && rate <= 1e6 else { throw .invalidOption("rate: above 0, up to 1000000") }
        guard (1...100_000).contains(window) else { throw .invalidOption("window: 1 to 100000") }
        guard drainTimeout >= 1 && drainTimeout <= 3_600 else { throw .invalidOption("drain timeout: 1 to 3600 s") }
    }
}
