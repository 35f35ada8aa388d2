import Primitives

/// The messages that wait for a consumer, oldest first.
struct ReadySet: Sendable {
    /// Everything here precedes everything in `fresh`.
    private(set) var returned = ReturnedRuns()
    private(set) var fresh = FreshRuns()

    /// Messages.
    var count: Int { returned.count + fresh.count }
    var isEmpty: Bool { count == 0 }

    /// Adds new messages of one entry, behind all that were ever added.
    mutating func append(_ first: Position, count: Int) { fresh.append(first, count: count) }

    /// Puts delivered messages back at their places. Leaves `runs` empty.
    mutating func insert(_ runs: inout [ReturnedRun]) { returned.insert(&runs) }

    /// Takes up to `limit` (at least 1) messages of one entry and one history from the front; numbers are the caller's.
    mutating func popFirst(limit: Int) -> UnsettledRun? {
        if let run = returned.popFirst(limit: limit) {
            return UnsettledRun(
                number: 0, first: run.first, deliveryCount: run.deliveryCount, count: run.count, redelivered: true)
        }
        guard let (first, count) = fresh.popFirst(limit: limit) else { return nil }
        return UnsettledRun(number: 0, first: first, deliveryCount: 0, count: UInt16(count), redelivered: false)
    }

    /// Puts back the returned messages of a snapshot, in order.
    mutating func restore(returned runs: [ReturnedRun]) { returned.restore(ascending: runs) }

    /// Puts back a stretch of a snapshot's messages that were never delivered, behind those before it.
    mutating func restore(fresh first: Position, entries: UInt32, count: Int) {
        fresh.append(first, entries: entries, count: count)
    }

    /// Drops everything.
    mutating func removeAll() {
        returned.removeAll()
        fresh.removeAll()
    }
}
