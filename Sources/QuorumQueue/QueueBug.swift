/// A rule of the machine that is broken on purpose, for the simulator to find. Nothing but its plant ever sets one.
package enum QueueBug: Hashable, Sendable {
    /// Consumers are served in an order of the process's own, as when a `Dictionary` is iterated, whose hashing has
    /// another seed in every process.
    case servesByHash(seed: UInt64)
    /// The newest commands of a session are applied again when they come again.
    case repeatsNewest
    /// A command of a session that is not open opens it.
    case opensUnknownSessions
}
