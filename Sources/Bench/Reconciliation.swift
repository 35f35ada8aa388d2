/// Compares all that one publisher was confirmed with all that arrived.
package struct Reconciliation: Sendable {
    /// What was sent and confirmed.
    package var publishes: PublishLog
    /// What arrived.
    package var deliveries: DeliveryLog

    package init(publishes: PublishLog = PublishLog(), deliveries: DeliveryLog = DeliveryLog()) {
        self.publishes = publishes
        self.deliveries = deliveries
    }

    /// The counts.
    ///
    /// - Parameter withoutConfirms: nothing was to be confirmed; whatever was sent should have arrived.
    package func integrity(withoutConfirms: Bool = false) -> Integrity {
        var counts = Integrity()
        counts.sent = publishes.count
        counts.resent = publishes.resends
        counts.confirmed = publishes.confirmed.count
        counts.unconfirmed = withoutConfirms ? 0 : publishes.unconfirmedCount
        counts.deliveries = deliveries.count
        judgeLosses(withoutConfirms: withoutConfirms, into: &counts)
        judgeRepetitions(into: &counts)
        counts.reordered =
            deliveries.lateBeyond + UInt64(deliveries.late.count { !publishes.wasSentBehind($0) })
        counts.reorderedFlagged = deliveries.lateFlagged
        return counts
    }

    private func judgeLosses(withoutConfirms: Bool, into counts: inout Integrity) {
        for word in 0..<Int((publishes.count + 63) >> 6) {
            var owed: UInt64
            if withoutConfirms {
                let rest = publishes.count - UInt64(word) << 6
                owed = rest >= 64 ? .max : (1 << rest) - 1
            } else {
                owed = word < publishes.confirmed.words.count ? publishes.confirmed.words[word] : 0
            }
            if word < deliveries.seen.words.count { owed &= ~deliveries.seen.words[word] }
            guard owed != 0 else { continue }
            counts.lost += UInt64(owed.nonzeroBitCount)
            if counts.firstLost == nil { counts.firstLost = UInt64(word) << 6 + UInt64(owed.trailingZeroBitCount) }
        }
    }

    private func judgeRepetitions(into counts: inout Integrity) {
        // Only sums leave the dictionary's order.
        for (sequence, repetitions) in deliveries.repeatedUnflagged {
            counts.duplicatesUnflagged += repetitions
            let delivered = 1 + repetitions
            let sends = publishes.sends(of: sequence)
            if delivered > sends { counts.duplicatesUnexplained += delivered - max(sends, 1) }
        }
        counts.duplicatesFlagged = deliveries.count - deliveries.seen.count - counts.duplicatesUnflagged
        // What nobody sent cannot have been delivered.
        counts.duplicatesUnexplained += inventedCount
    }

    /// Messages delivered under numbers that were never sent.
    private var inventedCount: UInt64 {
        var invented: UInt64 = 0
        for word in Int(publishes.count >> 6)..<max(Int(publishes.count >> 6), deliveries.seen.words.count) {
            var bits = deliveries.seen.words[word]
            if word == Int(publishes.count >> 6) { bits &= ~((1 << (publishes.count & 63)) - 1) }
            invented += UInt64(bits.nonzeroBitCount)
        }
        return invented
    }
}
