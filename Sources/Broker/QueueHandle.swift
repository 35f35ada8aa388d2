import Primitives
import QueueClient
import QuorumQueue

/// One quorum queue as this event loop uses it: the queue client and the sessions of the channels here.
final class QueueHandle {
    let group: GroupID
    let broker: BrokerLoop
    var client: QueueClient
    /// By session number, without those that are closing.
    private var sessions: [UInt64: QueueSession] = [:]
    /// Listed in `BrokerLoop.dirtyQueues`.
    var isDirty = false
    /// Listed in `BrokerLoop.heldUp`.
    var isHeldUp = false
    /// Listed in `BrokerLoop.deferring`, since the client's settlements of this round wait for other commands.
    var deferredRound: UInt64?
    /// They have waited long enough.
    var areSettlementsDue = false
    /// The client's unanswered bytes as the broker's sum has them.
    private var noted = 0
    /// Channels whose connections are not read until the client is relieved.
    var waiters: [ClientChannel] = []
    /// Who waits for the queue's counts, by request.
    private var countRequests: [UInt64: CountRequest] = [:]
    /// Who waits for a purge in a session of its own, by the session's number.
    private var purges: [UInt64: (UInt64?) -> Void] = [:]

    private struct CountRequest {
        var deadline: Instant
        var answer: (QueueCounts?) -> Void
    }

    init(group: GroupID, broker: BrokerLoop, generation: UInt32) {
        self.group = group
        self.broker = broker
        client = QueueClient(
            group: group, gateway: broker.gateway, incarnation: broker.node.incarnation, generation: generation)
    }

    // MARK: Sessions

    func open(for channel: ClientChannel, number: UInt64) -> QueueSession {
        let session = QueueSession(handle: self, channel: channel, id: client.openSession(number: number))
        sessions[number] = session
        markDirty()
        return session
    }

    func close(_ session: QueueSession) {
        guard sessions.removeValue(forKey: session.id.number) != nil else { return }
        client.closeSession(session.id)
        markDirty()
    }

    /// Makes sure that the next flush looks at this queue.
    @inline(__always)
    func markDirty() {
        if !isDirty { broker.enlist(self) }
    }

    /// Brings the broker's sum of unanswered bytes up to date.
    func noteUnanswered() {
        let bytes = client.unansweredBytes
        guard bytes != noted else { return }
        broker.largeBodies.unanswered += bytes - noted
        noted = bytes
    }

    func forgetWaiter(_ channel: ClientChannel) { waiters.removeAll { $0 === channel } }

    private func relieve() {
        guard !waiters.isEmpty, client.isRelieved || client.isGone else { return }
        let relieved = waiters
        waiters.removeAll()
        for channel in relieved { channel.unblock(from: self) }
    }

    // MARK: Purging

    /// Drops the ready messages for somebody who has no channel; `answer` gets their number, nil when the queue is
    /// gone.
    func purge(_ answer: @escaping (UInt64?) -> Void) {
        let session = client.openSession(number: broker.nextSerial())
        guard client.purge(session) != 0 else { return answer(nil) }
        purges[session.number] = answer
        markDirty()
    }

    /// - Returns: whether the session was a purge's.
    private func purged(_ id: SessionID, _ outcome: Outcome) -> Bool {
        guard let answer = purges.removeValue(forKey: id.number) else { return false }
        client.closeSession(id)
        markDirty()
        if case .purged(let count) = outcome { answer(count) } else { answer(nil) }
        return true
    }

    // MARK: Counts

    /// Asks the leader; `answer` gets nil when the queue is gone or does not answer in time.
    func requestCounts(deadline: Instant, _ answer: @escaping (QueueCounts?) -> Void) {
        guard !client.isGone else { return answer(nil) }
        let request = broker.nextSerial()
        countRequests[request] = CountRequest(deadline: deadline, answer: answer)
        client.status(requestID: request)
        markDirty()
    }

    var hasCountRequests: Bool { !countRequests.isEmpty }

    /// Gives up on counts that did not come in time.
    func expireCounts(now: Instant) {
        for (request, waiting) in countRequests.sorted(by: { $0.key < $1.key }) where waiting.deadline <= now {
            countRequests[request] = nil
            client.cancelStatus(requestID: request)
            waiting.answer(nil)
        }
    }

    // MARK: Events

    func handle(_ event: QueueClientEvent) {
        switch event {
        case .applied(let id, let through): sessions[id.number]?.applied(through: through)
        case .outcome(let id, let sequence, let outcome):
            if !purges.isEmpty && purged(id, outcome) { return }
            sessions[id.number]?.outcome(outcome, of: sequence)
        case .delivered(let id, let consumer, let firstNumber, let deliveryCount, let redelivered, let bodies):
            sessions[id.number]?.delivered(
                consumer: consumer, firstNumber: firstNumber, deliveryCount: deliveryCount,
                redelivered: redelivered, bodies: bodies)
        case .sessionLost(let id, let loss):
            purges.removeValue(forKey: id.number)?(nil)
            guard let session = sessions.removeValue(forKey: id.number) else { return }
            session.lost(loss)
        case .status(let request, let ready, let unacknowledged, let consumers):
            countRequests.removeValue(forKey: request)?.answer(
                QueueCounts(ready: ready, unacknowledged: unacknowledged, consumers: consumers))
        case .queueGone: gone()
        }
    }

    /// All events of a message were handled.
    func settle() { relieve() }

    private func gone() {
        let ended = sessions.values.sorted { $0.id < $1.id }
        sessions.removeAll()
        for session in ended { session.queueGone() }
        let purging = purges.sorted { $0.key < $1.key }
        purges.removeAll()
        for (_, answer) in purging { answer(nil) }
        let asked = countRequests.sorted { $0.key < $1.key }
        countRequests.removeAll()
        for (_, waiting) in asked { waiting.answer(nil) }
        broker.forget(self)
    }
}

/// What a queue holds.
package struct QueueCounts: Hashable, Sendable {
    package var ready: UInt64
    package var unacknowledged: UInt64
    package var consumers: UInt64

    package init(ready: UInt64, unacknowledged: UInt64, consumers: UInt64) {
        self.ready = ready
        self.unacknowledged = unacknowledged
        self.consumers = consumers
    }
}
