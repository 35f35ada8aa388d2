/// Whether the disk has room for the log.
public enum LogSpace: Hashable, Sendable {
    /// All segments that are wanted could be made ready.
    case sufficient
    /// No room for another segment was found; the log goes on in those that are ready.
    case short
    /// A write waits for room: nothing becomes durable until there is some.
    case exhausted
}
