import Primitives
import QuorumQueue

/// The leader's side of one gateway: its stream of batches in and of events out.
struct Attachment: Sendable {
    enum Phase: Hashable, Sendable {
        /// Resumed; the answer waits for the machine to have caught up.
        case waiting
        /// Resumed and answered: effects are streamed.
        case streaming
        /// Not heard of since its link was reset or a message of it was lost. It has to resume.
        case gone
    }

    let id: GatewayID
    let incarnation: Incarnation
    let epoch: UInt64
    var phase = Phase.waiting
    /// The number of the next command message of the epoch.
    var expectedNumber: UInt64 = 1
    /// The newest batch of the gateway that is in this leader's log of this term; 0 for none.
    var acceptedThrough: UInt64 = 0
    /// The number of the next stretch of events of the epoch.
    var nextNumber: UInt64 = 1
    /// What the resume said; empty once answered.
    var sessions: [ResumedSession]

    /// The answer to the resume, to be sent before any event.
    var reply: ResumeReply?
    /// Outcomes, refusals and the like, of this tick.
    var events: [LeaderEvent] = []
    /// Deliveries of this tick.
    var deliveries: [Delivery] = []
    /// Progress that waits for its session's deliveries.
    var applied: [(session: UInt64, through: UInt64)] = []
    /// Deliveries of earlier ticks whose bodies were not there, or whose link was full, in order. Bounded by the
    /// prefetch of the gateway's consumers.
    var waiting = Ring<Delivery>()
    /// The last flush left deliveries for the next one, which need not wait for anything.
    var isPostponed = false
    /// How many deliveries of a session stand in `waiting`. Looked up only, never iterated.
    var waitingSessions: [UInt64: Int] = [:]

    init(_ request: ResumeRequest) {
        id = request.gateway
        incarnation = request.incarnation
        epoch = request.epoch
        sessions = request.sessions
    }

    var hasNews: Bool {
        reply != nil || !events.isEmpty || !deliveries.isEmpty || !applied.isEmpty || !waiting.isEmpty
    }

    func sessionID(_ number: UInt64) -> SessionID {
        SessionID(gateway: id, incarnation: incarnation, number: number)
    }

    /// Stops listening and sending, and keeps what is known of the log.
    mutating func leave() {
        phase = .gone
        sessions = []
        reply = nil
        events = []
        deliveries = []
        applied = []
        waiting.removeAll()
        isPostponed = false
        waitingSessions = [:]
    }

    /// Answers the resume from the machine's state: per session what is applied, the outcomes that the gateway may not
    /// have, and the deliveries that it has not received.
    mutating func answer(_ term: Term, _ machine: borrowing QueueMachine) {
        guard phase == .waiting else { return }
        phase = .streaming
        var progress: [SessionProgress] = []
        progress.reserveCapacity(sessions.count)
        for session in sessions {
            let id = sessionID(session.number)
            let last = machine.lastApplied(id)
            progress.append(SessionProgress(number: session.number, lastApplied: last))
            guard let last else { continue }
            for (sequence, outcome) in machine.outcomes(of: id, after: session.answered) {
                events.append(.outcome(session: session.number, sequence: sequence, outcome))
            }
            for consumer in session.consumers {
                deliveries += machine.deliveries(
                    to: ConsumerID(session: id, number: consumer.number), after: consumer.received)
            }
            if last > session.answered { applied.append((session.number, last)) }
        }
        reply = ResumeReply(
            epoch: epoch, term: term, acceptedThrough: acceptedThrough, sessions: progress,
            unlisted: unlisted(machine))
        sessions = []
    }

    private func unlisted(_ machine: borrowing QueueMachine) -> [SessionProgress] {
        var unlisted: [SessionProgress] = []
        var place = 0
        for id in machine.sessions(of: id.node) where id.gateway == self.id && id.incarnation == incarnation {
            while place < sessions.count && sessions[place].number < id.number { place += 1 }
            if place < sessions.count && sessions[place].number == id.number { continue }
            unlisted.append(SessionProgress(number: id.number, lastApplied: machine.lastApplied(id)))
        }
        return unlisted
    }
}
