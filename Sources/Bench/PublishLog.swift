/// What one publisher sent and what of it was confirmed. Messages count from 0 in the order of their first sends.
package struct PublishLog: Sendable {
    /// Messages sent, each counted once.
    package private(set) var count: UInt64 = 0
    /// Sends beyond the first of each message.
    package private(set) var resends: UInt64 = 0
    /// Those below `count` that were confirmed.
    package private(set) var confirmed = BitSet()
    /// Everything below it is confirmed.
    package private(set) var oldestUnconfirmed: UInt64 = 0
    private var endOfConfirmed: UInt64 = 0
    /// Sends beyond the first, by message; few.
    private var resendsByMessage: [UInt64: UInt64] = [:]
    /// Messages sent again behind later ones: their place in the queue says nothing.
    private var sentBehind: Set<UInt64> = []

    package init() {}

    /// Numbers a message that is sent for the first time.
    package mutating func publish() -> UInt64 {
        defer { count += 1 }
        return count
    }

    /// A message is sent again. `behind`: later ones may be in the queue already.
    package mutating func resend(_ sequence: UInt64, behind: Bool) {
        precondition(sequence < count)
        resends += 1
        resendsByMessage[sequence, default: 0] += 1
        if behind || sequence < endOfConfirmed { sentBehind.insert(sequence) }
    }

    /// The broker took a message over; false when that was known.
    package mutating func confirm(_ sequence: UInt64) -> Bool {
        precondition(sequence < count)
        guard confirmed.insert(sequence) else { return false }
        endOfConfirmed = max(endOfConfirmed, sequence + 1)
        while oldestUnconfirmed < count && confirmed.contains(oldestUnconfirmed) { oldestUnconfirmed += 1 }
        return true
    }

    /// Messages sent and not confirmed.
    package var unconfirmedCount: UInt64 { count - confirmed.count }

    /// How often a message was sent.
    package func sends(of sequence: UInt64) -> UInt64 {
        sequence < count ? 1 + (resendsByMessage[sequence] ?? 0) : 0
    }

    /// The message was sent again behind later ones.
    package func wasSentBehind(_ sequence: UInt64) -> Bool { sentBehind.contains(sequence) }
}
