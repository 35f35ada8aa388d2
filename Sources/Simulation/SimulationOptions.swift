public import Primitives

/// What one simulation is to do. Equal options give equal simulations, on every machine.
public struct SimulationOptions: Sendable {
    /// The source of all chance.
    public var seed: UInt64
    /// How long faults and load last; the final phase without faults comes on top.
    public var duration: Interval
    /// The bug to put in.
    public var plant: PlantedBug?
    /// The damaged node may lose what no copy makes good, and with it its vote for good; it may if a bug needs it, too.
    public var losesRecords: Bool
    /// Called with each line of the trace, when set.
    public var traceLine: (@Sendable (String) -> Void)?

    /// A run of `seed`; a minute under faults unless told otherwise.
    public init(
        seed: UInt64, duration: Interval = .seconds(60), plant: PlantedBug? = nil, losesRecords: Bool = false,
        traceLine: (@Sendable (String) -> Void)? = nil
    ) {
        self.seed = seed
        self.duration = duration
        self.plant = plant
        self.losesRecords = losesRecords || plant == .lostRecordsVote
        self.traceLine = traceLine
    }
}

/// A broken invariant.
public struct SimulationFailure: Hashable, Sendable {
    /// The invariant's name.
    public var invariant: String
    /// What was seen.
    public var detail: String
    /// When, on the virtual clock.
    public var time: Instant
}

/// What came of one simulation.
public struct SimulationResult: Sendable {
    /// The seed that was run.
    public var seed: UInt64
    /// Nodes of the cluster that it drew.
    public var nodes: Int
    /// Queues that clients used.
    public var queues: Int
    /// A digest of everything that happened, in order.
    public var hash: UInt64
    /// Calls of clients.
    public var operations: UInt64
    /// Leaderships won.
    public var elections: UInt64
    /// Processes that crashed.
    public var crashes: UInt64
    /// Snapshots that replicas took of themselves.
    public var snapshotsTaken: UInt64
    /// Snapshots that followers were sent.
    public var snapshotsInstalled: UInt64
    /// Log segments whose files were given up.
    public var segmentsRetired: UInt64
    /// Damaged entries that were fetched from other nodes.
    public var repairs: UInt64
    /// Messages confirmed to publishers.
    public var confirmed: UInt64
    /// Events of the virtual clock.
    public var events: UInt64
    /// The virtual time that passed.
    public var simulated: Interval
    /// How often rare paths of the storage were reached.
    public var coverage: Coverage
    /// The first broken invariant; nil when all held.
    public var failure: SimulationFailure?
}
