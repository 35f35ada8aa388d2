package import Primitives

/// The kinds of faults that a storm makes.
public enum StormFaultKind: String, CaseIterable, Sendable {
    /// `kill -9` of a node, later its start.
    case kill
    /// All nodes at once.
    case killAll = "kill-all"
    /// A graceful stop, later the start.
    case stop
    /// SIGSTOP, later SIGCONT.
    case pause
    /// A node is cut off from all others.
    case cutNode = "cut-node"
    /// Two nodes do not see each other.
    case cutPair = "cut-pair"
    /// What a node sends to one or all others is lost, or what it would receive.
    case cutOneWay = "cut-one-way"
    /// Each node sees its two neighbours only.
    case ring
    /// A node's disk runs full.
    case fillDisk = "fill-disk"
    /// A node's disk freezes again and again.
    case slowDisk = "slow-disk"
    /// A node's disk freezes.
    case stallDisk = "stall-disk"
    /// Bits of a node's data are flipped while it is down.
    case corrupt
    /// A client loses its connection.
    case disconnect

    /// Packet filter and mounts are for root only.
    public var needsRoot: Bool {
        switch self {
        case .kill, .killAll, .stop, .pause, .corrupt, .disconnect: false
        case .cutNode, .cutPair, .cutOneWay, .ring, .fillDisk, .slowDisk, .stallDisk: true
        }
    }

    /// It needs a node's data on a file system of its own.
    var needsOwnDisk: Bool { self == .fillDisk || self == .slowDisk || self == .stallDisk }
    /// It happens alone; others may come in twos.
    var isAlone: Bool { self == .killAll || self == .ring || self == .corrupt }
}

/// One fault with everything that was drawn for it.
package struct StormFault: Hashable, Sendable {
    /// Which packets a cut loses, as the node sees it.
    package enum Way: String, Sendable { case both, out, `in` }

    /// One after the other.
    package enum Step: Hashable, Sendable {
        /// Scripts with their arguments, at the same time.
        case run([[String]])
        /// Until the script says yes.
        case await([String])
        case rest(Interval)
    }

    package var kind: StormFaultKind
    /// From 1; of a disconnected client it says which one, round and round.
    package var node: Int
    /// The other node of a cut; nil for all.
    package var peer: Int?
    package var way = Way.both
    package var milliseconds: UInt64
    /// Of damage: flipped bytes, where they lie, and whether the node was killed before or stopped.
    package var bytes = 0
    package var seed: UInt64 = 0
    package var isAfterKill = false

    package init(kind: StormFaultKind, node: Int, milliseconds: UInt64) {
        self.kind = kind
        self.node = node
        self.milliseconds = milliseconds
    }

    /// What the scripts are told.
    ///
    /// - Parameter nodes: how many there are.
    package func steps(nodes: Int) -> [Step] {
        let name = String(node)
        let seconds = "\(milliseconds / 1_000).\(Self.threeDigits(milliseconds % 1_000))"
        func down(_ how: String) -> [Step] {
            [
                .run([["Cluster/node", name, how]]), .rest(.milliseconds(milliseconds)),
                .run([["Cluster/node", name, "start", "--no-wait"]]),
            ]
        }
        switch kind {
        case .kill: return down("kill")
        case .stop: return down("stop")
        case .killAll:
            let all = (1...nodes).map(String.init)
            return [
                .run(all.map { ["Cluster/node", $0, "kill"] }), .rest(.milliseconds(milliseconds)),
                .run(all.map { ["Cluster/node", $0, "start", "--no-wait"] }),
            ]
        case .pause: return [.run([["Chaos/pause-node", name, "--for", seconds]])]
        case .cutNode, .cutPair, .cutOneWay:
            var words = ["Chaos/partition", name]
            if let peer { words += ["--from", String(peer)] }
            if way != .both { words += ["--one-way", way.rawValue] }
            return [.run([words + ["--for", seconds]])]
        case .ring: return [.run([["Chaos/partition", "ring", "--for", seconds]])]
        case .fillDisk: return [.run([["Chaos/fill-disk", name, "--for", String((milliseconds + 999) / 1_000)]])]
        case .slowDisk: return [.run([["Chaos/slow-disk", name, "--for", seconds]])]
        case .stallDisk: return [.run([["Chaos/slow-disk", name, "--for", seconds, "--stall"]])]
        case .corrupt:
            // The others have what this node will miss.
            return [
                .await(["Cluster/status"]), .run([["Cluster/node", name, isAfterKill ? "kill" : "stop"]]),
                .run([["Chaos/corrupt", name, "--bytes", String(bytes), "--seed", String(seed)]]),
                .run([["Cluster/node", name, "start", "--no-wait"]]),
            ]
        case .disconnect: return []
        }
    }

    /// Nodes whose processes it ends.
    ///
    /// - Parameter nodes: how many there are.
    package func downed(nodes: Int) -> Set<Int> {
        switch kind {
        case .kill, .stop, .corrupt: [node]
        case .killAll: Set(1...nodes)
        default: []
        }
    }

    /// One line.
    package var text: String {
        let time = "for \((Double(milliseconds) / 1_000).fixed(2)) s"
        return switch kind {
        case .kill: "kill node \(node) \(time)"
        case .stop: "stop node \(node) \(time)"
        case .killAll: "kill all nodes \(time)"
        case .pause: "pause node \(node) \(time)"
        case .cutNode, .cutPair, .cutOneWay: "\(cutText) \(time)"
        case .ring: "each node sees its two neighbours only \(time)"
        case .fillDisk: "the disk of node \(node) is full \(time)"
        case .slowDisk: "the disk of node \(node) is slow \(time)"
        case .stallDisk: "the disk of node \(node) stalls \(time)"
        case .corrupt: "\(isAfterKill ? "kill" : "stop") node \(node), damage \(bytes) bytes, start it"
        case .disconnect: "client \(node) loses its connection"
        }
    }

    private var cutText: String {
        let others = peer.map { "node \($0)" } ?? "its peers"
        return switch way {
        case .both: "cut node \(node) off from \(others)"
        case .out: "lose what node \(node) sends to \(others)"
        case .in: "lose what node \(node) would get from \(others)"
        }
    }

    private static func threeDigits(_ number: UInt64) -> String {
        let digits = String(number)
        return String(repeating: "0", count: 3 - digits.count) + digits
    }
}
