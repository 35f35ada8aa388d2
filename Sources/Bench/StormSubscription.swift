import Primitives

/// What one subscription was given and answered, in order.
///
/// AMQP confirms no ack, but the prefetch tells: a broker that gives a consumer its n-th message while the consumer may
/// hold p has taken over the answers to all but the last p of those before. From then on an acked one must not come
/// back.
package struct StormSubscription: Sendable {
    private enum Answer { case none, acknowledged, returned }

    private let prefetch: Int
    private var given = Ring<(send: StormLedger.Send?, answer: Answer)>()
    /// The delivery tag of the first in `given`.
    private var firstTag: UInt64 = 1
    /// Deliveries that came although the consumer held as many as it may.
    package private(set) var excess: UInt64 = 0

    /// A subscription on a channel of its own. Answers are given in the order of deliveries.
    package init(prefetch: UInt16) { self.prefetch = Int(prefetch) }

    /// A message came. The one comes back whose ack was taken over, as this shows.
    package mutating func deliver(_ send: StormLedger.Send?) -> StormLedger.Send? {
        given.append((send, .none))
        guard given.count > prefetch, let oldest = given.popFirst() else { return nil }
        firstTag += 1
        switch oldest.answer {
        case .acknowledged: return oldest.send
        case .returned: return nil
        case .none:
            excess += 1
            return nil
        }
    }

    /// The message with this tag was acked; the one comes back that it was, if it was not answered before.
    package mutating func acknowledge(_ tag: UInt64) -> StormLedger.Send? { answer(tag, .acknowledged) }

    /// The message with this tag was given back.
    package mutating func giveBack(_ tag: UInt64) { _ = answer(tag, .returned) }

    private mutating func answer(_ tag: UInt64, _ answer: Answer) -> StormLedger.Send? {
        guard tag >= firstTag && tag - firstTag < UInt64(given.count) else { return nil }
        let place = Int(tag - firstTag)
        guard case .none = given[place].answer else { return nil }
        given[place].answer = answer
        return given[place].send
    }

    /// The channel was closed in order while no fault was at work: all acks were taken over. Their messages come back.
    package mutating func close() -> [StormLedger.Send] {
        defer { given.removeAll() }
        return given.compactMap { if case .acknowledged = $0.answer { $0.send } else { nil } }
    }
}
