public import Primitives
public import QuorumQueue

/// The gateway's side of one queue: it numbers the commands of many sessions, keeps them until they are answered,
/// follows the leader, sends again what a leader or link change may have lost, and lets every delivery through exactly
/// once.
///
/// Calls return numbers, `flush` returns messages, `receive` returns events; nothing is called back. A session that is
/// gone takes calls without effect (they return 0), as its owner may not have been told yet.
public struct QueueClient: ~Copyable, Sendable {
    /// Unanswered commands at which the client is blocked.
    public static let commandLimit = 16_384
    /// Bytes of unanswered commands, headers and bodies, at which the client is blocked.
    public static let byteLimit = 8 << 20
    /// Bytes sent behind a resume before it is answered: what lets a failover save a round trip, and what it may send
    /// twice. A batch with a message too large for an entry of others waits for the answer.
    public static let eagerLimit = 256 << 10
    /// How long something unanswered may make no progress before the client resumes.
    public static let answerTimeout = Interval.seconds(1)
    /// How long a client whose leader disowned it waits before it asks again.
    public static let leaderRetry = Interval.milliseconds(100)
    /// How long settlements may wait for other commands, to share their entries: the log and the followers take two
    /// for the price of one, and no client waits for the answer.
    public static let settlementDelay = Interval.milliseconds(4)
    /// Settled ranges of a session that wait for the end of the tick; more become commands at once.
    static let settlementLimit = 1_024

    /// The queue.
    public let group: GroupID
    /// Whose side this is.
    public let gateway: GatewayID
    /// The node's start; part of every session's id.
    public let incarnation: Incarnation

    /// By ascending number, without those that are gone.
    var sessions: [ClientSession] = []
    /// Where the last session was found.
    var lastFound = 0
    /// The highest number given to a session.
    var highestSession: UInt64 = 0

    /// Commands that are not in a batch yet.
    var encoder = CommandEncoder()
    /// The session of the encoder's last header; 0 for none.
    var encodingSession: UInt64 = 0
    /// The spans of the encoder's commands.
    var encodingSpans: [BatchSpan] = []
    /// Sessions with entries in `settling`, in the order in which they got the first.
    var settlingSessions: [UInt64] = []
    /// Some of them cannot wait for other commands.
    var areSettlementsDue = false
    /// Counts the times at which settlements became commands.
    public internal(set) var settlementRounds: UInt64 = 0

    /// Batches with unanswered commands, by ascending id without holes.
    var retained = Ring<RetainedBatch>()
    /// The id of the next batch.
    var nextBatchID: UInt64
    /// The batch to send next in this epoch. Invariant: at most `nextBatchID`.
    var nextToSend: UInt64
    /// Commands and bytes in `retained`.
    var retainedCommands = 0
    var retainedBytes = 0

    /// The leader, as far as known, and its term.
    public internal(set) var leader: NodeID?
    /// The newest term heard of.
    public internal(set) var term = Term.zero
    var phase = Phase.detached
    /// The epoch of the newest resume.
    var epoch: UInt64
    /// The number of the next command message of the epoch.
    var nextNumber: UInt64 = 1
    /// The number of the leader's next stretch of events in the epoch.
    var expectedNumber: UInt64 = 1
    /// Bytes of batches sent since the resume.
    var eagerBytes = 0
    /// The leader's word on batches that it has in its log.
    var acceptedThrough: UInt64 = 0
    /// Batches made up for the leader's sake only, not kept: reopened and forgotten sessions.
    var repairs: [CommandBatch] = []

    var statuses: [PendingStatus] = []
    /// Whom to ask again when a leader disowned us and named no other.
    var disowner: NodeID?
    /// Whether a leader's hint was already followed in this term: two nodes that point at each other must not spin us.
    var hintFollowed = false
    /// Whether the queue was deleted.
    public internal(set) var isGone = false

    /// Counts the leader's messages that brought something.
    var progress: UInt64 = 0
    /// What the last tick saw while something was outstanding.
    var watch: Watch?

    /// Where the client stands with the leader.
    enum Phase: Hashable {
        /// A resume has to be sent first.
        case detached
        /// The resume was sent.
        case resuming
        /// The resume was answered.
        case attached
    }

    struct PendingStatus: Sendable {
        var requestID: UInt64
        var isSent: Bool
    }

    struct Watch: Sendable {
        var since: Instant
        var progress: UInt64
    }

    /// A client without sessions.
    /// - Parameter generation: must be higher than that of any earlier client of this queue in this gateway's
    ///   incarnation (epochs and batch ids ascend with it); a gateway that never drops a client early can leave it.
    public init(group: GroupID, gateway: GatewayID, incarnation: Incarnation, generation: UInt32 = 0) {
        self.group = group
        self.gateway = gateway
        self.incarnation = incarnation
        let base = UInt64(generation & 0x3fff_ffff) << 32
        epoch = base
        nextBatchID = base + 1
        nextToSend = base + 1
    }
}

// MARK: Queries

extension QueueClient {
    /// Commands without an answer, whether sent or not, counted by whole batches.
    public var unansweredCommands: Int { retainedCommands + encoder.commandCount }

    /// Bytes of commands and bodies without an answer, counted by whole batches.
    public var unansweredBytes: Int { retainedBytes + encoder.byteCount }

    /// Whether publishers have to wait: their sockets should not be read. Settling goes on.
    public var isBlocked: Bool {
        unansweredCommands >= QueueClient.commandLimit || unansweredBytes >= QueueClient.byteLimit
    }

    /// Whether blocked publishers may go on: half of what blocks is left.
    public var isRelieved: Bool {
        unansweredCommands <= QueueClient.commandLimit / 2 && unansweredBytes <= QueueClient.byteLimit / 2
    }

    /// Commands of a session without an answer; 0 for a session that is gone.
    public func unanswered(_ session: SessionID) -> UInt64 {
        guard let place = place(of: session) else { return 0 }
        return sessions[place].lastSequence - sessions[place].answered
    }

    /// Whether the session is open or closing.
    public func isKnown(_ session: SessionID) -> Bool { place(of: session) != nil }

    /// Sessions open or closing.
    public var sessionCount: Int { sessions.count }

    /// Whether nothing is open or unanswered. Only such a client may be dropped (or one whose queue is gone).
    public var isIdle: Bool { sessions.isEmpty && retained.isEmpty && encoder.isEmpty && statuses.isEmpty }

    /// Whether `flush` has something to send right now.
    public var needsFlush: Bool {
        guard leader != nil, !isGone else { return false }
        if statuses.contains(where: { !$0.isSent }) { return true }
        switch phase {
        case .detached: return hasReasonToResume
        case .resuming:
            return eagerBytes < QueueClient.eagerLimit && !holdsLargeBatch && (hasPending || nextToSend < nextBatchID)
        case .attached: return hasPending || nextToSend < nextBatchID || !repairs.isEmpty
        }
    }

    /// Whether all that is left to send are settlements so few that they may wait for other commands, up to
    /// `settlementDelay`. Fewer than a sixteenth of the prefetch: the consumer has others to work on meanwhile.
    public var defersSettlements: Bool {
        phase == .attached && !settlingSessions.isEmpty && !areSettlementsDue && encoder.isEmpty
            && nextToSend == nextBatchID && repairs.isEmpty
    }

    /// Whether there is anything that a leader has to know of the client.
    var hasReasonToResume: Bool { !sessions.isEmpty || !retained.isEmpty || !encoder.isEmpty }

    /// Whether there are commands that are not in a batch.
    var hasPending: Bool { !encoder.isEmpty || !settlingSessions.isEmpty }

    /// The session's place, without the cache.
    func place(of id: SessionID) -> Int? {
        guard id.gateway == gateway && id.incarnation == incarnation else { return nil }
        return place(of: id.number)
    }

    func place(of number: UInt64) -> Int? {
        var low = 0
        var high = sessions.count
        while low < high {
            let middle = (low + high) / 2
            if sessions[middle].number < number { low = middle + 1 } else { high = middle }
        }
        return low < sessions.count && sessions[low].number == number ? low : nil
    }

    /// The session's place; free for the session that was asked for last.
    mutating func find(_ number: UInt64) -> Int? {
        if lastFound < sessions.count && sessions[lastFound].number == number { return lastFound }
        guard let place = place(of: number) else { return nil }
        lastFound = place
        return place
    }

    func id(_ number: UInt64) -> SessionID { SessionID(gateway: gateway, incarnation: incarnation, number: number) }
}
