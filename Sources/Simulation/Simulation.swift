import LogStore
import Primitives
import Replication
import Topology

/// One run of a virtual cluster of three or five nodes: production's replication, node logs, queues and queue clients
/// under load, on a virtual clock, network and disks, with faults, watched at every step.
///
/// Everything happens on the calling thread, in an order that the seed decides.
public final class Simulation {
    let options: SimulationOptions
    let plan: FaultPlan
    let scheduler: Scheduler
    private(set) var network: VirtualNetwork!
    private(set) var checker: Checker!
    var trace: Trace
    var random: SeededRandom
    private var disks: [VirtualDisk] = []
    /// By node; nil while it is down.
    private var running: [SimulatedProcess?] = []
    private var skews: [UInt64] = []
    /// How often each node was started.
    private var starts: [UInt32] = []
    private(set) var failure: SimulationFailure?
    private(set) var operations: UInt64 = 0
    var crashes: UInt64 = 0
    var segmentsRetired: UInt64 = 0
    var coverage = Coverage()
    private var atlases: [FaultAtlas] = []
    /// The node whose disk is being damaged.
    var damagedNode = NodeID(1)
    /// Nodes whose disk was damaged at some time.
    var suspects: Set<NodeID> = []
    /// Until when something was wrong with a node, at last.
    private var disturbances: [NodeID: Instant] = [:]
    /// The node whose store has lost records for good.
    var lostNode: NodeID?
    /// The file `store` of which one copy is damaged.
    var damagedIdentities: Set<DiskFileName> = []
    /// No leader is hunted before this moment, so that there is something to disturb.
    private var nextHunt = Instant.zero
    private var huntsLeft: UInt64 = 0
    /// Faults still happen.
    private(set) var hasFaults = true
    /// Clients only consume any more.
    private(set) var isDraining = false

    /// Nodes of the cluster.
    var size: Int { plan.nodes }
    private static let start = Instant(nanoseconds: 1_000_000_000)

    /// A cluster that has not started yet; `run` does everything.
    public init(_ options: SimulationOptions) {
        self.options = options
        var random = SeededRandom(seed: options.seed &* 0x9E37_79B9 &+ 0x5EED)
        plan = FaultPlan(&random, plant: options.plant)
        let scheduler = Scheduler(start: Simulation.start)
        self.scheduler = scheduler
        trace = Trace(listener: options.traceLine, clock: { scheduler.now })
        self.random = random
        network = VirtualNetwork(self, size: plan.nodes, random: SeededRandom(seed: self.random.next()))
        checker = Checker(self)
        for _ in 0..<plan.nodes {
            disks.append(VirtualDisk())
            atlases.append(FaultAtlas())
            running.append(nil)
            skews.append(self.random.next(below: 5_000))
            starts.append(0)
        }
        damagedNode = anyNode
    }

    var now: Instant { scheduler.now }
    var plant: PlantedBug? { options.plant }
    var processes: [SimulatedProcess] { running.compactMap { $0 } }
    var nodes: [NodeID] { (1...UInt16(size)).map { NodeID($0) } }
    var isHalfway: Bool { now - Simulation.start >= options.duration / 2 }

    func process(_ node: NodeID) -> SimulatedProcess? { running[Int(node.rawValue) - 1] }
    func disk(of node: NodeID) -> VirtualDisk { disks[Int(node.rawValue) - 1] }

    func wall(of node: NodeID) -> WallTime {
        WallTime(
            milliseconds: 1_800_000_000_000 + now.nanoseconds / 1_000_000 + skews[Int(node.rawValue) - 1])
    }

    /// The wall clock of a node is set anew.
    func skew(_ node: NodeID, to milliseconds: UInt64) { skews[Int(node.rawValue) - 1] = milliseconds }

    func atlas(of node: NodeID) -> FaultAtlas { atlases[Int(node.rawValue) - 1] }
    func setAtlas(of node: NodeID, _ change: (inout FaultAtlas) -> Void) { change(&atlases[Int(node.rawValue) - 1]) }

    func countOperation() { operations += 1 }

    /// Something is wrong with a node until then.
    func disturbed(_ node: NodeID, until time: Instant) {
        disturbances[node] = max(disturbances[node] ?? .zero, time)
    }

    /// Whether the process has run since `start`, and nothing was wrong with its node.
    func isCalm(_ process: SimulatedProcess, since start: Instant) -> Bool {
        process.isAlive && process.startedAt <= start && disturbances[process.node] ?? .zero <= start
    }

    func fail(_ invariant: String, _ detail: String) {
        guard failure == nil else { return }
        failure = SimulationFailure(invariant: invariant, detail: detail, time: now)
        trace.tell("FAILED \(invariant): \(detail)")
    }

    // MARK: Processes

    /// Starts a node on its disk.
    func start(_ node: NodeID) {
        guard process(node) == nil else { return }
        let disk = disk(of: node)
        var entropy = SeededRandom(seed: random.next())
        let readErrors = disk.readErrors
        let failedSyncs = disk.failedSyncs
        do throws(LogStoreFailure) {
            var configuration = LogConfiguration(segmentSize: 256 << 10, firstSegmentSize: 64 << 10, readySegments: 1)
            configuration.frameLimit = 128 << 10
            plantBeforeStart(node)
            defer { disk.skipsEqualWrites = false }
            // A clock in production; see `OpenedStore`.
            starts[Int(node.rawValue) - 1] += 1
            var (log, recovered) = try NodeLog.open(
                disk: disk, configuration: configuration,
                firstIncarnation: Incarnation(starts[Int(node.rawValue) - 1]), randomness: &entropy)
            count(recovered)
            checker.recovered(node, recovered)
            guard failure == nil else { return log.close() }
            if plant == .lostRecordsVote { recovered.forgetLoss() }
            let peers = nodes.filter { $0 != node }
            let process = SimulatedProcess(
                self, node: node, peers: peers, disk: disk, log: log, recovered: recovered, random: entropy)
            running[Int(node.rawValue) - 1] = process
            trace.note(node, "start", UInt64(recovered.incarnation.rawValue), UInt64(recovered.report.records))
            process.start()
        } catch {
            // A device that fails or is full ends the process; the next start goes on.
            guard disk.isOff || disk.readErrors > readErrors || disk.failedSyncs > failedSyncs || error.isOutOfSpace
            else {
                return fail("recovery", "\(node): \(error)")
            }
            coverage.add(.failedStart)
            trace.note(node, "failed start", 0, 0)
        }
    }

    private func count(_ recovered: RecoveredStore) {
        let report = recovered.report
        if report.tornBytes > 0 { coverage.add(.tornTail) }
        if report.damagedRecords > 0 { coverage.add(.damagedRecords) }
        if report.readErrors > 0 { coverage.add(.readErrorAtStart) }
        coverage.add(.repeatedDirectory, UInt64(report.repeatedDirectories))
        coverage.add(.damagedFooter, UInt64(report.damagedFooters))
        if !recovered.mayVote {
            coverage.add(.lostRecords)
        } else {
            coverage.add(.groupWithoutVote, UInt64(recovered.groups.count { !$0.mayVote }))
        }
    }

    /// The process of a node ends without warning. Its machine's page cache goes on, unless it ends, too: then what the
    /// disk had not synced may be lost.
    func crash(_ node: NodeID, isMachine: Bool) {
        guard let process = process(node) else {
            // Power may fail during a start.
            if isMachine { losePowerOfDisk(node) }
            return
        }
        crashes += 1
        trace.note(node, isMachine ? "power loss" : "crash", 0, 0)
        running[Int(node.rawValue) - 1] = nil
        network.lost(process, isMachine: isMachine)
        process.crash()
        if isMachine { losePowerOfDisk(node) }
        loseRecords(node)
    }

    /// The node's machine ends, and its disk is replaced by an empty one.
    func replaceDisk(of node: NodeID) {
        crash(node, isMachine: true)
        trace.note(node, "loses its disk", 0, 0)
        count(disk(of: node))
        disks[Int(node.rawValue) - 1] = VirtualDisk()
        atlases[Int(node.rawValue) - 1] = FaultAtlas()
        suspects.remove(node)
        damagedIdentities = damagedIdentities.filter { $0.node != node }
        if lostNode == node { lostNode = nil }
        checker.lostDisk(node)
        coverage.add(.diskLoss)
    }

    private func count(_ disk: VirtualDisk) {
        coverage.add(.readError, disk.readErrors)
        coverage.add(.failedSync, disk.failedSyncs)
    }

    private func losePowerOfDisk(_ node: NodeID) {
        let loss = disk(of: node).crash(&random)
        if loss.sectors > 0 { coverage.add(.unsyncedSectors) }
        if loss.directoryChanges > 0 { coverage.add(.directoryChanges) }
    }

    /// A leader was elected, or has committed for the first time in its term: the moments at which a core that is wrong
    /// about terms is most likely to show it.
    func leaderAdvanced(_ process: SimulatedProcess, isFirstCommit: Bool) {
        if plant == .changeBeforeBarrier && !isFirstCommit { dismissSomebody(at: process) }
        guard hasFaults, plan.leaderHunt > 0 else { return }
        if huntsLeft == 0 {
            guard now >= nextHunt, random.oneIn(plan.leaderHunt) else { return }
            // Several in a row, then a while for the cluster to work.
            huntsLeft = 1 + random.next(below: plan.isDivergent ? 12 : 6)
        }
        // Leaders that keep what they append at first to themselves make logs that go apart; one that dies at its first
        // commit leaves it to the others whether that lasts.
        guard random.oneIn(2) || (plan.isDivergent && isFirstCommit) else { return }
        huntsLeft -= 1
        if huntsLeft == 0 { nextHunt = now + Interval(nanoseconds: random.next(below: 6_000_000_000)) }
        if !isFirstCommit && (plan.isDivergent || random.oneIn(2)) { return mute(process.node) }
        let spread: UInt64 = plan.isDivergent ? 8 : isFirstCommit ? 12 : 18
        let wait = Interval(nanoseconds: random.next(below: 1 << (8 + random.next(below: spread))))
        scheduler.after(wait) { [unowned self] in
            guard hasFaults, process.isAlive else { return }
            if isFirstCommit { crash(process.node, isMachine: random.oneIn(2)) } else { hit(process.node) }
        }
    }

    // MARK: The run

    /// Runs it all.
    public func run() -> SimulationResult {
        for node in nodes {
            scheduler.after(Interval(nanoseconds: random.next(below: 300_000_000))) { [unowned self] in start(node) }
        }
        trace.tell("\(plan)")
        dial()
        scheduler.after(.milliseconds(250)) { [unowned self] in compare() }
        scheduler.after(.milliseconds(800)) { [unowned self] in beginFaults() }
        advance(to: Simulation.start + options.duration)
        if failure == nil { finish() }
        let simulated = now - Simulation.start
        for disk in disks { count(disk) }
        let result = SimulationResult(
            seed: options.seed, nodes: size, queues: plan.queues, hash: trace.hash, operations: operations,
            elections: checker.elections, crashes: crashes, snapshotsTaken: checker.snapshots.taken,
            snapshotsInstalled: checker.snapshots.installed, segmentsRetired: segmentsRetired, repairs: checker.repairs,
            confirmed: checker.confirmedCount, events: scheduler.count, simulated: simulated, coverage: coverage,
            failure: failure)
        for process in processes { process.crash() }
        scheduler.clear()
        return result
    }

    private func advance(to limit: Instant) { while failure == nil, scheduler.step(until: limit) {} }

    private func dial() {
        network.dial()
        scheduler.after(Interval(nanoseconds: 4_000_000 + random.next(below: 12_000_000))) { [unowned self] in dial() }
    }

    private func compare() {
        checker.compareStates()
        scheduler.after(.milliseconds(500)) { [unowned self] in compare() }
    }

    // MARK: The final phase

    /// No more faults: everything must recover, drain and agree.
    private func finish() {
        hasFaults = false
        network.healAll()
        if plan.rawLoss > 0 || plan.clientLoss > 0 { network.resetAll() }
        for node in nodes {
            process(node)?.diskSlowness = 1
            disk(of: node).readErrorsLeft = 0
            disk(of: node).failsNextSync = false
            disk(of: node).changesLeft = nil
            disk(of: node).free()
            start(node)
        }
        trace.tell("the faults are over")
        // What faults have delayed until now is not over yet.
        let busy = processes.map { max($0.busyUntil, $0.diskBusyUntil) }
        advance(to: busy.reduce(max(now, network.busyUntil), max))
        let healed = now
        reach("every group has a leader within 2 s", within: .seconds(2)) { leaderless }
        reach("every member votes within 10 s", within: .seconds(10)) { voteless }
        isDraining = true
        reach("all queues drain, and every request is answered", within: .seconds(30)) { undrained }
        reach("all replicas agree", within: .seconds(5)) { differing }
        reach("what rotted is repaired, read or not", within: .seconds(60)) { rotten }
        reach("disk use is back to what is needed", within: .seconds(60)) { overfull }
        guard failure == nil else { return }
        checker.compareStates()
        checker.account()
        trace.tell("all is well after \(Trace.seconds(Instant(nanoseconds: (now - healed).nanoseconds)))")
    }

    /// Lets time pass until `problem` finds none.
    private func reach(_ aim: String, within limit: Interval, _ problem: () -> String?) {
        let deadline = now + limit
        while failure == nil {
            guard let found = problem() else { return }
            if now >= deadline { return fail("liveness", "\(aim): \(found)") }
            advance(to: min(deadline, now + .milliseconds(20)))
        }
    }

    /// The groups that should exist.
    var expectedGroups: [GroupID] { [.topology] + checker.topology.queues.compactMap(\.group) }

    /// Who should be the members of a group.
    func members(of group: GroupID) -> [NodeID] { checker.topology.queue(group: group)?.members ?? nodes }

    private var leaderless: String? {
        if checker.topologyApplied == .zero { return "the cluster was not founded" }
        for group in expectedGroups
        where !processes.contains(where: { $0.shard.replicaState(of: group)?.isServing ?? false }) {
            return "\(group) has no leader; " + states(of: group)
        }
        return nil
    }

    /// A member that is not a voter; nil when all are. Where damage cost a replica its vote, it may be a learner, and
    /// what it knows of members says nothing.
    var voteless: String? {
        for group in expectedGroups {
            let intended = members(of: group)
            for process in processes where intended.contains(process.node) {
                guard let state = process.shard.replicaState(of: group),
                    let members = process.shard.configurations(of: group).last?.descriptor.members
                else { return "\(group) has no replica on \(process.node)" }
                guard state.mayVote else { continue }
                guard state.isVoter else { return "\(process.node) does not vote in \(group)" }
                let isWhole = members.allSatisfy { $0.role == .voter || !isCounted($0.node, in: group) }
                guard isWhole, members.count == intended.count else {
                    return "\(process.node) has \(members) in \(group)"
                }
            }
        }
        return nil
    }

    private func isCounted(_ node: NodeID, in group: GroupID) -> Bool {
        process(node)?.shard.replicaState(of: group)?.mayVote ?? true
    }

    private var undrained: String? {
        if (1...plan.queues).contains(where: { checker.topology.queue("q\($0)", vhost: "/") == nil }) {
            return "a queue was not declared"
        }
        for group in expectedGroups where checker.models[group]?.liveCount ?? 0 > 0 {
            return "\(group) still holds \(checker.models[group]?.description ?? "")"
        }
        for process in processes {
            if !process.gateway.isSettled { return "\(process.node) waits for answers: \(process.gateway.unsettled)" }
            if !process.gateway.isIdle { return "\(process.node) has deliveries to answer" }
        }
        return nil
    }

    private var rotten: String? {
        for process in processes {
            if let place = process.rottenEntry { return "\(process.node) has a damaged entry at \(place)" }
        }
        return nil
    }

    private var differing: String? {
        for group in expectedGroups {
            let intended = members(of: group)
            let processes = processes.filter { intended.contains($0.node) }
            let states = processes.map { $0.shard.replicaState(of: group) }
            guard let first = states.first, let first else { return "\(group) has no replica" }
            for state in states {
                guard let state else { return "\(group) lacks a replica" }
                if state.applied != first.applied {
                    return "\(group) is applied to \(first.applied) and \(state.applied)"
                }
                if state.leader == nil || state.leader != first.leader { return "the leader of \(group) is in dispute" }
            }
            for process in processes {
                guard let last = process.shard.replicaState(of: group)?.lastIndex, last > process.shard.base(of: group),
                    process.shard.location(of: group, at: last) == nil
                else { continue }
                return "\(process.node) knows no place on its disk for \(last) of \(group)"
            }
            if let model = checker.models[group], model.applied != first.applied { return "\(group) lags" }
        }
        return nil
    }
}
