public import Primitives

/// What happens to the node that leads the queue.
public enum FailoverFault: String, CaseIterable, Sendable {
    /// kill(2) with SIGKILL.
    case kill
    /// SIGSTOP, later SIGCONT.
    case pause
    /// The node is cut off from its peers.
    case partition
    /// A graceful stop.
    case stop
    /// Its disk stops answering.
    case stall

    /// This version can do it.
    public var isAvailable: Bool { self == .kill }
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
    /// Traffic after recovery, before the node is brought back.
    public var tail = 1.0
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
    /// - Throws: `invalidOption`, or `unavailable` for a fault that this version cannot make.
    public func validate() throws(BenchError) {
        guard fault.isAvailable else {
            let able = FailoverFault.allCases.filter(\.isAvailable).map(\.rawValue).joined(separator: ", ")
            throw .unavailable("the fault '\(fault.rawValue)' is not available yet; available: \(able)")
        }
        guard !addresses.isEmpty else { throw .invalidOption("no AMQP address") }
        guard clients == .leader || addresses.count >= 2 else {
            throw .invalidOption("clients on surviving nodes need at least two addresses")
        }
        guard !leaderCommand.isEmpty else { throw .invalidOption("the command that names the leader is missing") }
        guard !restartCommand.isEmpty else { throw .invalidOption("the command that restarts a node is missing") }
        guard (1...1_000).contains(trials) else { throw .invalidOption("trials: 1 to 1000") }
        guard (0...100_000).contains(idleQueues) else { throw .invalidOption("queues: 0 to 100000") }
        guard interval.nanoseconds >= 10_000 else { throw .invalidOption("interval: at least 10 µs") }
        guard (MessageBody.minimumSize...16 << 20).contains(bodySize) else {
            throw .invalidOption("size: \(MessageBody.minimumSize) octets to 16 MiB")
        }
        guard (1...1_000_000).contains(maximumUnconfirmed) else {
            throw .invalidOption("unconfirmed messages: 1 to 1000000")
        }
        for duration in [warmup, tail, afterRestart, maximumOutage, drainTimeout, settle] {
            guard duration >= 0 && duration <= 86_400 else { throw .invalidOption("durations: 0 to 86400 s") }
        }
    }
}
