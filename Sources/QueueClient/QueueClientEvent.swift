public import QuorumQueue

/// What a `QueueClient` tells the sessions' owners.
public enum QueueClientEvent: Sendable {
    /// All commands of the session up to this sequence number are committed: on disk at a majority. Cumulative;
    /// outcomes of the commands it covers came before it.
    case applied(SessionID, through: UInt64)
    /// A command's result beyond plain success, once per command.
    case outcome(SessionID, sequence: UInt64, Outcome)
    /// Messages for a consumer (0: `basic.get`), numbered from `firstNumber` without holes or repetitions. They come
    /// after the `applied` that covers the attach, and before the one that covers the detach; those of a get after its
    /// outcome.
    case delivered(
        SessionID, consumer: UInt32, firstNumber: UInt64, deliveryCount: UInt32, redelivered: Bool,
        bodies: MessageBodies)
    /// The session is gone at the queue, with whatever it had unanswered: its channel has to be closed.
    case sessionLost(SessionID, SessionLoss)
    /// The answer to a status request.
    case status(requestID: UInt64, ready: UInt64, unacknowledged: UInt64, consumers: UInt64)
    /// The queue was deleted; all sessions are gone without further events.
    case queueGone
}

/// Why a session ended without being asked to.
public enum SessionLoss: Hashable, Sendable {
    /// The machine refused a command of it.
    case refused(SessionRefusal)
    /// The queue closed it because its gateway was away for too long.
    case expired
}
