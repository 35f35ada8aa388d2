import Primitives

/// A digest of everything that happens, in order; with a listener also as lines.
struct Trace {
    private(set) var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    private let listener: (@Sendable (String) -> Void)?
    private let clock: () -> Instant

    init(listener: (@Sendable (String) -> Void)?, clock: @escaping () -> Instant) {
        self.listener = listener
        self.clock = clock
    }

    mutating func note(_ node: NodeID, _ kind: StaticString, _ a: UInt64, _ b: UInt64) {
        let now = clock()
        mix(now.nanoseconds)
        mix(UInt64(node.rawValue) << 32 | UInt64(kind.utf8CodeUnitCount))
        mix(a)
        mix(b)
        listener?("\(Trace.seconds(now)) \(node) \(kind) \(a) \(b)")
    }

    /// A line for people, not part of the digest.
    func tell(_ text: @autoclosure () -> String) {
        guard let listener else { return }
        listener("\(Trace.seconds(clock())) \(text())")
    }

    private mutating func mix(_ value: UInt64) {
        hash = (hash ^ value) &* 0x9E37_79B9_7F4A_7C15
        hash ^= hash >> 29
    }

    /// Seconds with six digits.
    static func seconds(_ time: Instant) -> String {
        let micros = String(time.nanoseconds / 1_000 % 1_000_000)
        return "\(time.nanoseconds / 1_000_000_000)." + String(repeating: "0", count: 6 - micros.count) + micros
    }
}
