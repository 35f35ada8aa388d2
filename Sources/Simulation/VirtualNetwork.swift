import Primitives
import QueueClient
import Raft
import Replication

/// One incarnation of the data connection between two nodes. What belongs to an end is indexed by it: 0 is the lower
/// node.
///
/// Like a TCP connection it keeps the order and loses nothing until it breaks; then each end learns of it in its own
/// time, and what was on its way arrives up to that moment or not at all.
final class VirtualLink {
    let ends: [SimulatedProcess]
    /// The end has been told of the link.
    var isUp = [false, false]
    /// The end has been told that it is gone, or has given it up.
    var isClosed = [false, false]
    /// Nothing that is sent arrives any more.
    var isBroken = false
    /// What was on its way to the end when the link broke still arrives.
    var deliversLeftovers = [false, false]
    var lastArrival = [Instant.zero, Instant.zero]
    /// What waits for the direction to be open again.
    var held: [[Bytes]] = [[], []]
    /// Bytes on their way to the end.
    var bytes = [0, 0]
    /// The sender to the end was told that it has to wait.
    var isBackedUp = [false, false]
    let began: Instant

    init(_ lower: SimulatedProcess, _ upper: SimulatedProcess) {
        ends = [lower, upper]
        began = lower.now
    }

    func end(of process: SimulatedProcess) -> Int { ends[0] === process ? 0 : 1 }
    var isUsable: Bool { !isBroken && !isClosed[0] && !isClosed[1] }
}

/// The connections between all pairs of nodes, and what is wrong with them.
final class VirtualNetwork {
    private unowned let simulation: Simulation
    private let size: Int
    /// By pair; see `place`.
    private var links: [VirtualLink?]
    /// By ordered pair: the number of partitions that silence this direction.
    private var cuts: [Int]
    private var slowness: [UInt64]
    private var disturbances: [Instant]
    private var random: SeededRandom

    init(_ simulation: Simulation, size: Int, random: SeededRandom) {
        self.simulation = simulation
        self.size = size
        self.random = random
        links = Array(repeating: nil, count: size * size)
        cuts = Array(repeating: 0, count: size * size)
        slowness = Array(repeating: 1, count: size * size)
        disturbances = Array(repeating: .zero, count: size * size)
    }

    private func place(_ from: NodeID, _ to: NodeID) -> Int {
        Int(from.rawValue - 1) * size + Int(to.rawValue - 1)
    }

    private func pair(_ a: NodeID, _ b: NodeID) -> Int { place(min(a, b), max(a, b)) }

    func isCut(_ from: NodeID, _ to: NodeID) -> Bool { cuts[place(from, to)] > 0 }

    private func delay(_ from: NodeID, _ to: NodeID) -> Interval {
        let plan = simulation.plan
        let base = plan.latency.nanoseconds + random.next(below: plan.jitter.nanoseconds + 1)
        return Interval(nanoseconds: base * slowness[place(from, to)])
    }

    // MARK: Connecting

    /// Connects what is not connected and can be.
    func dial() {
        for a in 1..<UInt16(size) {
            for b in a + 1...UInt16(size) { dial(NodeID(a), NodeID(b)) }
        }
    }

    private func dial(_ a: NodeID, _ b: NodeID) {
        guard let lower = simulation.process(a), let upper = simulation.process(b), !lower.isPaused, !upper.isPaused,
            !isCut(a, b), !isCut(b, a)
        else { return }
        if let old = links[pair(a, b)], old.ends[0] === lower, old.ends[1] === upper,
            !old.isClosed[0] && !old.isClosed[1]
        {
            return
        }
        if random.oneIn(3) { return }
        let link = VirtualLink(lower, upper)
        links[pair(a, b)] = link
        for end in 0...1 {
            let wait = delay(a, b) + delay(b, a) + Interval(nanoseconds: random.next(below: 2_000_000))
            link.lastArrival[end] = simulation.now + wait
            let report = link.ends[1 - end].bootstrap
            link.ends[end].loop(after: wait) { [process = link.ends[end]] in process.linkUp(link, report) }
        }
    }

    // MARK: Sending

    func send(_ payload: Bytes, from sender: SimulatedProcess, over link: VirtualLink) {
        guard !link.isBroken else { return }
        let end = 1 - link.end(of: sender)
        let loss = simulation.plan
        guard loss.rawLoss > 0 || loss.clientLoss > 0, simulation.hasFaults else {
            return forward(payload, to: end, over: link)
        }
        for item in PeerPayloadItem.items(of: payload) {
            let chance: UInt64
            switch item.kind {
            case .raft: chance = loss.rawLoss
            case .client, .leader: chance = loss.clientLoss
            default: chance = 0
            }
            guard random.next(below: 1_000) < chance else {
                forward(item.payload, to: end, over: link)
                continue
            }
            switch random.next(below: 3) {
            case 0: break
            case 1:
                forward(item.payload, to: end, over: link)
                straggle(item.payload, to: end, over: link)
            default: straggle(item.payload, to: end, over: link)
            }
        }
    }

    private func forward(_ payload: Bytes, to end: Int, over link: VirtualLink) {
        let receiver = link.ends[end]
        let sender = link.ends[1 - end]
        link.bytes[end] += payload.count
        if link.bytes[end] > simulation.plan.backedUpBytes && !link.isBackedUp[end] {
            link.isBackedUp[end] = true
            sender.linkBackedUp(receiver.node, link)
        }
        if isCut(sender.node, receiver.node) || !link.held[end].isEmpty {
            link.held[end].append(payload)
            return
        }
        arrive(payload, at: simulation.now + delay(sender.node, receiver.node), end: end, over: link)
    }

    private func arrive(_ payload: Bytes, at time: Instant, end: Int, over link: VirtualLink) {
        link.lastArrival[end] = max(link.lastArrival[end], time)
        link.ends[end].loop(at: link.lastArrival[end]) { [unowned self] in
            link.bytes[end] -= payload.count
            if link.isBackedUp[end] && link.bytes[end] <= simulation.plan.backedUpBytes / 2 {
                link.isBackedUp[end] = false
                link.ends[1 - end].linkDrained(link.ends[end].node, link)
            }
            deliver(payload, end: end, over: link)
        }
    }

    /// A message on its own, past others.
    private func straggle(_ payload: Bytes, to end: Int, over link: VirtualLink) {
        let wait = Interval(nanoseconds: random.next(below: random.oneIn(4) ? 400_000_000 : 10_000_000))
        link.ends[end].loop(after: wait) { [unowned self] in deliver(payload, end: end, over: link) }
    }

    private func deliver(_ payload: Bytes, end: Int, over link: VirtualLink) {
        guard link.isUp[end], !link.isClosed[end], !link.isBroken || link.deliversLeftovers[end] else { return }
        link.ends[end].received(payload, from: link.ends[1 - end].node)
    }

    // MARK: Breaking

    /// The connection between two nodes breaks.
    func reset(_ a: NodeID, _ b: NodeID) {
        guard let link = links[pair(a, b)], !link.isBroken else { return }
        let isSuspect = random.oneIn(2)
        abandon(link)
        for end in 0...1 { notify(link, end, isReset: isSuspect) }
    }

    /// When everything that was sent so far has arrived.
    var busyUntil: Instant {
        links.compactMap { $0 }.filter { !$0.isBroken }.map { max($0.lastArrival[0], $0.lastArrival[1]) }.max() ?? .zero
    }

    /// Every connection breaks: what a lossy one has swallowed, TCP would not have.
    func resetAll() {
        for a in 1..<UInt16(size) {
            for b in a + 1...UInt16(size) { reset(NodeID(a), NodeID(b)) }
        }
    }

    private func abandon(_ link: VirtualLink) {
        link.isBroken = true
        for end in 0...1 {
            link.deliversLeftovers[end] = random.oneIn(2)
            link.held[end] = []
        }
    }

    /// An end gave the link up; the other one is told if it can be.
    func close(_ link: VirtualLink, by end: Int) {
        link.ends[end].linkDown(link)
        if !link.isBroken { abandon(link) }
        notify(link, 1 - end, isReset: false)
    }

    private func notify(_ link: VirtualLink, _ end: Int, isReset: Bool) {
        let process = link.ends[end]
        let far = link.ends[1 - end]
        guard !isCut(far.node, process.node) else {
            // What is sent again after the partition is answered with a reset.
            simulation.scheduler.after(.milliseconds(200)) { [unowned self] in
                if process.isAlive && !link.isClosed[end] { notify(link, end, isReset: isReset) }
            }
            return
        }
        let wait = delay(far.node, process.node) + Interval(nanoseconds: random.next(below: 3_000_000))
        let time = max(simulation.now + wait, link.deliversLeftovers[end] ? link.lastArrival[end] : .zero)
        process.loop(at: time) {
            if isReset && link.isUp[end] && !link.isClosed[end] { process.peerReset(far.node, far.shard.incarnation) }
            process.linkDown(link)
        }
    }

    /// A process is gone. Its kernel closes its connections, unless the machine is gone too.
    func lost(_ process: SimulatedProcess, isMachine: Bool) {
        for other in 1...UInt16(size) where NodeID(other) != process.node {
            guard let link = links[pair(process.node, NodeID(other))], link.ends.contains(where: { $0 === process })
            else { continue }
            if !link.isBroken { abandon(link) }
            let end = 1 - link.end(of: process)
            link.isClosed[1 - end] = true
            if !isMachine { notify(link, end, isReset: true) }
        }
    }

    // MARK: Partitions and slowness

    func cut(_ from: NodeID, _ to: NodeID) {
        cuts[place(from, to)] += 1
        disturbed(from, to)
    }

    /// When something was wrong between two nodes at last, by pair.
    private func disturbed(_ a: NodeID, _ b: NodeID) {
        disturbances[pair(a, b)] = max(simulation.now, links[pair(a, b)]?.lastArrival.max() ?? .zero)
    }

    /// Whether two nodes have been connected since `start`, and nothing was wrong between them.
    func isCalm(_ a: NodeID, _ b: NodeID, since start: Instant) -> Bool {
        guard let link = links[pair(a, b)], link.isUsable, link.isUp[0], link.isUp[1], !isCut(a, b), !isCut(b, a),
            slowness[place(a, b)] == 1, slowness[place(b, a)] == 1
        else { return false }
        return link.began <= start && disturbances[pair(a, b)] <= start
    }

    func heal(_ from: NodeID, _ to: NodeID) {
        cuts[place(from, to)] -= 1
        disturbed(from, to)
        guard cuts[place(from, to)] == 0, let link = links[pair(from, to)] else { return }
        let end = from < to ? 1 : 0
        let held = link.held[end]
        link.held[end] = []
        guard !link.isBroken else { return }
        // TCP tries again in its own time.
        let time = simulation.now + Interval(nanoseconds: random.next(below: 200_000_000))
        for payload in held { arrive(payload, at: time, end: end, over: link) }
    }

    func setSlowness(_ factor: UInt64, _ from: NodeID, _ to: NodeID) {
        slowness[place(from, to)] = factor
        disturbed(from, to)
    }

    func healAll() {
        for a in 1...UInt16(size) {
            for b in 1...UInt16(size) where a != b {
                while isCut(NodeID(a), NodeID(b)) { heal(NodeID(a), NodeID(b)) }
                setSlowness(1, NodeID(a), NodeID(b))
            }
        }
    }

    // MARK: Heartbeats

    /// Heartbeats have a connection of their own; what a partition holds back is worth nothing later.
    func pulse(from sender: SimulatedProcess, to node: NodeID, _ action: @escaping (SimulatedProcess) -> Void) {
        guard !isCut(sender.node, node), let receiver = simulation.process(node) else { return }
        receiver.thread(after: delay(sender.node, node)) { action(receiver) }
    }
}
