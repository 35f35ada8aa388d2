import Primitives
import QueueClient
import QuorumQueue

/// One queue's client in one process, and its sessions.
final class QueueUse {
    let group: GroupID
    var client: QueueClient
    var sessions: [ClientSession] = []
    /// Requests for counts, and how far the queue was applied when they were made.
    var statuses: [UInt64: Int] = [:]
    var isDirty = true
    /// Its commands wait until the link to the leader has drained.
    var isHeldUp = false
    /// Its settlements wait for other commands, or have waited long enough.
    var isDeferring = false
    var areSettlementsDue = false

    var isSettled: Bool { statuses.isEmpty && sessions.allSatisfy { $0.outstanding.isEmpty } }

    init(_ group: GroupID, _ client: consuming QueueClient) {
        self.group = group
        self.client = client
    }

    func session(_ id: SessionID) -> ClientSession? { sessions.first { $0.id == id } }
}

/// A client's channel.
final class ClientSession {
    unowned let use: QueueUse
    let id: SessionID
    let publisher: UInt64
    var isOpen = true
    /// Publishes without an answer, in order.
    var outstanding: [(sequence: UInt64, message: UInt64)] = []
    var consumers: [ClientConsumer] = []
    var nextConsumer: UInt32 = 1

    init(_ use: QueueUse, id: SessionID, publisher: UInt64) {
        self.use = use
        self.id = id
        self.publisher = publisher
    }

    func consumer(_ number: UInt32) -> ClientConsumer {
        if let known = consumers.first(where: { $0.number == number }) { return known }
        let consumer = ClientConsumer(number)
        consumers.append(consumer)
        return consumer
    }
}

/// A client's consumer; number 0 is `basic.get`.
final class ClientConsumer {
    let number: UInt32
    /// The highest that was asked for.
    var prefetch: UInt32 = 0
    var isAutoAck = false
    var isDetached = false
    /// Deliveries that were not answered yet.
    var unanswered: Set<UInt64> = []
    /// Per publisher the number of the newest message that came for the first time.
    var newest: [UInt64: UInt64] = [:]

    init(_ number: UInt32) { self.number = number }
}
