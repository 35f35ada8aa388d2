public import Primitives
public import QuorumQueue

/// What a gateway's queue client sends to the queue's leader. `encode(into:)` and `init(decoding:)` carry it over a
/// link.
public enum ClientMessage: Sendable {
    /// A batch for the log.
    case commands(CommandMessage)
    /// Attaches the gateway to this leader under a new epoch; comes before everything else the leader may act on.
    case resume(ResumeRequest)
    /// Asks for the queue's counts; needs no attachment.
    case status(gateway: GatewayID, requestID: UInt64)

    /// Whom the answer goes to. The receiver of a link checks that the node is the link's.
    public var gateway: GatewayID {
        switch self {
        case .commands(let message): message.gateway
        case .resume(let request): request.gateway
        case .status(let gateway, _): gateway
        }
    }
}

/// A batch of commands and its place in the gateway's stream to one leader.
public struct CommandMessage: Sendable {
    /// The sender.
    public var gateway: GatewayID
    /// The epoch of the resume that attached the gateway; a leader drops commands of any other.
    public var epoch: UInt64
    /// Counts the command messages of the epoch from 1; a hole means a loss, and the gateway has to resume.
    public var number: UInt64
    /// The name of the batch, the same each time it is sent, ascending in the order in which batches were made. A
    /// leader that took a batch into its log in this term ignores it when it comes again. 0: always taken.
    public var batchID: UInt64
    /// The commands.
    public var batch: CommandBatch

    /// All fields.
    public init(gateway: GatewayID, epoch: UInt64, number: UInt64, batchID: UInt64, batch: CommandBatch) {
        self.gateway = gateway
        self.epoch = epoch
        self.number = number
        self.batchID = batchID
        self.batch = batch
    }
}

/// Everything a leader needs to go on where the last one, or the last link, stopped.
public struct ResumeRequest: Sendable, Equatable {
    /// The sender.
    public var gateway: GatewayID
    /// The sender's start; a leader ignores requests of an older one than it has seen.
    public var incarnation: Incarnation
    /// Ascends with each request of a gateway's incarnation for this queue. The leader's messages carry it back, which
    /// is how those of an older attachment, to whichever leader, are told apart and dropped.
    public var epoch: UInt64
    /// All sessions the gateway has open or not yet seen closed, by ascending number.
    public var sessions: [ResumedSession]

    /// All fields.
    public init(gateway: GatewayID, incarnation: Incarnation, epoch: UInt64, sessions: [ResumedSession]) {
        self.gateway = gateway
        self.incarnation = incarnation
        self.epoch = epoch
        self.sessions = sessions
    }
}

/// What the gateway knows of one session.
public struct ResumedSession: Sendable, Equatable {
    /// The session's number.
    public var number: UInt64
    /// The session's low-water mark: every answer up to this sequence number was received.
    public var answered: UInt64
    /// The highest sequence number given to a command so far, sent or not.
    public var lastSequence: UInt64
    /// Consumers whose deliveries the gateway follows, by ascending number; 0 stands for `basic.get`.
    public var consumers: [ResumedConsumer]

    /// All fields.
    public init(number: UInt64, answered: UInt64, lastSequence: UInt64, consumers: [ResumedConsumer]) {
        self.number = number
        self.answered = answered
        self.lastSequence = lastSequence
        self.consumers = consumers
    }
}

/// How far the gateway received a consumer's deliveries.
public struct ResumedConsumer: Sendable, Equatable {
    /// The consumer's number in its session.
    public var number: UInt32
    /// All deliveries up to this number were received.
    public var received: UInt64

    /// All fields.
    public init(number: UInt32, received: UInt64) {
        self.number = number
        self.received = received
    }
}
