package import Primitives

/// All that one trial observed: a pure record of sends, confirms, deliveries and the fault, each with its time.
package struct TrialLedger: Sendable {
    /// The stretches of a trial whose gaps are kept apart.
    package enum Phase: Int, CaseIterable, Sendable {
        /// Traffic starts.
        case starting
        /// Steady, before the fault.
        case before
        /// From the fault until the node is brought back.
        case outage
        /// While the node comes back, and after.
        case restored
        /// No new messages; what is under way ends.
        case draining
    }

    private struct Sent {
        let due: Instant
        let firstSent: Instant
    }

    private var sent: [Sent] = []
    private var confirmGap = GapMeter()
    private var deliveryGap = GapMeter()
    /// The fault, and every confirm and delivery until the node is brought back.
    private var outageConfirms: [Instant] = []
    private var outageDeliveries: [Instant] = []
    private var phase = Phase.starting
    private var beforeFault = Latencies()
    private let run: UInt32
    private var damaged: UInt64 = 0
    private var strangers: UInt64 = 0

    /// What was sent, confirmed and delivered.
    package private(set) var reconciliation = Reconciliation()
    /// When the fault began.
    package private(set) var faultAt: Instant?
    /// The first confirm of a send after the fault.
    package private(set) var firstConfirm: Instant?
    /// The first delivery of a message first sent after the fault.
    package private(set) var firstDelivery: Instant?
    /// The longest time from due to confirmed.
    package private(set) var worstConfirm = Interval.zero
    /// Nacks from the broker.
    package private(set) var nacks: UInt64 = 0
    /// The longest gap between confirms of each phase that ended.
    package private(set) var confirmGaps = [GapMeter.Gap](repeating: GapMeter.Gap(), count: Phase.allCases.count)
    /// The longest gap between deliveries of each phase that ended.
    package private(set) var deliveryGaps = [GapMeter.Gap](repeating: GapMeter.Gap(), count: Phase.allCases.count)

    /// A trial whose messages carry the number `run`.
    package init(run: UInt32) { self.run = run }

    // MARK: Publisher

    /// Messages sent; also the number of the next.
    package var count: UInt64 { reconciliation.publishes.count }
    /// Messages whose confirm is awaited.
    package var unconfirmedCount: UInt64 { reconciliation.publishes.unconfirmedCount }
    /// Everything below it is confirmed.
    package var oldestUnconfirmed: UInt64 { reconciliation.publishes.oldestUnconfirmed }

    /// The message's confirm came.
    package func isConfirmed(_ sequence: UInt64) -> Bool { reconciliation.publishes.confirmed.contains(sequence) }

    /// The next message is sent for the first time.
    package mutating func publish(due: Instant, at now: Instant) -> UInt64 {
        sent.append(Sent(due: due, firstSent: now))
        return reconciliation.publishes.publish()
    }

    /// A message is sent again.
    package mutating func resend(_ sequence: UInt64, behind: Bool) {
        reconciliation.publishes.resend(sequence, behind: behind)
    }

    /// The stamp of a message.
    package func stamp(of sequence: UInt64) -> MessageStamp {
        MessageStamp(run: run, publisher: 0, sequence: sequence, time: sent[Int(sequence)].due)
    }

    /// The broker confirmed a message that was written at `sentAt`.
    package mutating func confirm(_ sequence: UInt64, sentAt: Instant, at now: Instant) {
        guard reconciliation.publishes.confirm(sequence) else { return }
        let latency = now - sent[Int(sequence)].due
        worstConfirm = max(worstConfirm, latency)
        confirmGap.event(at: now)
        if phase == .outage { outageConfirms.append(now) }
        guard let faultAt else {
            beforeFault.record(latency)
            return
        }
        if firstConfirm == nil && sentAt > faultAt { firstConfirm = now }
    }

    /// The broker refused a message.
    package mutating func nack(_ sequence: UInt64) { nacks += 1 }

    // MARK: Consumer

    /// A body arrived: its stamp, nil when it is damaged.
    package mutating func deliver(_ stamp: MessageStamp?, redelivered: Bool, at now: Instant) {
        deliveryGap.event(at: now)
        if phase == .outage { outageDeliveries.append(now) }
        guard let stamp else {
            damaged += 1
            return
        }
        guard stamp.run == run, stamp.publisher == 0 else {
            strangers += 1
            return
        }
        guard reconciliation.deliveries.deliver(stamp.sequence, redelivered: redelivered) else {
            damaged += 1
            return
        }
        if let faultAt, firstDelivery == nil, stamp.sequence < count, sent[Int(stamp.sequence)].firstSent > faultAt {
            firstDelivery = now
        }
    }

    // MARK: Course

    /// The next phase begins; the longest gaps of the last one are kept.
    package mutating func enter(_ next: Phase) {
        precondition(next.rawValue > phase.rawValue)
        confirmGaps[phase.rawValue] = confirmGap.endPhase()
        deliveryGaps[phase.rawValue] = deliveryGap.endPhase()
        phase = next
    }

    /// The fault happens now.
    package mutating func fault(at now: Instant) {
        enter(.outage)
        faultAt = now
        outageConfirms = [now]
        outageDeliveries = [now]
    }

    /// A message sent after the fault was confirmed, and one was delivered.
    package var isRecovered: Bool { firstConfirm != nil && firstDelivery != nil }

    /// Everything sent was confirmed and delivered.
    package var isComplete: Bool { unconfirmedCount == 0 && reconciliation.deliveries.seen.count >= count }

    /// Grows with every confirm and delivery: whoever waits can tell silence from progress.
    package var progress: UInt64 { reconciliation.publishes.confirmed.count + reconciliation.deliveries.count }

    /// The longest time from the fault on in which nothing was confirmed, or nothing delivered; what precedes the first
    /// new message counts as nothing. A node that stops or whose disk stalls serves on for a while before others take
    /// over: what is missing then counts like what is missing at once. Nil while the service is not back.
    ///
    /// - Parameter takenOver: when others had taken over. What began to be missing later has other causes; it is among
    ///   the gaps. Nil when that is not known: then all of it counts.
    package func outage(takenOver: Instant?) -> GapMeter.Gap? {
        guard let faultAt, let firstConfirm, let firstDelivery else { return nil }
        var longest = GapMeter.Gap(length: max(firstConfirm, firstDelivery) - faultAt, began: faultAt)
        for times in [outageConfirms, outageDeliveries] {
            for (began, ended) in zip(times, times.dropFirst()) where began <= takenOver ?? began {
                if ended - began > longest.length { longest = GapMeter.Gap(length: ended - began, began: began) }
            }
        }
        return longest
    }

    /// The counts.
    package var integrity: Integrity {
        var counts = reconciliation.integrity()
        counts.corrupt = damaged
        counts.foreign = strangers
        return counts
    }

    /// From due to confirmed, before the fault.
    package var latenciesBefore: LatencySummary { beforeFault.summary }
}
