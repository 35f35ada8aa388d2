/// A handle on a virtual host of one `Topology` and of what `Topology.apply` makes of it. It outlives the host without
/// harm: a successor of the same name has another serial. To another `Topology`, such as a snapshot that takes this
/// one's place, it may name any host: keep it no longer than the value.
public struct VirtualHostRef: Hashable, Sendable {
    let slot: UInt32
    let serial: UInt64
}

/// A handle on an exchange in its virtual host, cheaper than its name. It outlives the exchange without harm.
public struct ExchangeRef: Hashable, Sendable {
    let slot: UInt32
    let serial: UInt32
}

/// The result of routing and its scratch memory: keep one and reuse it, so that routing allocates nothing.
public struct RouteBuffer: Sendable {
    /// The queues reached: each once, oldest first.
    public internal(set) var targets: [QueueTarget] = []
    /// A headers exchange was met: another message with the same exchange and key may route elsewhere.
    public internal(set) var dependsOnHeaders = false

    /// Exchanges still to visit; those before `cursor` are done.
    var pending: [UInt32] = []
    /// Topic matching: the active nodes, and those after the next word.
    var active: [Int32] = []
    var next: [Int32] = []
    /// Per node, the step in which it became active.
    var marks: [UInt64] = []
    var step: UInt64 = 0

    /// An empty buffer.
    public init() {}

    mutating func removeAll() {
        targets.removeAll(keepingCapacity: true)
        pending.removeAll(keepingCapacity: true)
        dependsOnHeaders = false
    }
}
