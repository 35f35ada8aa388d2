/// What a queue is created with; the same on every replica.
public struct QueueSettings: Hashable, Sendable {
    /// The version of the machine's behaviour that the queue starts with.
    public var version: UInt32
    /// Most sessions at a time.
    public var sessionLimit: Int
    /// Most consumers at a time, detached ones that still hold messages included.
    public var consumerLimit: Int
    /// Most unsettled messages of a consumer that names no number itself.
    public var defaultPrefetch: UInt32
    /// Most recorded outcomes of a session; beyond it the oldest is forgotten. A gateway keeps far fewer commands
    /// unanswered.
    public var outcomeLimit: Int

    /// Settings; one that is left out has its default.
    public init(
        version: UInt32 = 1, sessionLimit: Int = 65_536, consumerLimit: Int = 65_536,
        defaultPrefetch: UInt32 = 2_000, outcomeLimit: Int = 65_536
    ) {
        precondition(sessionLimit > 0 && consumerLimit > 0 && defaultPrefetch > 0 && outcomeLimit > 0)
        self.version = version
        self.sessionLimit = sessionLimit
        self.consumerLimit = consumerLimit
        self.defaultPrefetch = defaultPrefetch
        self.outcomeLimit = outcomeLimit
    }
}
