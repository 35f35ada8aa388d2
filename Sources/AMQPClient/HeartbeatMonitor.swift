/// Heartbeats of one connection, counted in ticks of half a second so that no message reads a clock.
package struct HeartbeatMonitor: Hashable, Sendable {
    /// What a tick asks for.
    package enum Verdict: Hashable, Sendable {
        /// Nothing.
        case fine
        /// Send a heartbeat.
        case send
        /// The peer is gone.
        case expired
    }

    /// Milliseconds between ticks.
    package static let tickMilliseconds: Int64 = 500

    private let interval: Int
    private var ticksWithoutSending = 0
    private var ticksWithoutReceiving = 0
    /// Something was written since the last tick.
    package var sent = false
    /// Something arrived since the last tick.
    package var received = false

    /// Seconds as negotiated, 0 for none.
    package init(heartbeatSeconds: UInt16) { interval = Int(heartbeatSeconds) }

    /// To be called every half second: sends after half an interval of silence of our own, gives up after two of the
    /// peer's.
    package mutating func tick() -> Verdict {
        guard interval > 0 else { return .fine }
        ticksWithoutSending = sent ? 0 : ticksWithoutSending + 1
        ticksWithoutReceiving = received ? 0 : ticksWithoutReceiving + 1
        sent = false
        received = false
        if ticksWithoutReceiving >= 4 * interval { return .expired }
        if ticksWithoutSending >= interval {
            ticksWithoutSending = 0
            return .send
        }
        return .fine
    }
}
