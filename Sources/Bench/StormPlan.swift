package import Primitives

/// Faults at the same time, and the calm after them.
package struct StormRound: Hashable, Sendable {
    /// One or two, on different nodes.
    package var faults: [StormFault]
    package var calm: Interval
}

/// Draws a storm's faults: the same seed gives the same ones. Every kind has its turn before one comes again.
package struct StormPlan: Sendable {
    private let nodes: Int
    private let kinds: [StormFaultKind]
    /// The only node whose data is ever damaged, so that no two nodes miss the same.
    package let victim: Int
    private var random: SeededRandom
    private var deck: [StormFaultKind] = []

    /// A plan for nodes 1 to `nodes`, at least 2.
    ///
    /// - Parameter kinds: not empty, with one that this number of nodes can have.
    package init(seed: UInt64, kinds: [StormFaultKind], nodes: Int) {
        self.nodes = nodes
        self.kinds = kinds.filter { $0 != .ring || (4...5).contains(nodes) }
        precondition(nodes >= 2 && !self.kinds.isEmpty)
        random = SeededRandom(seed: seed)
        victim = 1 + Int(random.next(below: UInt64(nodes)))
    }

    /// What happens next.
    package mutating func next() -> StormRound {
        var faults = [draw(nextKind(), sparing: [])]
        if !faults[0].kind.isAlone && random.oneIn(3) {
            let second = nextKind()
            if second.isAlone {
                deck.append(second)
            } else {
                faults.append(draw(second, sparing: [faults[0].node]))
            }
        }
        return StormRound(faults: faults, calm: .milliseconds(length(200, doublings: 4)))
    }

    private mutating func nextKind() -> StormFaultKind {
        if deck.isEmpty { deck = kinds.shuffled(using: &random) }
        return deck.removeLast()
    }

    private mutating func draw(_ kind: StormFaultKind, sparing spared: Set<Int>) -> StormFault {
        var fault = StormFault(kind: kind, node: node(sparing: spared), milliseconds: 0)
        switch kind {
        case .kill: fault.milliseconds = length(100, doublings: 6)
        case .killAll: fault.milliseconds = length(100, doublings: 4)
        case .stop: fault.milliseconds = length(100, doublings: 5)
        case .pause: fault.milliseconds = length(100, doublings: 7)
        case .cutNode, .ring: fault.milliseconds = length(200, doublings: 6)
        case .cutPair:
            fault.peer = node(sparing: [fault.node])
            fault.milliseconds = length(200, doublings: 6)
        case .cutOneWay:
            fault.way = random.oneIn(2) ? .out : .in
            if random.oneIn(2) { fault.peer = node(sparing: [fault.node]) }
            fault.milliseconds = length(200, doublings: 6)
        case .fillDisk: fault.milliseconds = 1_000 * (2 + random.next(below: 5))
        case .slowDisk: fault.milliseconds = length(1_000, doublings: 3)
        case .stallDisk: fault.milliseconds = length(200, doublings: 5)
        case .corrupt:
            fault.node = victim
            fault.bytes = 1 << Int(random.next(below: 8))
            fault.seed = random.next(below: 1 << 15)
            fault.isAfterKill = random.oneIn(2)
        case .disconnect: fault.node = Int(random.next(below: 1 << 20))
        }
        return fault
    }

    private mutating func node(sparing spared: Set<Int>) -> Int {
        while true {
            let node = 1 + Int(random.next(below: UInt64(nodes)))
            if !spared.contains(node) { return node }
        }
    }

    /// As often in each doubling of `shortest`, in milliseconds.
    private mutating func length(_ shortest: UInt64, doublings: UInt64) -> UInt64 {
        let base = shortest << random.next(below: doublings)
        return base + random.next(below: base)
    }
}
