public import Primitives

/// Which peers are alive: the one detector of a node, shared by all groups.
///
/// Pure: evidence and the time come in as arguments, changes of belief go out as verdicts. It is to be turned (`tick`)
/// at least once an interval; when it notices that it was not, it stood still itself and forgets the silence it
/// believed to observe. Evidence of an older incarnation than the newest known is ignored.
public struct NodeLiveness: Sendable {
    /// What is known of one peer.
    struct Peer: Sendable {
        let node: NodeID
        var status = LivenessStatus.unknown
        /// The newest that ever proved itself; nil until first heard.
        var incarnation: Incarnation?
        /// Any sign of life of that incarnation; the detector's start before there was one.
        var lastHeard: Instant
        /// When the last heartbeat came; nil when the gap to the next one says nothing.
        var lastHeartbeat: Instant?
        /// The last heartbeat of the newest incarnation.
        var report: Heartbeat?
        var resetAt = Instant.zero
        var heartbeatsSinceReset = 0
        /// Until then gaps are what is left of an outage, and teach nothing about the next one.
        var settlesUntil = Instant.zero
        var window = ArrivalWindow()
    }

    /// The times in force.
    public let configuration: LivenessConfiguration
    /// Sorted by node.
    private var peers: [Peer] = []
    private var lastTurn: Instant

    /// Starts to watch `nodes`.
    public init(configuration: LivenessConfiguration, nodes: [NodeID], now: Instant) {
        self.configuration = configuration
        self.lastTurn = now
        for node in nodes { add(node, now: now) }
    }

    /// Watches one more node; does nothing when it is watched already.
    public mutating func add(_ node: NodeID, now: Instant) {
        guard index(of: node) == nil else { return }
        let place = peers.firstIndex { $0.node > node } ?? peers.count
        peers.insert(Peer(node: node, lastHeard: now), at: place)
    }

    /// Stops watching a node.
    public mutating func remove(_ node: NodeID) { peers.removeAll { $0.node == node } }

    /// The nodes watched, ascending.
    public var nodes: [NodeID] { peers.map(\.node) }

    /// What is believed of `node`; `.unknown` for one that is not watched.
    public func status(of node: NodeID) -> LivenessStatus { peer(node)?.status ?? .unknown }

    /// The newest incarnation that ever proved itself.
    public func incarnation(of node: NodeID) -> Incarnation? { peer(node)?.incarnation }

    /// The last heartbeat of the newest incarnation: its digest and ages.
    public func report(of node: NodeID) -> Heartbeat? { peer(node)?.report }

    /// Time since the last sign of life.
    public func silence(of node: NodeID, now: Instant) -> Interval { peer(node).map { now - $0.lastHeard } ?? .zero }

    /// The silence from which `node` would be suspected now.
    public func threshold(of node: NodeID, now: Instant) -> Interval {
        guard var peer = peer(node) else { return configuration.maximumSilence }
        return peer.window.threshold(now: now, configuration: configuration)
    }

    /// When `tick` is due: after an interval, or sooner when a silence becomes suspicious before that.
    public mutating func nextDeadline(now: Instant) -> Instant {
        var deadline = lastTurn + configuration.interval
        for index in peers.indices where peers[index].isPresumedAlive {
            let threshold = peers[index].window.threshold(now: now, configuration: configuration)
            deadline = min(deadline, peers[index].lastHeard + threshold)
        }
        return deadline
    }

    // MARK: - Evidence

    /// A heartbeat arrived from an authenticated peer. Repeated and reordered ones are ignored.
    public mutating func heartbeat(_ heartbeat: Heartbeat, now: Instant, into verdicts: inout [LivenessVerdict]) {
        turn(now: now, into: &verdicts)
        guard let index = index(of: heartbeat.node) else { return }
        guard isCurrent(heartbeat.incarnation, at: index, now: now, into: &verdicts) else { return }
        if let last = peers[index].report, last.sequence >= heartbeat.sequence { return }
        let gap = peers[index].lastHeartbeat.map { now - $0 }
        peers[index].report = heartbeat
        peers[index].lastHeartbeat = now
        peers[index].lastHeard = now
        judge(heartbeat, gap: gap, at: index, now: now, into: &verdicts)
    }

    /// A connection with `node` was authenticated, which proves the incarnation.
    public mutating func connected(
        _ node: NodeID, _ incarnation: Incarnation, now: Instant, into verdicts: inout [LivenessVerdict]
    ) {
        turn(now: now, into: &verdicts)
        guard let index = index(of: node) else { return }
        guard isCurrent(incarnation, at: index, now: now, into: &verdicts) else { return }
        peers[index].lastHeard = now
    }

    /// An authenticated connection ended by FIN or RST from the far side, without a farewell.
    public mutating func linkReset(
        _ node: NodeID, _ incarnation: Incarnation, now: Instant, into verdicts: inout [LivenessVerdict]
    ) {
        turn(now: now, into: &verdicts)
        guard let index = index(of: node), peers[index].incarnation == incarnation else { return }
        if case .suspected(.stopping) = peers[index].status { return }
        suspect(index, .linkReset, into: &verdicts)
        peers[index].resetAt = now
        peers[index].heartbeatsSinceReset = 0
    }

    /// The node said farewell: this incarnation will not come back.
    public mutating func stopping(
        _ node: NodeID, _ incarnation: Incarnation, now: Instant, into verdicts: inout [LivenessVerdict]
    ) {
        turn(now: now, into: &verdicts)
        guard let index = index(of: node), peers[index].incarnation == incarnation else { return }
        suspect(index, .stopping, into: &verdicts)
    }

    /// Time has passed.
    public mutating func tick(now: Instant, into verdicts: inout [LivenessVerdict]) {
        turn(now: now, into: &verdicts)
        for index in peers.indices where peers[index].isPresumedAlive {
            let silence = now - peers[index].lastHeard
            let threshold = peers[index].window.threshold(now: now, configuration: configuration)
            guard silence >= threshold else { continue }
            suspect(index, peers[index].incarnation == nil ? .neverHeard : .silence(silence), into: &verdicts)
        }
    }

    // MARK: - Judgement

    /// Every input passes here first, so that a standstill of our own is noticed before evidence is judged.
    private mutating func turn(now: Instant, into verdicts: inout [LivenessVerdict]) {
        let away = now - lastTurn
        if now > lastTurn { lastTurn = now }
        guard away > configuration.interval + configuration.ownDelay else { return }
        for index in peers.indices {
            peers[index].lastHeard = now
            peers[index].lastHeartbeat = nil
        }
        if away >= configuration.minimumSilence { verdicts.append(.stalled(away)) }
    }

    /// Whether evidence of `incarnation` counts; a newer one than known replaces what was known.
    private mutating func isCurrent(
        _ incarnation: Incarnation, at index: Int, now: Instant, into verdicts: inout [LivenessVerdict]
    ) -> Bool {
        guard let known = peers[index].incarnation else {
            renew(incarnation, at: index, now: now, into: &verdicts)
            return true
        }
        if incarnation < known { return false }
        if incarnation > known {
            suspect(index, .newIncarnation(incarnation), into: &verdicts)
            renew(incarnation, at: index, now: now, into: &verdicts)
        }
        return true
    }

    private mutating func renew(
        _ incarnation: Incarnation, at index: Int, now: Instant, into verdicts: inout [LivenessVerdict]
    ) {
        let node = peers[index].node
        peers[index] = Peer(node: node, status: .up(incarnation), incarnation: incarnation, lastHeard: now)
        verdicts.append(.up(node, incarnation))
    }

    private mutating func judge(
        _ heartbeat: Heartbeat, gap: Interval?, at index: Int, now: Instant, into verdicts: inout [LivenessVerdict]
    ) {
        let stall = stall(in: heartbeat)
        switch peers[index].status {
        case .up, .unknown:
            if let gap, now >= peers[index].settlesUntil {
                peers[index].window.record(gap, now: now, configuration: configuration)
            }
            if let stall { suspect(index, stall, into: &verdicts) }
        case .suspected(let reason):
            var recovers = true
            switch reason {
            case .stopping, .newIncarnation:
                recovers = false
            case .linkReset:
                // What the dead process sent on its other connection may be read only now.
                peers[index].heartbeatsSinceReset += 1
                recovers =
                    peers[index].heartbeatsSinceReset >= 2 && now - peers[index].resetAt >= configuration.interval * 2
            case .silence:
                if let gap, gap > configuration.maximumSilence {
                    // What was sent meanwhile comes late, and new connections stand when the system asks again.
                    peers[index].settlesUntil = now + configuration.maximumSilence * 2
                } else if let gap, now >= peers[index].settlesUntil {
                    peers[index].window.record(gap, now: now, configuration: configuration)
                    peers[index].window.falseAlarm(now: now, configuration: configuration)
                }
            case .neverHeard, .diskStall, .loopStall:
                break
            }
            guard recovers else { return }
            if let stall {
                peers[index].status = .suspected(stall)
            } else {
                peers[index].status = .up(heartbeat.incarnation)
                verdicts.append(.up(heartbeat.node, heartbeat.incarnation))
            }
        }
    }

    private func stall(in heartbeat: Heartbeat) -> SuspicionReason? {
        if heartbeat.diskAge >= configuration.diskStall { return .diskStall(heartbeat.diskAge) }
        if heartbeat.loopAge >= configuration.loopStall { return .loopStall(heartbeat.loopAge) }
        return nil
    }

    /// Changes the belief, and says so unless the node was suspected already.
    private mutating func suspect(_ index: Int, _ reason: SuspicionReason, into verdicts: inout [LivenessVerdict]) {
        if case .suspected = peers[index].status {
            peers[index].status = .suspected(reason)
        } else {
            peers[index].status = .suspected(reason)
            verdicts.append(.suspected(peers[index].node, reason))
        }
    }

    private func index(of node: NodeID) -> Int? { peers.firstIndex { $0.node == node } }

    private func peer(_ node: NodeID) -> Peer? { index(of: node).map { peers[$0] } }
}

extension NodeLiveness.Peer {
    /// Whether silence would be news.
    var isPresumedAlive: Bool {
        if case .suspected = status { return false }
        return true
    }
}
