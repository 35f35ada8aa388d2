import Primitives
import QueueClient
import QuorumQueue

/// Three nodes, each with a replica and a gateway of one queue, over a log that behaves as Raft's and a network that
/// does not behave.
final class ToyCluster {
    enum Weather {
        /// Links keep order and lose nothing, until they are reset, which both sides hear of.
        case resets
        /// Messages between nodes are also dropped, repeated and reordered, and nobody hears of it.
        case storms
    }

    /// A node's replica. A leader that was deposed may not know it yet.
    private final class Node {
        let id: NodeID
        let gateway: ToyGateway
        var machine = QueueMachine()
        var port: LeaderPort?
        var term = Term.zero
        var knownLeader: NodeID?
        /// The index of the term's no-op.
        var noop = LogIndex.zero
        /// Taken, but not in the log yet.
        var pending: [CommandBatch] = []
        /// What a deposed leader may still apply.
        var horizon = Int.max

        init(id: NodeID, gateway: ToyGateway) {
            self.id = id
            self.gateway = gateway
        }
    }

    /// Bodies from the log; now and then they have to be read first.
    private struct Source: MessageBodySource {
        let log: [Entry]
        var random: SeededRandom

        mutating func bodies(of delivery: Delivery) -> MessageBodies? {
            if random.oneIn(4) { return nil }
            let entry = log[Int(delivery.index.rawValue) - 1]
            return MessageBodies(delivery.ordinals, of: MessageTable(entry), in: entry.bodies)
        }
        func isGone(_ delivery: Delivery) -> Bool { false }
        mutating func prefetch(_ delivery: Delivery) {}
    }

    private enum Packet {
        case client(Bytes)
        case leader(Bytes)
    }

    private struct Wire {
        var packets: [Packet] = []
        var isDown = false
    }

    private var random: SeededRandom
    private let weather: Weather
    private var calm = false
    private var nodes: [Node] = []
    private var now = Instant.zero
    private var term = Term.zero
    private var leader = 0
    /// Committed entries.
    private var log: [Entry] = []
    /// The leader's entries behind them.
    private var tail: [Entry] = []
    private var wires: [Wire]
    /// News of elections on their way to a gateway.
    private var news: [(node: Int, leader: NodeID, term: Term)] = []
    private(set) var ledger = Ledger()
    private(set) var elections = 0

    init(seed: UInt64, weather: Weather, manners: ToyGateway.Manners) {
        random = SeededRandom(seed: seed)
        self.weather = weather
        wires = Array(repeating: Wire(), count: 9)
        for number in 1...3 as ClosedRange<UInt16> {
            nodes.append(Node(id: NodeID(number), gateway: ToyGateway(node: NodeID(number), manners: manners)))
        }
        elect(0)
    }

    // MARK: Running

    /// Some of everything.
    func step() {
        now = now + .milliseconds(5)
        for node in nodes { node.gateway.act(&random, &ledger) }
        if random.oneIn(60) { elect(Int(random.next(below: 3))) }
        if random.oneIn(50) { reset(Int(random.next(below: 3)), Int(random.next(below: 3))) }
        if random.oneIn(20) { raiseLinks() }
        progress()
    }

    /// Peace returns: true when everything is delivered, settled and confirmed within `rounds`.
    func quiesce(rounds: Int) -> Bool {
        calm = true
        raiseLinks()
        for first in 0..<3 { for second in 0..<first { reset(first, second) } }
        raiseLinks()
        for _ in 0..<rounds {
            now = now + .milliseconds(5)
            for node in nodes { node.gateway.drain() }
            progress()
            let machine = nodes[leader].machine
            if machine.messagesReady == 0 && machine.messagesUnacknowledged == 0 && tail.isEmpty
                && nodes.allSatisfy({ $0.gateway.isQuiet && $0.pending.isEmpty })
            {
                return true
            }
        }
        return false
    }

    var stateHashes: [UInt64] {
        for node in nodes { apply(node, upTo: log.count) }
        return nodes.map { $0.machine.stateHash() }
    }

    private func progress() {
        spreadNews()
        for from in 0..<3 { for to in 0..<3 { transmit(from, to) } }
        for node in nodes where node.port != nil && node !== nodes[leader] && (calm || random.oneIn(15)) {
            stepDown(node)
        }
        propose()
        commit()
        for node in nodes where calm || random.oneIn(2) { apply(node, upTo: min(log.count, node.horizon)) }
        for place in nodes.indices {
            flushPort(place)
            flushClient(place)
        }
    }

    // MARK: The log

    /// Makes a node the leader: the log's tail survives as far as the new leader has it.
    private func elect(_ place: Int) {
        elections += 1
        term = term.next
        nodes[leader].horizon = log.count
        if !tail.isEmpty { tail.removeLast(Int(random.next(below: UInt64(tail.count + 1)))) }
        leader = place
        let node = nodes[place]
        if node.port != nil { stepDown(node) }
        node.horizon = .max
        node.term = term
        node.knownLeader = node.id
        node.port = LeaderPort()
        node.port?.lead(term: term)
        append(kind: .noop, [])
        node.noop = LogIndex(UInt64(log.count + tail.count))
        for place in 0..<3 { news.append((place, node.id, term)) }
    }

    private func stepDown(_ node: Node) {
        var out: [(GatewayID, LeaderMessage)] = []
        node.port?.stepDown(term: term, hint: random.oneIn(2) ? nodes[leader].id : nil, into: &out)
        node.port = nil
        node.pending = []
        node.horizon = .max
        send(out, from: node)
    }

    private func append(kind: EntryKind, _ batches: ArraySlice<CommandBatch>) {
        var headers = ByteWriter()
        var bodies = ByteWriter()
        for batch in batches {
            headers.write(batch.headers)
            bodies.write(batch.bodies)
        }
        let head = headers.take()
        let body = bodies.take()
        let index = LogIndex(UInt64(log.count + tail.count + 1))
        let entry = head.withUnsafeBytes { head in
            body.withUnsafeBytes {
                Entry(kind: kind, group: group, index: index, term: term, timestamp: .zero, headers: head, bodies: $0)
            }
        }
        tail.append(entry)
    }

    private func propose() {
        let node = nodes[leader]
        while !node.pending.isEmpty {
            let count = min(node.pending.count, 1 + Int(random.next(below: 3)))
            append(kind: .commands, node.pending[..<count])
            node.pending.removeFirst(count)
        }
    }

    private func commit() {
        let count = calm ? tail.count : Int(random.next(below: UInt64(tail.count + 1)))
        log += tail[..<count]
        tail.removeFirst(count)
    }

    private func apply(_ node: Node, upTo end: Int) {
        while Int(node.machine.appliedIndex.rawValue) < end {
            let entry = log[Int(node.machine.appliedIndex.rawValue)]
            var effects: [QueueEffect] = []
            node.machine.apply(entry, into: &effects)
            node.port?.perform(effects)
            if node.port != nil && entry.index == node.noop && entry.term == node.term {
                node.port?.caughtUp(machine: node.machine)
            }
        }
        ownCommands(node)
    }

    private func ownCommands(_ node: Node) {
        var encoder = CommandEncoder()
        node.port?.ownCommands(machine: node.machine, into: &encoder)
        if !encoder.isEmpty { node.pending.append(encoder.take()) }
    }

    // MARK: The network

    private func spreadNews() {
        for _ in 0..<news.count where calm || random.oneIn(6) {
            let item = news.remove(at: Int(random.next(below: UInt64(news.count))))
            let node = nodes[item.node]
            if item.term > node.term || node.port == nil { node.knownLeader = item.leader }
            node.gateway.client.leaderChanged(to: item.leader, term: item.term)
        }
    }

    /// Both sides lose what is between them and hear of it.
    private func reset(_ first: Int, _ second: Int) {
        guard first != second else { return }
        let isDown = !calm && random.oneIn(2)
        for (from, to) in [(first, second), (second, first)] {
            wires[from * 3 + to] = Wire(isDown: isDown)
            nodes[from].gateway.client.linkReset(nodes[to].id)
            guard nodes[from].port != nil else { continue }
            nodes[from].port?.linkReset(nodes[to].id)
            if random.oneIn(2) {
                var encoder = CommandEncoder()
                encoder.gatewayDown(nodes[to].id)
                nodes[from].pending.append(encoder.take())
            }
        }
    }

    private func raiseLinks() {
        for from in 0..<3 {
            for to in 0..<3 where wires[from * 3 + to].isDown {
                wires[from * 3 + to].isDown = false
                nodes[from].gateway.client.nodeUp(nodes[to].id)
                var out: [(GatewayID, LeaderMessage)] = []
                nodes[from].port?.nodeUp(nodes[to].id, into: &out)
                send(out, from: nodes[from])
            }
        }
    }

    private func put(_ packet: Packet, from: Int, to: Int) {
        if !wires[from * 3 + to].isDown { wires[from * 3 + to].packets.append(packet) }
    }

    private func send(_ out: [(GatewayID, LeaderMessage)], from node: Node) {
        for (gateway, message) in out {
            var writer = ByteWriter()
            message.encode(into: &writer)
            put(.leader(writer.take()), from: Int(node.id.rawValue) - 1, to: Int(gateway.node.rawValue) - 1)
        }
    }

    private func transmit(_ from: Int, _ to: Int) {
        let isStormy = weather == .storms && !calm && from != to
        for _ in 0..<wires[from * 3 + to].packets.count where calm || !random.oneIn(3) {
            let count = wires[from * 3 + to].packets.count
            guard count > 0 else { return }
            let place = isStormy && random.oneIn(8) ? Int(random.next(below: UInt64(count))) : 0
            let packet = wires[from * 3 + to].packets.remove(at: place)
            if isStormy && random.oneIn(25) { continue }
            if isStormy && random.oneIn(12) { wires[from * 3 + to].packets.append(packet) }
            arrive(packet, from: from, at: to)
        }
    }

    private func arrive(_ packet: Packet, from: Int, at to: Int) {
        do {
            switch packet {
            case .client(let bytes):
                try lead(ClientMessage(decoding: bytes, from: nodes[from].id), at: nodes[to])
            case .leader(let bytes):
                var events: [QueueClientEvent] = []
                let message = try LeaderMessage(decoding: bytes)
                nodes[to].gateway.client.receive(message, from: nodes[from].id, into: &events)
                for event in events { nodes[to].gateway.handle(event, &ledger) }
            }
        } catch {
            ledger.faults.append("decoding: \(error)")
        }
    }

    private func lead(_ message: ClientMessage, at node: Node) {
        var out: [(GatewayID, LeaderMessage)] = []
        if node.port == nil {
            LeaderPort.disown(message, term: node.term, hint: node.knownLeader, into: &out)
        } else if case .propose(let batch) = node.port?.receive(message, machine: node.machine, into: &out) {
            node.pending.append(batch)
        }
        ownCommands(node)
        send(out, from: node)
    }

    private func flushPort(_ place: Int) {
        guard nodes[place].port?.needsFlush == true else { return }
        var out: [(GatewayID, LeaderMessage)] = []
        var source = Source(log: log, random: SeededRandom(seed: random.next()))
        let isFull = !calm && random.oneIn(5)
        nodes[place].port?.flush(from: &source, isBackedUp: { _ in isFull }, into: &out)
        send(out, from: nodes[place])
    }

    private func flushClient(_ place: Int) {
        var out: [(NodeID, ClientMessage)] = []
        nodes[place].gateway.client.tick(now: now)
        nodes[place].gateway.client.flush(into: &out)
        for (node, message) in out {
            var writer = ByteWriter()
            message.encode(into: &writer)
            put(.client(writer.take()), from: place, to: Int(node.rawValue) - 1)
        }
    }
}
