/// What was delivered of one publisher's messages, on any number of subscriptions.
package struct DeliveryLog: Sendable {
    /// Numbers further ahead than this of the highest seen are not taken for a message's: memory follows the highest.
    static let maximumJump: UInt64 = 1 << 24
    /// How many late messages are remembered one by one; more are only counted.
    static let maximumLate = 1 << 16

    /// Messages delivered at least once.
    package private(set) var seen = BitSet()
    /// Messages delivered at least once without the redelivered flag.
    private var seenUnflagged = BitSet()
    /// Further deliveries without the flag, by message; few.
    package private(set) var repeatedUnflagged: [UInt64: UInt64] = [:]
    /// All deliveries.
    package private(set) var count: UInt64 = 0
    /// Those with the redelivered flag.
    package private(set) var flaggedCount: UInt64 = 0
    /// First deliveries, unflagged, behind a later message of the same publisher on the same subscription.
    package private(set) var late: [UInt64] = []
    /// Late ones beyond `maximumLate`.
    package private(set) var lateBeyond: UInt64 = 0
    /// First deliveries with the redelivered flag behind a later message: the order of what was given back is free.
    package private(set) var lateFlagged: UInt64 = 0
    /// By subscription: all first deliveries had numbers below it.
    private var ends: [UInt64] = []
    private var end: UInt64 = 0

    package init() {}

    /// A message arrived; false when no publisher can have sent that number.
    package mutating func deliver(_ sequence: UInt64, redelivered: Bool, subscription: Int = 0) -> Bool {
        guard sequence < end + Self.maximumJump else { return false }
        end = max(end, sequence + 1)
        count += 1
        if redelivered {
            flaggedCount += 1
        } else if !seenUnflagged.insert(sequence) {
            repeatedUnflagged[sequence, default: 0] += 1
        }
        guard seen.insert(sequence) else { return true }
        if subscription >= ends.count {
            ends.append(contentsOf: repeatElement(0, count: subscription + 1 - ends.count))
        }
        if sequence >= ends[subscription] {
            ends[subscription] = sequence + 1
        } else if redelivered {
            lateFlagged += 1
        } else if late.count < Self.maximumLate {
            late.append(sequence)
        } else {
            lateBeyond += 1
        }
        return true
    }

    /// How often a message arrived without the redelivered flag.
    package func unflaggedDeliveries(of sequence: UInt64) -> UInt64 {
        seenUnflagged.contains(sequence) ? 1 + (repeatedUnflagged[sequence] ?? 0) : 0
    }
}
