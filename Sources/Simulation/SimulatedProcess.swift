import LogStore
import PeerLink
import Primitives
import QueueClient
import Replication
import Topology

/// One process of a node: production's shard, node log, detector and queue clients, with a virtual shell around them.
///
/// It drives them as `ReplicationNode` and `NodeBroker` do: all inputs of one moment share a tick, whose work is done
/// at its end. It lives from a start to a crash; the disk survives it.
final class SimulatedProcess {
    unowned let simulation: Simulation
    let node: NodeID
    let peers: [NodeID]
    let shard: Shard
    let disk: VirtualDisk
    private(set) var isAlive = true
    /// What has come for a strand while it did not run, in order.
    private var backlogs: [[() -> Void]] = [[], []]
    /// Nothing of the process runs before this moment.
    var pausedUntil = Instant.zero
    /// Nothing on the event loop runs before this moment; the other threads do.
    var stalledUntil = Instant.zero
    var stalledSince = Instant.zero
    let startedAt: Instant

    var random: SeededRandom
    private(set) var gateway: SimulatedGateway!
    var log: NodeLog<VirtualDisk>
    var reader: EntryReader<VirtualDisk>
    var liveness: NodeLiveness
    var formation: Formation?
    /// What the handshake of a link tells the peer.
    private(set) var bootstrap: Bytes
    var links: [NodeID: VirtualLink] = [:]
    var heartbeats: UInt64 = 0
    var publishedDigests: [NodeID: UInt64] = [:]

    var isFlushScheduled = false
    var isFlushing = false
    var needsFlush = false
    var timerDeadline = Instant.distantFuture
    var timerGeneration: UInt64 = 0

    var isWriting = false
    var isWriterAwake = false
    var writeBegan: Instant?
    var lastWrite = Instant.zero
    var isAttestationDue = false
    /// The last attempt to make a segment ready met a full disk.
    var lacksSegments = false
    /// After a segment could not be made ready, the next attempt.
    var nextPreparation = Instant.zero
    /// A disk that is slow at the moment takes so many times as long.
    var diskSlowness: UInt64 = 1 { didSet { simulation.disturbed(node, until: now + .seconds(4)) } }
    /// The disk answers nothing before this moment.
    var diskStalledUntil = Instant.zero {
        didSet { simulation.disturbed(node, until: diskStalledUntil + .seconds(1)) }
    }
    /// What was asked of the disk while there were faults is done then.
    var diskBusyUntil = Instant.zero
    /// The write before, if it went elsewhere.
    var misdirection: Simulation.Misdirection?

    /// Where the write before stands in its file, for a planted bug.
    var lastFrame: Range<Int>?
    /// Of snapshots that a planted bug changed, until their marks.
    var plantedSizes: [GroupID: Int] = [:]

    var isAnnounced = false
    var announcing: UInt64?
    var isRegistering = false
    var bootstrapping: UInt64?

    init(
        _ simulation: Simulation, node: NodeID, peers: [NodeID], disk: VirtualDisk, log: NodeLog<VirtualDisk>,
        recovered: RecoveredStore, random: SeededRandom
    ) {
        self.simulation = simulation
        self.node = node
        self.peers = peers
        self.disk = disk
        self.log = log
        self.random = random
        reader = EntryReader(disk: disk)
        let now = simulation.now
        startedAt = now
        shard = Shard(
            node: node, peers: peers, recovered: recovered, configuration: simulation.plan.shard,
            seed: self.random.next(), now: now)
        liveness = NodeLiveness(configuration: LivenessConfiguration(), nodes: peers, now: now)
        bootstrap = StoreReport(members: shard.founders).encoded()
        if shard.founders.isEmpty {
            formation = Formation(node: node, store: recovered.storeID, configured: peers + [node])
        }
        gateway = SimulatedGateway(self, random: SeededRandom(seed: self.random.next()))
    }

    func start() {
        loop(after: .milliseconds(100)) { [unowned self] in ticked() }
        thread(after: .milliseconds(random.next(below: 25))) { [unowned self] in pulse() }
        gateway.start()
        loop(after: .milliseconds(random.next(below: 20))) { [unowned self] in reclaim() }
        loop(after: .milliseconds(100 + random.next(below: 500))) { [unowned self] in scrub() }
        flush()
    }

    // MARK: Threads

    var now: Instant { simulation.now }
    var wall: WallTime { simulation.wall(of: node) }
    var isPaused: Bool { now < pausedUntil }

    /// Does something on the event loop, as soon as it turns.
    func loop(after delay: Interval, _ action: @escaping () -> Void) { loop(at: now + delay, action) }

    func loop(at time: Instant, _ action: @escaping () -> Void) {
        simulation.scheduler.at(time, .loop, of: self, action)
    }

    /// Does something on another thread of the process.
    func thread(after delay: Interval, _ action: @escaping () -> Void) {
        simulation.scheduler.at(now + delay, .threads, of: self, action)
    }

    /// What runs by itself: the event loop, and all other threads.
    enum Strand: Int {
        case loop
        case threads
    }

    /// When the strand runs again.
    private func free(_ strand: Strand) -> Instant { strand == .loop ? busyUntil : pausedUntil }

    /// Does something of this process now, or as soon as the strand runs.
    func enter(_ strand: Strand, _ action: @escaping () -> Void) {
        guard isAlive else { return }
        let free = free(strand)
        guard now < free || !backlogs[strand.rawValue].isEmpty else { return action() }
        backlogs[strand.rawValue].append(action)
        if backlogs[strand.rawValue].count == 1 { wake(strand, at: free) }
    }

    private func wake(_ strand: Strand, at time: Instant) {
        simulation.scheduler.at(time) { [self] in
            let free = free(strand)
            guard isAlive else { return }
            guard now >= free else { return wake(strand, at: free) }
            let actions = backlogs[strand.rawValue]
            backlogs[strand.rawValue] = []
            for action in actions where isAlive { action() }
        }
    }

    func pause(for time: Interval) {
        pausedUntil = max(pausedUntil, now + time)
        simulation.disturbed(node, until: pausedUntil)
    }

    func stall(for time: Interval) {
        if now >= stalledUntil { stalledSince = now }
        stalledUntil = max(stalledUntil, now + time)
        simulation.disturbed(node, until: stalledUntil)
    }

    /// When all of the process runs again.
    var busyUntil: Instant { max(pausedUntil, stalledUntil) }

    func crash() {
        isAlive = false
        links = [:]
        gateway.crash()
        log.close()
    }

    // MARK: Ticks

    func setNeedsFlush() {
        needsFlush = true
        guard !isFlushScheduled, !isFlushing else { return }
        isFlushScheduled = true
        // A pass of the loop takes its time; what comes meanwhile is done with the next one.
        loop(after: .microseconds(5 + random.next(below: 60))) { [unowned self] in
            isFlushScheduled = false
            flush()
        }
    }

    func flush() {
        guard isAlive else { return }
        isFlushing = true
        for _ in 0..<4 {
            needsFlush = false
            gateway.flush()
            if let bug = simulation.plant?.raftBug { shard.plant(bug) }
            if let bug = simulation.plant?.queueBug(of: node) { shard.plant(bug) }
            if simulation.plant == .emptyStoreVotes { shard.takeAnyStore() }
            let output = shard.flush(now: now, wall: wall)
            simulation.checker.observe(self, output)
            perform(output)
            if !needsFlush { break }
        }
        isFlushing = false
        for peer in peers { publishedDigests[peer] = shard.ledDigest(for: peer) }
        if needsFlush || shard.hasPostponedWork { setNeedsFlush() }
        setTimer()
    }

    func perform(_ output: ShardOutput) {
        if !output.records.isEmpty { submit(output.records, ticket: output.ticket) }
        if !output.releases.isEmpty { log.release(output.releases) }
        for (peer, payload) in output.payloads {
            simulation.trace.note(node, "send", UInt64(peer.rawValue), UInt64(CRC32C.checksum(payload)))
            if let link = links[peer] { simulation.network.send(payload, from: self, over: link) }
        }
        for request in output.reads { read(request) }
        for work in output.snapshotWork { perform(work) }
        for change in output.leaderChanges {
            if change.group == .topology {
                announce()
            } else {
                gateway.leaderChanged(change.group, to: change.leader, term: change.term)
            }
        }
        for applied in output.topologyApplied { topologyApplied(applied) }
        for counter in output.topologyExpired { topologyEnded(counter, isDone: false) }
        for (group, node, message) in output.leaderMessages { gateway.received(message, group: group, from: node) }
        setNeedsFlushForGateway()
    }

    func setNeedsFlushForGateway() { if gateway.needsFlush { needsFlush = true } }

    func setTimer() {
        let deadline = shard.nextDeadline
        guard deadline < timerDeadline else { return }
        timerDeadline = deadline
        timerGeneration += 1
        let generation = timerGeneration
        loop(at: max(deadline, now)) { [unowned self] in
            guard generation == timerGeneration else { return }
            timerDeadline = .distantFuture
            shard.tick(now: now)
            flush()
        }
    }

    func ticked() {
        announce()
        gateway.tick()
        receiveDigests()
        setNeedsFlush()
        loop(after: .milliseconds(100)) { [unowned self] in ticked() }
    }

    // MARK: Messages

    func linkUp(_ link: VirtualLink, _ report: Bytes) {
        let end = link.end(of: self)
        let far = link.ends[1 - end]
        guard !link.isBroken, !link.isClosed[end] else {
            link.isClosed[end] = true
            return
        }
        if let old = links[far.node] { linkDown(old) }
        link.isUp[end] = true
        links[far.node] = link
        simulation.trace.note(node, "link up", UInt64(far.node.rawValue), 0)
        watch { $0.connected(far.node, far.shard.incarnation, now: now, into: &$1) }
        if formation != nil {
            guard let report = try? StoreReport(decoding: report) else {
                return simulation.fail("formation", "\(node) cannot read the store report of \(far.node)")
            }
            if let decision = formation?.reported(by: far.node, store: far.shard.store, report: report) {
                act(on: decision)
            }
        }
        shard.linkUp(
            PeerIdentity(node: far.node, store: far.shard.store, incarnation: far.shard.incarnation), now: now)
        setNeedsFlush()
    }

    func act(on decision: Formation.Decision) {
        switch decision {
        case .wait: break
        case .refuse(let reason): simulation.fail("formation", "\(node) refuses to start: \(reason)")
        case .found(let members), .rejoin(let members):
            let waiting = formation?.waiting ?? []
            formation = nil
            shard.found(members: members, now: now)
            bootstrap = StoreReport(members: members).encoded()
            loop(after: .zero) { [unowned self] in
                for link in waiting.compactMap({ links[$0] }) {
                    simulation.network.close(link, by: link.end(of: self))
                }
            }
        }
    }

    func linkDown(_ link: VirtualLink) {
        let end = link.end(of: self)
        guard !link.isClosed[end] else { return }
        link.isClosed[end] = true
        guard link.isUp[end] else { return }
        let far = link.ends[1 - end].node
        if links[far] === link { links[far] = nil }
        simulation.trace.note(node, "link down", UInt64(far.rawValue), 0)
        formation?.forget(far)
        shard.linkDown(far, now: now)
        gateway.linkReset(far)
        setNeedsFlush()
    }

    func received(_ payload: Bytes, from peer: NodeID) {
        simulation.trace.note(node, "receive", UInt64(peer.rawValue), UInt64(CRC32C.checksum(payload)))
        if !shard.receive(payload, from: peer, now: now) {
            simulation.fail("peer protocol", "\(node) did not understand a payload of \(peer)")
        }
        setNeedsFlush()
    }

    func linkBackedUp(_ peer: NodeID, _ link: VirtualLink) {
        loop(after: .zero) { [unowned self] in
            guard links[peer] === link else { return }
            shard.setBackedUp(peer, true, now: now)
            setNeedsFlush()
        }
    }

    func linkDrained(_ peer: NodeID, _ link: VirtualLink) {
        guard links[peer] === link else { return }
        loop(after: .zero) { [unowned self] in
            shard.setBackedUp(peer, false, now: now)
            gateway.linkDrained()
            setNeedsFlush()
        }
    }

    /// Sends a queue client's message to the node that leads the group.
    func send(_ message: ClientMessage, group: GroupID, to leader: NodeID) {
        if leader == node {
            shard.receive(message, group: group, now: now)
        } else {
            shard.forward(message, group: group, to: leader)
        }
    }

    // MARK: Liveness

    /// A turn of the heartbeat thread.
    func pulse() {
        heartbeats += 1
        let loopAge = now < stalledUntil ? now - stalledSince : .zero
        for peer in peers {
            let heartbeat = Heartbeat(
                node: node, incarnation: shard.incarnation, sequence: heartbeats, sentAt: now,
                diskAge: writeBegan.map { now - $0 } ?? .zero, loopAge: loopAge, digest: publishedDigests[peer] ?? 0)
            simulation.network.pulse(from: self, to: peer) { receiver in
                receiver.watch { $0.heartbeat(heartbeat, now: receiver.now, into: &$1) }
            }
        }
        watch { $0.tick(now: now, into: &$1) }
        for peer in peers {
            guard let link = links[peer], case .suspected(.silence) = liveness.status(of: peer),
                liveness.silence(of: peer, now: now) >= .seconds(1)
            else { continue }
            loop(after: .microseconds(10)) { [unowned self] in
                simulation.network.close(link, by: link.end(of: self))
            }
        }
        thread(after: LivenessConfiguration().interval) { [unowned self] in pulse() }
    }

    /// Lets the detector see something and hands its verdicts to the loop.
    func watch(_ body: (inout NodeLiveness, inout [LivenessVerdict]) -> Void) {
        var verdicts: [LivenessVerdict] = []
        body(&liveness, &verdicts)
        guard !verdicts.isEmpty else { return }
        loop(after: .microseconds(10)) { [unowned self] in
            for verdict in verdicts { take(verdict) }
            setNeedsFlush()
        }
    }

    func take(_ verdict: LivenessVerdict) {
        switch verdict {
        case .up(let peer, let incarnation):
            simulation.trace.note(node, "up", UInt64(peer.rawValue), UInt64(incarnation.rawValue))
            shard.nodeUp(peer, incarnation, now: now)
            gateway.nodeUp(peer)
        case .suspected(let peer, let reason):
            simulation.trace.tell("\(node) suspects \(peer): \(reason)")
            simulation.trace.note(node, "suspects", UInt64(peer.rawValue), 0)
            shard.nodeSuspected(peer, now: now)
            gateway.linkReset(peer)
        case .stalled(let time):
            simulation.trace.note(node, "stalled", time.nanoseconds, 0)
            shard.nodeStalled(now: now)
        }
    }

    /// A connection of a dead process was reset by its kernel.
    func peerReset(_ peer: NodeID, _ incarnation: Incarnation) {
        watch { $0.linkReset(peer, incarnation, now: now, into: &$1) }
    }

    func receiveDigests() {
        for peer in peers {
            guard case .up = liveness.status(of: peer), let heartbeat = liveness.report(of: peer) else { continue }
            shard.received(digest: heartbeat.digest, from: peer, now: now)
        }
    }
}
