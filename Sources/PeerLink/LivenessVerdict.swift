public import Primitives

/// Why a node is suspected.
public enum SuspicionReason: Hashable, Sendable {
    /// Nothing has been heard of the node since the detector started.
    case neverHeard
    /// Its process closed or lost a connection without a farewell: it was killed, or something cut the connection.
    case linkReset
    /// A newer process of the node speaks; the one we knew is dead.
    case newIncarnation(Incarnation)
    /// No heartbeat for this long.
    case silence(Interval)
    /// It reports an fdatasync unfinished for this long.
    case diskStall(Interval)
    /// It reports an event loop that has not turned for this long.
    case loopStall(Interval)
    /// It said farewell: a graceful stop, leaderships already handed over.
    case stopping
}

/// A change of what the detector believes. An up node is suspected once and then up once, in turn.
public enum LivenessVerdict: Hashable, Sendable {
    /// The node's process of this incarnation is alive.
    case up(NodeID, Incarnation)
    /// The node should lose its leaderships.
    case suspected(NodeID, SuspicionReason)
    /// This node itself stood still for so long that others may have replaced it. Leaderships are to be dropped or
    /// confirmed before anything is answered; no peer is suspected for the silence of that time.
    case stalled(Interval)
}

/// What the detector believes about one node.
public enum LivenessStatus: Hashable, Sendable {
    /// Neither heard nor given up yet: only between the detector's start and the first silence.
    case unknown
    case up(Incarnation)
    case suspected(SuspicionReason)
}
