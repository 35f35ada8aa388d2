/// What a node tells of who is alive and who leads.
public struct BrokerEvent: Hashable, Sendable {
    /// What happened.
    public enum Kind: Hashable, Sendable {
        /// The node of this name is given up, for this reason.
        case suspected(node: String, reason: String)
        /// The node that tells it asks for votes for the queue.
        case campaigned(queue: String)
        /// The node that tells it leads the queue.
        case elected(queue: String)
        /// The first entry of its leadership is committed.
        case committed(queue: String)
        /// So many queues that had lost their leaders have new ones.
        case allLed(queues: Int)
    }

    /// Microseconds since 1970.
    public var microseconds: UInt64
    /// What happened.
    public var kind: Kind

    /// An event at a time.
    public init(microseconds: UInt64, kind: Kind) {
        self.microseconds = microseconds
        self.kind = kind
    }
}

/// A node's answer.
public struct NodeEvents: Sendable {
    /// The node's name, as the events have it.
    public var node: String
    /// The number of its last event.
    public var lastSequence: UInt64
    /// Queues with a replica there that have lost their leader and know no other yet.
    public var leaderless: Int
    /// Nothing that was asked for is missing: not even the oldest of it was forgotten.
    public var isComplete: Bool
    /// Oldest first.
    public var events: [BrokerEvent]

    /// Collects the parts.
    public init(node: String, lastSequence: UInt64, leaderless: Int, isComplete: Bool, events: [BrokerEvent]) {
        self.node = node
        self.lastSequence = lastSequence
        self.leaderless = leaderless
        self.isComplete = isComplete
        self.events = events
    }
}

/// Looks into the cluster, for what clients cannot see. The probe does without on brokers that tell nothing.
public protocol ClusterObserver: Sendable {
    /// A node's events behind the one of this number; `.max` for none of them.
    ///
    /// - Parameter node: its number, from 1.
    func events(of node: Int, after sequence: UInt64) async throws -> NodeEvents
    /// Nodes that some other does not hear, one line each; empty when the cluster is whole.
    func unheardNodes() async -> [String]
}
