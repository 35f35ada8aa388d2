public import Primitives
public import QuorumQueue

/// What a queue's leader sends to a gateway. `encode(into:)` and `init(decoding:)` carry it over a link.
public enum LeaderMessage: Sendable {
    /// The node does not lead the queue (any more): the term it is in, and the leader it knows of. `epoch` is that of
    /// the message it answers, 0 for a status request.
    case notLeader(epoch: UInt64, term: Term, hint: NodeID?)
    /// The gateway has to resume: it is not attached under this epoch, or a message of it was lost.
    case resumeNeeded(epoch: UInt64)
    /// The answer to a resume; the events that follow bring the gateway up to date.
    case resumed(ResumeReply)
    /// What happened, in order.
    case events(LeaderEvents)
    /// The queue's counts: messages ready, delivered and unacknowledged, and consumers.
    case status(requestID: UInt64, ready: UInt64, unacknowledged: UInt64, consumers: UInt64)
    /// The queue was deleted by a committed command of the topology. Never said for a group that is merely unknown.
    case groupGone
}

/// The answer to a resume.
public struct ResumeReply: Sendable, Equatable {
    /// The request's epoch.
    public var epoch: UInt64
    /// The leader's term.
    public var term: Term
    /// The newest batch of this gateway that the leader took into its log in this term; 0 for none. It need not come
    /// again.
    public var acceptedThrough: UInt64
    /// Per session of the request, in its order, the last sequence number applied; nil when the leader knows no such
    /// session. Nil is no proof that the session is gone: only a committed refusal is.
    public var sessions: [SessionProgress]
    /// Sessions of the gateway's incarnation that the leader's machine has and the request does not name.
    public var unlisted: [SessionProgress]

    /// All fields.
    public init(
        epoch: UInt64, term: Term, acceptedThrough: UInt64, sessions: [SessionProgress], unlisted: [SessionProgress]
    ) {
        self.epoch = epoch
        self.term = term
        self.acceptedThrough = acceptedThrough
        self.sessions = sessions
        self.unlisted = unlisted
    }
}

/// How far a session's commands were applied.
public struct SessionProgress: Sendable, Equatable {
    /// The session's number.
    public var number: UInt64
    /// The last sequence number applied; nil for an unknown session.
    public var lastApplied: UInt64?

    /// All fields.
    public init(number: UInt64, lastApplied: UInt64?) {
        self.number = number
        self.lastApplied = lastApplied
    }
}

/// A stretch of the leader's stream to one gateway.
public struct LeaderEvents: Sendable {
    /// The epoch of the attachment.
    public var epoch: UInt64
    /// Counts the stretches of the epoch from 1; a hole means a loss, and the gateway resumes.
    public var number: UInt64
    /// The gateway that all sessions named in `events` belong to.
    public var gateway: GatewayID
    /// The gateway's incarnation that all sessions named in `events` belong to.
    public var incarnation: Incarnation
    /// What happened. An outcome precedes the `applied` that covers it, and the deliveries of a `basic.get`.
    public var events: [LeaderEvent]

    /// All fields.
    public init(
        epoch: UInt64, number: UInt64, gateway: GatewayID, incarnation: Incarnation, events: [LeaderEvent]
    ) {
        self.epoch = epoch
        self.number = number
        self.gateway = gateway
        self.incarnation = incarnation
        self.events = events
    }
}

/// One thing that happened at the leader, all of it by committed commands.
public enum LeaderEvent: Sendable {
    /// All commands up to this sequence number were applied.
    case applied(session: UInt64, through: UInt64)
    /// A command's result beyond plain success.
    case outcome(session: UInt64, sequence: UInt64, Outcome)
    /// The session does not exist and never will again.
    case refused(session: UInt64, SessionRefusal)
    /// A command came before its predecessor, which is the one expected.
    case outOfSequence(session: UInt64, expected: UInt64)
    /// The session was closed by a command of the leader: its gateway was gone for too long.
    case sessionClosed(session: UInt64)
    /// Messages for a consumer, numbered from `firstNumber`.
    case deliver(
        session: UInt64, consumer: UInt32, firstNumber: UInt64, deliveryCount: UInt32, redelivered: Bool,
        bodies: MessageBodies)
}
