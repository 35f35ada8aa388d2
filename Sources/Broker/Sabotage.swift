import Primitives

/// Makes a broker lie once, so that a test can show that whoever checks the product notices: `test.sabotage`.
///
/// Off unless configured; a delivery then costs one comparison.
public enum SabotageKind: String, Sendable, CaseIterable {
    /// A message is settled without being delivered.
    case drop
    /// A message is delivered twice, both times as if for the first time.
    case duplicate
    /// Two consecutive messages change places.
    case swap
}

/// The lie, told once, some hundred deliveries after the start.
final class Sabotage {
    /// What becomes of a delivery.
    enum Action {
        case deliver
        case drop
        case twice
        /// Keep this one back; the next delivery goes first.
        case hold
        /// The one held back follows this one.
        case release(number: UInt64, body: Bytes)
    }

    private static let patience = 300

    private let kind: SabotageKind
    private var seen = 0
    private var held: (consumer: UInt32, number: UInt64, body: Bytes)?

    init(_ kind: SabotageKind) { self.kind = kind }

    func action(consumer: UInt32, number: UInt64, body: Bytes) -> Action {
        seen += 1
        if let held, held.consumer == consumer {
            self.held = nil
            return .release(number: held.number, body: held.body)
        }
        guard seen == Sabotage.patience else { return .deliver }
        switch kind {
        case .drop: return .drop
        case .duplicate: return .twice
        case .swap:
            held = (consumer, number, body)
            return .hold
        }
    }
}
