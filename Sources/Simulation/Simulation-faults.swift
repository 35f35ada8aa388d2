import Primitives
import Raft
import Replication

// What goes wrong, and when.
extension Simulation {
    func beginFaults() {
        chain(plan.crash) { [unowned self] in
            crash(anyNode, isMachine: random.oneIn(3))
        }
        chain(plan.crashAll) { [unowned self] in
            let isMachine = random.oneIn(2)
            for node in nodes { crash(node, isMachine: isMachine) }
        }
        chain(plan.pause) { [unowned self] in
            process(anyNode)?.pause(for: some(.milliseconds(20), .seconds(4)))
        }
        chain(plan.loopStall) { [unowned self] in
            process(anyNode)?.stall(for: some(.milliseconds(20), .seconds(4)))
        }
        chain(plan.partition) { [unowned self] in partition() }
        chain(plan.linkReset) { [unowned self] in
            let (a, b) = anyPair
            network.reset(a, b)
        }
        chain(plan.slowDisk) { [unowned self] in
            let node = anyNode
            process(node)?.diskSlowness = 1 << (1 + random.next(below: 9))
            scheduler.after(some(.milliseconds(100), .seconds(5))) { [unowned self] in
                process(node)?.diskSlowness = 1
            }
        }
        chain(plan.slowLink) { [unowned self] in
            let (a, b) = anyPair
            let factor: UInt64 = 1 << (1 + random.next(below: 8))
            network.setSlowness(factor, a, b)
            if random.oneIn(2) { network.setSlowness(factor, b, a) }
            scheduler.after(some(.milliseconds(100), .seconds(5))) { [unowned self] in
                network.setSlowness(1, a, b)
                network.setSlowness(1, b, a)
            }
        }
        beginDamage()
        chain(plan.dismissal) { [unowned self] in
            if let process = process(anyNode) { dismissSomebody(at: process) }
        }
        chain(plan.stop) { [unowned self] in
            if let process = process(anyNode) { stop(process, patience: 15) }
        }
        chain(plan.transfer) { [unowned self] in
            guard let process = process(anyNode) else { return }
            let target = anyNode
            process.loop(after: .zero) { [unowned self] in transfer(from: process, to: target) }
        }
        chain(plan.clockJump) { [unowned self] in
            coverage.add(.clockJump)
            skew(anyNode, to: random.next(below: plan.largestSkew))
        }
        revive()
    }

    /// A group that the process leads is handed over, or kept if that takes long.
    private func transfer(from process: SimulatedProcess, to target: NodeID) {
        let led = process.shard.replicaGroups.filter { process.shard.replicaState(of: $0)?.role == .leader }
        guard let group = pick(led) else { return }
        process.shard.transfer(group, to: target)
        process.setNeedsFlush()
        process.loop(after: .milliseconds(300)) {
            process.shard.transfer(group, to: nil)
            process.setNeedsFlush()
        }
    }

    /// The process ends in order, as far as that goes: it hands over what it leads first.
    private func stop(_ process: SimulatedProcess, patience: Int) {
        process.loop(after: .milliseconds(20)) { [unowned self] in
            guard hasFaults else { return }
            guard process.shard.ledGroups > 0, patience > 0 else {
                coverage.add(.orderlyStop)
                return crash(process.node, isMachine: false)
            }
            process.shard.handOver(now: now)
            process.setNeedsFlush()
            stop(process, patience: patience - 1)
        }
    }

    /// Something happens to the node of a new leader.
    func hit(_ node: NodeID) {
        switch random.next(below: 6) {
        case 0: process(node)?.pause(for: some(.milliseconds(20), .seconds(2)))
        case 1: isolate(node, isOneWay: false)
        case 2: isolate(node, isOneWay: true)
        case 3:
            crash(node, isMachine: random.oneIn(2))
            crash(anyNode, isMachine: random.oneIn(2))
        default: crash(node, isMachine: random.oneIn(2))
        }
    }

    /// A group that a process leads lets a member go, perhaps that process itself, and takes it in again. Where disks
    /// are damaged it is the damaged one's: the others must be able to do without.
    func dismissSomebody(at process: SimulatedProcess) {
        process.loop(after: .zero) { [unowned self] in
            let led = process.shard.replicaGroups.filter { group in
                let members = process.shard.configurations(of: group).last?.descriptor.members ?? []
                return process.shard.replicaState(of: group)?.role == .leader
                    && members.count { $0.role == .voter } == self.members(of: group).count
            }
            let member = plan.damage == nil ? anyNode : damagedNode
            guard hasFaults, let group = pick(led.filter { members(of: $0).contains(member) }),
                canSpare(member, in: group)
            else { return }
            trace.note(process.node, "dismisses", group.rawValue, UInt64(member.rawValue))
            process.shard.dismiss(member, from: group)
            process.setNeedsFlush()
        }
    }

    /// Nobody hears the node any more, and soon it crashes.
    func mute(_ node: NodeID) {
        let others = nodes.filter { $0 != node }
        for other in others { network.cut(node, other) }
        scheduler.after(Interval(nanoseconds: random.next(below: 1 << (18 + random.next(below: 8))))) {
            [unowned self] in
            guard hasFaults else { return }
            crash(node, isMachine: random.oneIn(2))
            for other in others { network.heal(node, other) }
        }
    }

    var anyNode: NodeID { NodeID(UInt16(1 + random.next(below: UInt64(size)))) }

    private var anyPair: (NodeID, NodeID) {
        let a = anyNode
        var b = anyNode
        while b == a { b = anyNode }
        return (a, b)
    }

    /// A time between the two, short ones more often.
    func some(_ low: Interval, _ high: Interval) -> Interval {
        let span = high.nanoseconds - low.nanoseconds
        return low + Interval(nanoseconds: min(random.next(below: span), random.next(below: span)))
    }

    /// Does something again and again, with this mean time between.
    func chain(_ mean: Interval?, _ action: @escaping () -> Void) {
        guard let mean else { return }
        scheduler.after(Interval(nanoseconds: random.next(below: 2 * mean.nanoseconds))) { [unowned self] in
            guard hasFaults else { return }
            action()
            chain(mean, action)
        }
    }

    /// Nodes that are down start again after a while.
    private func revive() {
        scheduler.after(.milliseconds(20)) { [unowned self] in
            guard hasFaults else { return }
            for node in nodes where process(node) == nil && random.oneIn(30) { start(node) }
            revive()
        }
    }

    private func partition() {
        switch random.next(below: 4) {
        case 0:
            let (a, b) = anyPair
            cut([(a, b)])
        case 1:
            let (a, b) = anyPair
            cut([(a, b), (b, a)])
        case 2: isolate(anyNode, isOneWay: true)
        case 3 where size > 3:
            // Into two halves, of which one is a majority.
            let side = nodes.filter { _ in random.oneIn(2) }
            let others = nodes.filter { !side.contains($0) }
            cut(side.flatMap { a in others.flatMap { b in [(a, b), (b, a)] } })
        default: isolate(anyNode, isOneWay: false)
        }
    }

    private func isolate(_ node: NodeID, isOneWay: Bool) {
        let others = nodes.filter { $0 != node }
        let isDeaf = random.oneIn(2)
        var directions: [(NodeID, NodeID)] = []
        for other in others {
            if !isOneWay || isDeaf { directions.append((other, node)) }
            if !isOneWay || !isDeaf { directions.append((node, other)) }
        }
        cut(directions)
    }

    private func cut(_ directions: [(NodeID, NodeID)]) {
        for (from, to) in directions {
            trace.note(from, "cut", UInt64(to.rawValue), 0)
            network.cut(from, to)
        }
        scheduler.after(some(.milliseconds(50), .seconds(6))) { [unowned self] in
            guard hasFaults else { return }
            for (from, to) in directions {
                trace.note(from, "healed", UInt64(to.rawValue), 0)
                network.heal(from, to)
            }
        }
    }
}
