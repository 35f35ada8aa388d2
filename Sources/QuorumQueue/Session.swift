import Primitives

/// What the machine keeps of a session.
struct Session: Sendable {
    /// A consumer of the session and its slot.
    struct Consumer: Sendable {
        var number: UInt32
        var slot: UInt32
    }

    /// The result of a command that may be asked for again.
    struct RecordedOutcome: Sendable {
        var sequence: UInt64
        var outcome: Outcome
    }

    let id: SessionID
    /// Every command up to it is applied, none beyond it. At least 1, the open.
    var lastApplied: UInt64
    /// The client has received every outcome up to it.
    var lowWater: UInt64 = 0
    /// Ascending by sequence, all above `lowWater`.
    var outcomes: [RecordedOutcome] = []
    /// Ascending by number; number 0 from the first successful get on.
    var consumers: [Consumer] = []
    /// Whether the gateway's node is not heard of.
    var isSuspended = false
    /// The entry that touched the session last, and the session's place among those that it touched.
    var touchedBy = LogIndex.zero
    var touchedPlace = 0

    init(id: SessionID, lastApplied: UInt64) {
        self.id = id
        self.lastApplied = lastApplied
    }

    /// The place of the consumer `number`, or where it belongs.
    private func place(of number: UInt32) -> Int {
        var low = 0
        var high = consumers.count
        while low < high {
            let middle = (low + high) / 2
            if consumers[middle].number < number { low = middle + 1 } else { high = middle }
        }
        return low
    }

    func slot(of number: UInt32) -> Int? {
        let place = place(of: number)
        guard place < consumers.count && consumers[place].number == number else { return nil }
        return Int(consumers[place].slot)
    }

    mutating func add(consumer number: UInt32, slot: Int) {
        consumers.insert(Consumer(number: number, slot: UInt32(slot)), at: place(of: number))
    }

    mutating func remove(consumer number: UInt32) {
        let place = place(of: number)
        if place < consumers.count && consumers[place].number == number { consumers.remove(at: place) }
    }

    /// Keeps an outcome, for at most `limit` commands.
    mutating func record(_ outcome: Outcome, sequence: UInt64, limit: Int) {
        if outcomes.count >= limit { outcomes.removeFirst(max(1, limit / 8)) }
        outcomes.append(RecordedOutcome(sequence: sequence, outcome: outcome))
    }

    /// Forgets the outcomes that the client has received.
    mutating func raiseLowWater(to newLowWater: UInt64) {
        let newLowWater = min(newLowWater, lastApplied)
        guard newLowWater > lowWater else { return }
        lowWater = newLowWater
        if outcomes.isEmpty { return }
        outcomes.removeFirst(firstOutcome(after: newLowWater))
        if outcomes.isEmpty { outcomes = [] }
    }

    /// The place of the first outcome above `sequence`.
    func firstOutcome(after sequence: UInt64) -> Int {
        var low = 0
        var high = outcomes.count
        while low < high {
            let middle = (low + high) / 2
            if outcomes[middle].sequence <= sequence { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
