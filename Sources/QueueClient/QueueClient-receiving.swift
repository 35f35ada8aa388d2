public import Primitives
import QuorumQueue

extension QueueClient {
    /// Takes a message of a leader. Messages of another node than the leader, of another epoch than the current one, or
    /// out of the stream's order are dropped; a hole in the stream makes the client resume.
    public mutating func receive(_ message: LeaderMessage, from node: NodeID, into events: inout [QueueClientEvent]) {
        guard !isGone else { return }
        switch message {
        case .notLeader(let epoch, let term, let hint):
            // A disowned status request carries no epoch; an attached client knows better.
            guard node == leader, epoch == self.epoch || (epoch == 0 && phase != .attached && term >= self.term) else {
                return
            }
            disowned(by: node, term: term, hint: hint)
        case .resumeNeeded(let epoch):
            guard node == leader, epoch == self.epoch, phase != .detached else { return }
            startOver()
        case .resumed(let reply):
            guard node == leader, reply.epoch == epoch, phase == .resuming else { return }
            resumed(reply)
        case .events(let stretch):
            guard node == leader, stretch.epoch == epoch, phase == .attached, stretch.number >= expectedNumber,
                stretch.gateway == gateway, stretch.incarnation == incarnation
            else { return }
            guard stretch.number == expectedNumber else { return startOver() }
            expectedNumber += 1
            progress &+= 1
            for event in stretch.events where phase == .attached { handle(event, into: &events) }
            release()
        case .status(let requestID, let ready, let unacknowledged, let consumers):
            guard node == leader, let place = statuses.firstIndex(where: { $0.requestID == requestID }) else { return }
            statuses.remove(at: place)
            progress &+= 1
            events.append(
                .status(requestID: requestID, ready: ready, unacknowledged: unacknowledged, consumers: consumers))
        case .groupGone:
            vanish()
            events.append(.queueGone)
        }
    }

    private mutating func disowned(by node: NodeID, term: Term, hint: NodeID?) {
        if term > self.term { hintFollowed = false }
        if let hint, hint != node, term >= self.term, !hintFollowed {
            hintFollowed = true
            self.term = term
            follow(hint)
        } else {
            self.term = max(self.term, term)
            follow(nil)
            disowner = node
        }
    }

    private mutating func resumed(_ reply: ResumeReply) {
        phase = .attached
        progress &+= 1
        if reply.term > term {
            term = reply.term
            hintFollowed = false
        }
        acceptedThrough = reply.acceptedThrough
        for session in reply.sessions {
            guard let place = find(session.number) else { continue }
            if let applied = session.lastApplied {
                sessions[place].knownApplied = min(
                    max(sessions[place].knownApplied, applied), sessions[place].lastSequence)
            } else if sessions[place].knownApplied >= 1 {
                reopen(place)
            }
        }
        for session in reply.unlisted { forget(session) }
    }

    /// The leader does not know a session whose open was applied: it may lag, or the session may be gone. A repeated
    /// open is refused in the latter case, by the log, and changes nothing in the former.
    private mutating func reopen(_ place: Int) {
        var encoder = CommandEncoder()
        encoder.session(id(sessions[place].number), firstSequence: 1, lowWater: sessions[place].answered)
        encoder.open()
        repairs.append(encoder.take())
    }

    /// The machine has a session that nobody here remembers: it is closed, as if by itself.
    private mutating func forget(_ session: SessionProgress) {
        guard let applied = session.lastApplied, applied >= 1, applied < CommandLimits.number,
            place(of: session.number) == nil
        else { return }
        var encoder = CommandEncoder()
        encoder.session(id(session.number), firstSequence: applied + 1, lowWater: applied)
        encoder.close()
        repairs.append(encoder.take())
    }

    private mutating func vanish() {
        isGone = true
        sessions.removeAll()
        retained.removeAll()
        encoder = CommandEncoder()
        encodingSpans.removeAll()
        encodingSession = 0
        settlingSessions.removeAll()
        repairs.removeAll()
        statuses.removeAll()
        retainedCommands = 0
        retainedBytes = 0
        watch = nil
    }
}

// MARK: Events

extension QueueClient {
    private mutating func handle(_ event: LeaderEvent, into events: inout [QueueClientEvent]) {
        switch event {
        case .applied(let number, let through):
            applied(number, through, into: &events)
        case .outcome(let number, let sequence, let outcome):
            self.outcome(number, sequence, outcome, into: &events)
        case .refused(let number, let reason):
            lost(number, .refused(reason), into: &events)
        case .sessionClosed(let number):
            lost(number, .expired, into: &events)
        case .outOfSequence(let number, let expected):
            // Something before it went missing. Answers cannot be behind what is expected, or the leader is confused.
            guard let place = find(number), expected > sessions[place].answered else { return }
            startOver()
        case .deliver(let number, let consumer, let first, let count, let redelivered, let bodies):
            deliver(number, consumer, first, count, redelivered, bodies, into: &events)
        }
    }

    private mutating func applied(_ number: UInt64, _ through: UInt64, into events: inout [QueueClientEvent]) {
        guard let place = find(number), through > sessions[place].answered, through <= sessions[place].lastSequence
        else { return }
        sessions[place].answered = through
        sessions[place].knownApplied = max(sessions[place].knownApplied, through)
        sessions[place].forgetDetached()
        events.append(.applied(id(number), through: through))
        if sessions[place].isClosing && through >= sessions[place].closeSequence { remove(place) }
    }

    private mutating func outcome(
        _ number: UInt64, _ sequence: UInt64, _ outcome: Outcome, into events: inout [QueueClientEvent]
    ) {
        guard let place = find(number), sequence <= sessions[place].lastSequence,
            sequence > max(sessions[place].answered, sessions[place].lastOutcome)
        else { return }
        sessions[place].lastOutcome = sequence
        if case .consumerRefused = outcome {
            sessions[place].consumers.removeAll { $0.number != 0 && $0.attachSequence == sequence }
        }
        guard !sessions[place].isClosing else { return }
        events.append(.outcome(id(number), sequence: sequence, outcome))
    }

    private mutating func lost(_ number: UInt64, _ reason: SessionLoss, into events: inout [QueueClientEvent]) {
        guard let place = find(number) else { return }
        let isClosing = sessions[place].isClosing
        remove(place)
        // A close whose answer was lost is refused when it comes again: the session is as gone as was asked for.
        guard isClosing else { return events.append(.sessionLost(id(number), reason)) }
    }

    private mutating func remove(_ place: Int) {
        let number = sessions[place].number
        if !sessions[place].settling.isEmpty { settlingSessions.removeAll { $0 == number } }
        sessions.remove(at: place)
    }

    private mutating func deliver(
        _ number: UInt64, _ consumer: UInt32, _ first: UInt64, _ count: UInt32, _ redelivered: Bool,
        _ bodies: MessageBodies, into events: inout [QueueClientEvent]
    ) {
        guard let place = find(number), let slot = sessions[place].consumer(consumer),
            first <= CommandLimits.number
        else { return }
        let received = sessions[place].consumers[slot].received
        let last = first + UInt64(bodies.count) - 1
        guard last > received else { return }
        guard first <= received + 1 else { return startOver() }
        // A delivery proves that the attach was applied. Outcomes go ahead of deliveries, so all before it is answered.
        applied(number, sessions[place].consumers[slot].attachSequence, into: &events)
        guard let slot = sessions[place].consumer(consumer) else { return }
        sessions[place].consumers[slot].received = last
        guard !sessions[place].isClosing else { return }
        let fresh = bodies.removingFirst(Int(received + 1 - first))
        events.append(
            .delivered(
                id(number), consumer: consumer, firstNumber: received + 1, deliveryCount: count,
                redelivered: redelivered, bodies: fresh))
    }
}
