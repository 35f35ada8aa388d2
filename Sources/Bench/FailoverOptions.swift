public import Primitives

/// What happens to the node that leads the queue.
public enum FailoverFault: String, CaseIterable, Sendable {
    /// SIGKILL.
    case kill
    /// SIGSTOP, later SIGCONT.
    case pause
    /// The node is cut off from its peers.
    case partition
    /// A graceful stop, by SIGTERM.
    case stop
    /// Its disk stops answering.
    case stall

    /// What became of the node.
    var participle: String {
        switch self {
        case .kill: "killed"
        case .pause: "paused"
        case .partition: "cut off"
        case .stop: "stopped"
        case .stall: "stalled"
        }
    }

    /// No signal makes it: it takes a command.
    var takesCommand: Bool { self == .partition || self == .stall }
}

/// Where the probe's clients connect.
public enum ClientPlacement: String, CaseIterable, Sendable {
    /// The publisher to one surviving node, the consumer to another: what the rest of the world sees.
    case survivor
    /// Both to the leader's node. They lose their connections, connect to the next node, and send again what was
    /// not confirmed.
    case leader
}

/// What the failover probe does. Durations are in seconds.
public struct FailoverOptions: Sendable {
    /// The nodes' AMQP addresses in the order of their numbers: the first is node 1's.
    public var addresses: [BrokerAddress]
    /// What happens to the leader.
    public var fault = FailoverFault.kill
    /// Where the clients are.
    public var clients = ClientPlacement.survivor
    /// How often; 1 to 1,000.
    public var trials = 1
    /// Idle queues declared besides, whose elections take place at the same time; 0 to 100,000.
    public var idleQueues = 0
    /// Prints `N PID`, the node that leads the queue whose name follows as the last argument, and its process.
    public var leaderCommand: [String]
    /// Brings a node back: its number and `start` follow as the last arguments. Returns when the node serves.
    public var restartCommand: [String]
    /// Makes the faults `partition` and `stall`, whose name and the node's number follow as the last arguments:
    /// prepares, prints `armed`, makes the fault when it is sent a line, prints `struck`, and undoes it when its input
    /// ends.
    public var faultCommand: [String] = []
    /// Looks into the nodes; nil for a broker that tells nothing.
    public var observer: (any ClusterObserver)?

    /// One message is due each of these.
    public var interval = Interval.milliseconds(1)
    /// Octets of a body; at least 32.
    public var bodySize = 64
    /// Messages that may wait for their confirm; due ones wait beyond. Their latency counts from when they were due.
    public var maximumUnconfirmed = 10_000
    /// Unacknowledged messages at the consumer; 0 is no limit.
    public var prefetch: UInt16 = 500
    /// Traffic before the fault.
    public var warmup = 2.0
    /// Traffic after recovery, before the fault ends.
    public var tail = 1.0
    /// How long the fault lasts at least. A node whose disk stalls serves on until its peers take its leaderships.
    public var hold = 0.0
    /// Clients on the leader that have messages due and hear nothing for so long take the next address.
    public var patience = 1.0
    /// Traffic after the node is back.
    public var afterRestart = 2.0
    /// How long an outage may be before the trial is given up.
    public var maximumOutage = 60.0
    /// How long nothing may come, at the end, before what is missing is taken for lost.
    public var drainTimeout = 15.0
    /// Rest between trials.
    public var settle = 0.5

    /// The required options; the rest are properties.
    public init(addresses: [BrokerAddress], leaderCommand: [String], restartCommand: [String]) {
        self.addresses = addresses
        self.leaderCommand = leaderCommand
        self.restartCommand = restartCommand
    }

    /// Checks the options.
    ///
    /// - Throws: `invalidOption`.
    public func validate() throws(BenchError) {
        guard !addresses.isEmpty else { throw .invalidOption("no AMQP address") }
        guard clients == .leader || addresses.count >= 2 else {
            throw .invalidOption("clients on surviving nodes need at least two addresses")
        }
        guard !leaderCommand.isEmpty else { throw .invalidOption("the command that names the leader is missing") }
        guard !restartCommand.isEmpty else { throw .invalidOption("the command that restarts a node is missing") }
        guard !fault.takesCommand || !faultCommand.isEmpty else {
            throw .invalidOption("the command that makes the fault '\(fault.rawValue)' is missing")
        }
        guard (1...1_000).contains(trials) else { throw .invalidOption("trials: 1 to 1000") }
        guard (0...100_000).contains(idleQueues) else { throw .invalidOption("queues: 0 to 100000") }
        guard interval.nanoseconds >= 10_000 else { throw .invalidOption("interval: at least 10 µs") }
        guard (MessageBody.fullSize...16 << 20).contains(bodySize) else {
            throw .invalidOption("size: \(MessageBody.fullSize) octets to 16 MiB")
        }
        guard (1...1_000_000).contains(maximumUnconfirmed) else {
            throw .invalidOption("unconfirmed messages: 1 to 1000000")
        }
        for duration in [warmup, tail, hold, afterRestart, maximumOutage, drainTimeout, settle] {
            guard duration >= 0 && duration <= 86_400 else { throw .invalidOption("durations: 0 to 86400 s") }
        }
        guard patience >= 0.05 && patience <= 3_600 else { throw .invalidOption("patience: 0.05 to 3600 s") }
    }
}
