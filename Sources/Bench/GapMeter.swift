package import Primitives

/// The longest time between two events, phase by phase. A gap belongs to the phase in which it ends.
package struct GapMeter: Hashable, Sendable {
    /// A time without an event.
    package struct Gap: Hashable, Sendable {
        /// How long.
        package var length = Interval.zero
        /// The event before it.
        package var began = Instant.zero

        package init() {}

        init(length: Interval, began: Instant) {
            self.length = length
            self.began = began
        }
    }

    private var last: Instant?
    /// Of the phase under way.
    package private(set) var longest = Gap()

    package init() {}

    /// An event. Times never go back.
    package mutating func event(at now: Instant) {
        if let last, now - last > longest.length {
            longest.length = now - last
            longest.began = last
        }
        last = now
    }

    /// Ends the phase and returns its longest gap.
    package mutating func endPhase() -> Gap {
        defer { longest = Gap() }
        return longest
    }
}
