public import Primitives
import QuorumQueue

extension QueueClient {
    /// The group has another leader, or none that is known. News of older terms is ignored, repeated news harmless.
    public mutating func leaderChanged(to node: NodeID?, term: Term) {
        guard term >= self.term, !isGone else { return }
        if term == self.term && node == leader { return }
        // The node's own view may lag behind what a leader told us: knowing one beats knowing none.
        if term == self.term && node == nil && phase == .attached { return }
        if term > self.term { hintFollowed = false }
        self.term = term
        follow(node)
    }

    /// The link to a node was lost, with what was on its way; to be called before anything of the next link arrives.
    public mutating func linkReset(_ node: NodeID) {
        if node == leader { startOver() }
    }

    /// The leader cannot be reached, and this node has no replica that would learn of the next one: another member is
    /// asked, which takes what is sent or knows better.
    public mutating func turn(to member: NodeID) {
        guard member != leader, !isGone else { return }
        hintFollowed = false
        follow(member)
    }

    /// Whether somebody else has to be asked who leads: the leader that is known is not heard any more, or something
    /// waits for an answer and nobody is known.
    public func mustAskAnother(isUp: (NodeID) -> Bool) -> Bool {
        guard let leader else { return disowner == nil && needsTick }
        return !isUp(leader)
    }

    /// A node can be reached again.
    public mutating func nodeUp(_ node: NodeID) {
        if node == leader { startOver() }
    }

    /// The end of a loop tick: appends what can be sent now. Batches that cannot be sent yet keep growing instead.
    /// - Parameters:
    ///   - room: bytes of batches that the way to the leader takes, the last one in full. A resume and requests for
    ///     counts go in any case; `needsFlush` says whether something was left.
    ///   - isPatient: what may wait for other commands does; the caller flushes within `settlementDelay` without.
    public mutating func flush(
        room: Int = .max, isPatient: Bool = false, into out: inout [(NodeID, ClientMessage)]
    ) {
        guard let leader, !isGone, !(isPatient && statuses.isEmpty && defersSettlements) else { return }
        for place in statuses.indices where !statuses[place].isSent {
            statuses[place].isSent = true
            out.append((leader, .status(gateway: gateway, requestID: statuses[place].requestID)))
        }
        switch phase {
        case .detached:
            guard hasReasonToResume else { return }
            resume(leader, into: &out)
            send(to: leader, room: min(room, QueueClient.eagerLimit), into: &out)
        case .resuming:
            send(to: leader, room: min(room, QueueClient.eagerLimit - eagerBytes), into: &out)
        case .attached:
            for batch in repairs { send(batch, id: 0, to: leader, into: &out) }
            repairs.removeAll()
            send(to: leader, room: room, into: &out)
        }
    }

    /// Lets time pass: resumes, with the next flush, when something unanswered made no progress for `answerTimeout`.
    /// Call it every 100 ms or so while `needsTick`, and `flush` afterwards.
    public mutating func tick(now: Instant) {
        guard needsTick else {
            watch = nil
            return
        }
        guard let watch, watch.progress == progress else {
            self.watch = Watch(since: now, progress: progress)
            return
        }
        guard now - watch.since >= patience else { return }
        self.watch = Watch(since: now, progress: progress)
        if leader != nil {
            for place in statuses.indices { statuses[place].isSent = false }
            startOver()
        } else if let disowner {
            hintFollowed = false
            follow(disowner)
        }
    }

    /// How long to wait for progress.
    private var patience: Interval {
        leader == nil && disowner != nil ? QueueClient.leaderRetry : QueueClient.answerTimeout
    }

    /// Whether something is outstanding, so that time matters; an idle client needs no ticks.
    public var needsTick: Bool {
        !isGone
            && (!retained.isEmpty || !encoder.isEmpty || !statuses.isEmpty || phase == .resuming
                || (leader == nil && disowner != nil && !sessions.isEmpty))
    }

    /// When `tick` may have something to do; nil when nothing is outstanding. A deadline of `Instant.zero` asks for a
    /// tick soon, to start the watch.
    public var nextDeadline: Instant? {
        guard needsTick else { return nil }
        guard let watch, watch.progress == progress else { return .zero }
        return watch.since + patience
    }
}

extension QueueClient {
    /// Turns to a leader, or to none.
    mutating func follow(_ node: NodeID?) {
        leader = node
        disowner = nil
        for place in statuses.indices { statuses[place].isSent = false }
        startOver()
    }

    /// Makes the next flush resume. From here on nothing of the old epoch is listened to.
    mutating func startOver() {
        phase = .detached
        epoch += 1
        repairs.removeAll()
    }

    private mutating func resume(_ leader: NodeID, into out: inout [(NodeID, ClientMessage)]) {
        phase = .resuming
        nextNumber = 1
        expectedNumber = 1
        eagerBytes = 0
        acceptedThrough = 0
        nextToSend = retained.first?.id ?? nextBatchID
        let request = ResumeRequest(
            gateway: gateway, incarnation: incarnation, epoch: epoch, sessions: sessions.map(\.resumed))
        out.append((leader, .resume(request)))
    }

    /// Sends batches in order until they have taken `room` bytes.
    private mutating func send(to leader: NodeID, room: Int, into out: inout [(NodeID, ClientMessage)]) {
        var room = room
        sendRetained(to: leader, room: &room, into: &out)
        guard room > 0, nextToSend == nextBatchID, hasPending else { return }
        let pending = settlingSessions
        for number in pending { if let place = find(number) { settleNow(place) } }
        seal()
        sendRetained(to: leader, room: &room, into: &out)
    }

    private mutating func sendRetained(
        to leader: NodeID, room: inout Int, into out: inout [(NodeID, ClientMessage)]
    ) {
        while room > 0, let first = retained.first, nextToSend < nextBatchID {
            if holdsLargeBatch { break }
            let next = retained[Int(nextToSend - first.id)]
            nextToSend += 1
            if next.id <= acceptedThrough || next.spans.allSatisfy({ isKnownApplied($0) }) { continue }
            room -= next.batch.byteCount
            if phase == .resuming { eagerBytes += next.batch.byteCount }
            send(next.batch, id: next.id, to: leader, into: &out)
        }
        release()
    }

    /// Whether a large batch comes next before the resume was answered: the leader may have it in its log already.
    var holdsLargeBatch: Bool {
        guard phase == .resuming, nextToSend < nextBatchID, let first = retained.first else { return false }
        return retained[Int(nextToSend - first.id)].batch.byteCount > EntryHeader.sizeLimit
    }

    private mutating func send(
        _ batch: CommandBatch, id: UInt64, to leader: NodeID, into out: inout [(NodeID, ClientMessage)]
    ) {
        let message = CommandMessage(
            gateway: gateway, epoch: epoch, number: nextNumber, batchID: id, batch: batch)
        nextNumber += 1
        out.append((leader, .commands(message)))
    }

    /// Whether sending the stretch would change nothing.
    private func isKnownApplied(_ span: BatchSpan) -> Bool {
        guard let place = place(of: span.session) else { return true }
        return sessions[place].knownApplied >= span.lastSequence
    }

    /// Drops batches that are answered, from the front.
    mutating func release() {
        while var first = retained.first, first.id < nextToSend {
            while first.answeredSpans < first.spans.count {
                let span = first.spans[first.answeredSpans]
                if let place = place(of: span.session), sessions[place].answered < span.lastSequence { break }
                first.answeredSpans += 1
            }
            guard first.answeredSpans == first.spans.count else {
                retained[0] = first
                return
            }
            retained.popFirst()
            retainedCommands -= first.batch.commandCount
            retainedBytes -= first.batch.byteCount
        }
    }
}
