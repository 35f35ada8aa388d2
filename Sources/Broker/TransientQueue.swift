package import Primitives

/// A consumer of a transient queue: the channel that it lives on and its number there. Number 0 stands for `basic.get`.
package struct TransientConsumerID: Hashable, Comparable, Sendable {
    /// The node of the consumer's connection.
    package var node: NodeID
    /// The channel's serial number on that node, never reused while it runs.
    package var channel: UInt64
    package var number: UInt32

    package init(node: NodeID, channel: UInt64, number: UInt32) {
        self.node = node
        self.channel = channel
        self.number = number
    }

    package static func < (a: TransientConsumerID, b: TransientConsumerID) -> Bool {
        (a.node, a.channel, a.number) < (b.node, b.channel, b.number)
    }
}

/// One message on its way to a consumer of a transient queue.
package struct TransientDelivery: Sendable {
    package var consumer: TransientConsumerID
    /// Consecutive per consumer, from 1.
    package var number: UInt64
    package var deliveryCount: UInt32
    package var redelivered: Bool
    package var body: Bytes
}

/// An exclusive or auto-delete queue: in memory, on one node, not replicated, gone with its connection, its last
/// consumer or its node.
///
/// Messages keep their place: what a consumer returns goes out again before everything younger.
package struct TransientQueue: Sendable {
    private struct Message: Sendable {
        var position: UInt64
        var body: Bytes
        var deliveryCount: UInt32 = 0
        var redelivered = false
    }

    private struct Consumer: Sendable {
        var id: TransientConsumerID
        /// Most deliveries outstanding; never 0.
        var window: UInt32
        var exclusive: Bool
        /// False for `basic.get` and for a cancelled consumer that still holds deliveries.
        var isActive: Bool
        /// Number of the first of `outstanding`.
        var base: UInt64 = 1
        /// By delivery number; nil once settled or returned.
        var outstanding = Ring<Message?>()
        var unacknowledged = 0

        var hasCredit: Bool { isActive && unacknowledged < Int(window) }
    }

    private var ready = Ring<Message>()
    /// Returned messages, youngest first; all are older than `ready`.
    private var returned: [Message] = []
    private var nextPosition: UInt64 = 1
    /// Ordered by attachment; served in turn from `turn` on.
    private var consumers: [Consumer] = []
    private var turn = 0
    /// Bytes of ready messages.
    package private(set) var readyBytes = 0
    /// Messages delivered and neither settled nor returned.
    package private(set) var messagesUnacknowledged = 0
    /// Messages dropped from the head because the queue was full.
    package private(set) var dropped: UInt64 = 0
    /// Most bytes of ready messages; the oldest go when a publish exceeds it.
    private let byteLimit: Int

    package init(byteLimit: Int) { self.byteLimit = byteLimit }

    package var messagesReady: Int { ready.count + returned.count }
    package var consumerCount: Int { consumers.reduce(0) { $0 + ($1.isActive ? 1 : 0) } }
    package var hasExclusiveConsumer: Bool { consumers.contains { $0.exclusive && $0.isActive } }
    /// The attached consumers in order of attachment.
    package var consumerIDs: [TransientConsumerID] { consumers.filter(\.isActive).map(\.id) }

    package mutating func publish(_ body: Bytes, into deliveries: inout [TransientDelivery]) {
        ready.append(Message(position: nextPosition, body: body))
        nextPosition += 1
        readyBytes += body.count
        dispatch(into: &deliveries)
        while readyBytes > byteLimit, messagesReady > 1, popReady() != nil { dropped += 1 }
    }

    /// - Parameter window: most deliveries outstanding; 0 counts as the largest.
    /// - Returns: false when an exclusive consumer is in the way, or this one is to be exclusive and others are there.
    package mutating func attach(
        _ id: TransientConsumerID, window: UInt32, exclusive: Bool, into deliveries: inout [TransientDelivery]
    ) -> Bool {
        precondition(id.number != 0)
        if hasExclusiveConsumer || (exclusive && consumerCount > 0) { return false }
        guard index(of: id) == nil else { return true }
        consumers.append(
            Consumer(id: id, window: window == 0 ? .max : window, exclusive: exclusive, isActive: true))
        dispatch(into: &deliveries)
        return true
    }

    package mutating func setWindow(
        _ id: TransientConsumerID, _ window: UInt32, into deliveries: inout [TransientDelivery]
    ) {
        guard let index = index(of: id) else { return }
        consumers[index].window = window == 0 ? .max : window
        dispatch(into: &deliveries)
    }

    /// Stops deliveries to a consumer. What it holds stays its own until settled or returned.
    package mutating func detach(_ id: TransientConsumerID) {
        guard let index = index(of: id) else { return }
        consumers[index].isActive = false
        removeIfSpent(at: index)
    }

    /// One message for `basic.get`, outstanding under `id` (whose number is 0) until settled; nil when none is ready.
    package mutating func get(_ id: TransientConsumerID) -> TransientDelivery? {
        precondition(id.number == 0)
        guard let message = popReady() else { return nil }
        let place: Int
        if let known = index(of: id) {
            place = known
        } else {
            consumers.append(Consumer(id: id, window: .max, exclusive: false, isActive: false))
            place = consumers.count - 1
        }
        return assign(message, to: place)
    }

    /// Forgets deliveries for good. Numbers that are not outstanding are ignored.
    package mutating func settle(
        _ id: TransientConsumerID, _ numbers: ClosedRange<UInt64>, into deliveries: inout [TransientDelivery]
    ) {
        guard let index = index(of: id) else { return }
        _ = takeOutstanding(at: index, numbers)
        removeIfSpent(at: index)
        dispatch(into: &deliveries)
    }

    /// Puts deliveries back to their places. `counted` raises their delivery count.
    package mutating func giveBack(
        _ id: TransientConsumerID, _ numbers: ClosedRange<UInt64>, counted: Bool,
        into deliveries: inout [TransientDelivery]
    ) {
        guard let index = index(of: id) else { return }
        requeue(takeOutstanding(at: index, numbers), counted: counted)
        removeIfSpent(at: index)
        dispatch(into: &deliveries)
    }

    /// Detaches all consumers of a channel and takes back what they hold, as a failure of theirs.
    package mutating func channelGone(node: NodeID, channel: UInt64, into deliveries: inout [TransientDelivery]) {
        drop(into: &deliveries) { $0.node == node && $0.channel == channel }
    }

    /// The same for all channels of a node.
    package mutating func nodeGone(_ node: NodeID, into deliveries: inout [TransientDelivery]) {
        drop(into: &deliveries) { $0.node == node }
    }

    /// Drops the ready messages.
    /// - Returns: how many there were.
    package mutating func purge() -> Int {
        let count = messagesReady
        ready.removeAll()
        returned.removeAll()
        readyBytes = 0
        return count
    }

    // MARK: Inside

    private func index(of id: TransientConsumerID) -> Int? { consumers.firstIndex { $0.id == id } }

    private mutating func removeIfSpent(at index: Int) {
        guard !consumers[index].isActive && consumers[index].unacknowledged == 0 && consumers[index].id.number != 0
        else { return }
        consumers.remove(at: index)
        if turn > index { turn -= 1 }
    }

    private mutating func drop(
        into deliveries: inout [TransientDelivery], where isGone: (TransientConsumerID) -> Bool
    ) {
        var index = 0
        while index < consumers.count {
            guard isGone(consumers[index].id) else {
                index += 1
                continue
            }
            requeue(takeOutstanding(at: index, 0...UInt64.max), counted: true)
            consumers.remove(at: index)
            if turn > index { turn -= 1 }
        }
        dispatch(into: &deliveries)
    }

    private mutating func takeOutstanding(at index: Int, _ numbers: ClosedRange<UInt64>) -> [Message] {
        var taken: [Message] = []
        let base = consumers[index].base
        let held = UInt64(consumers[index].outstanding.count)
        guard held > 0, numbers.upperBound >= base, numbers.lowerBound < base + held else { return [] }
        for number in max(numbers.lowerBound, base)...min(numbers.upperBound, base + held - 1) {
            guard let message = consumers[index].outstanding[Int(number - base)] else { continue }
            taken.append(message)
            consumers[index].outstanding[Int(number - base)] = nil
        }
        consumers[index].unacknowledged -= taken.count
        messagesUnacknowledged -= taken.count
        while let first = consumers[index].outstanding.first, first == nil {
            consumers[index].outstanding.popFirst()
            consumers[index].base += 1
        }
        return taken
    }

    private mutating func requeue(_ messages: [Message], counted: Bool) {
        for var message in messages {
            message.redelivered = true
            if counted { message.deliveryCount += 1 }
            readyBytes += message.body.count
            var low = 0
            var high = returned.count
            while low < high {
                let middle = (low + high) / 2
                if returned[middle].position > message.position { low = middle + 1 } else { high = middle }
            }
            returned.insert(message, at: low)
        }
    }

    private mutating func popReady() -> Message? {
        guard let message = returned.popLast() ?? ready.popFirst() else { return nil }
        readyBytes -= message.body.count
        return message
    }

    private mutating func assign(_ message: Message, to index: Int) -> TransientDelivery {
        let number = consumers[index].base + UInt64(consumers[index].outstanding.count)
        consumers[index].outstanding.append(message)
        consumers[index].unacknowledged += 1
        messagesUnacknowledged += 1
        return TransientDelivery(
            consumer: consumers[index].id, number: number, deliveryCount: message.deliveryCount,
            redelivered: message.redelivered, body: message.body)
    }

    private mutating func dispatch(into deliveries: inout [TransientDelivery]) {
        while messagesReady > 0 {
            var chosen: Int?
            for step in 0..<consumers.count {
                let candidate = (turn + step) % consumers.count
                if consumers[candidate].hasCredit {
                    chosen = candidate
                    break
                }
            }
            guard let chosen, let message = popReady() else { return }
            turn = (chosen + 1) % consumers.count
            deliveries.append(assign(message, to: chosen))
        }
    }
}
