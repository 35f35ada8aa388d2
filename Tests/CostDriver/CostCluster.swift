import NIOCore
import NIOEmbedded
import Primitives
import Replication

/// What a run could not do.
struct CostFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// Three nodes in one thread, in a time of their own: the same input makes the same steps in every run.
final class CostCluster {
    private(set) var now = Instant(nanoseconds: 1_000_000_000_000)
    var wall: WallTime { WallTime(milliseconds: 1_700_000_000_000 + now.nanoseconds / 1_000_000) }
    private var nodes: [CostNode] = []
    private var lastTick = Instant.zero

    /// The time that a turn of all nodes takes.
    private static let turn = Interval.microseconds(200)
    private static let tick = Interval.milliseconds(20)
    /// Whatever is waited for comes within so many turns.
    private static let patience = 100_000

    init(directory: String) throws {
        let ids = (1...3).map { NodeID($0) }
        for id in ids { nodes.append(try CostNode(id, of: ids, directory: directory, cluster: self)) }
        let members = nodes.map { GroupDescriptor.Member(node: $0.nodeID, store: $0.shard.store) }
        for node in nodes { node.begin(with: members) }
        try run("the nodes to be ready") { nodes.allSatisfy(\.isReady) }
    }

    subscript(id: NodeID) -> CostNode { nodes[Int(id.rawValue) - 1] }

    /// Turns until the condition holds.
    func run(_ what: String, until isMet: () throws -> Bool) throws {
        for _ in 0..<CostCluster.patience {
            if try isMet() { return }
            now = now + CostCluster.turn
            if now - lastTick >= CostCluster.tick {
                lastTick = now
                for node in nodes { node.tick() }
            }
            for node in nodes {
                node.eventLoop.advanceTime(by: .nanoseconds(Int64(CostCluster.turn.nanoseconds)))
                try node.turn()
            }
        }
        throw CostFailure("waited in vain for \(what)")
    }

    /// Who leads a queue, or the first or second node after the leader.
    func node(_ place: Int, of group: GroupID) throws -> CostNode {
        var leader: NodeID?
        try run("a leader of \(group)") {
            leader = nodes[0].leader(of: group).node
            return leader != nil
        }
        return nodes[((leader.map { Int($0.rawValue) - 1 } ?? 0) + place) % nodes.count]
    }
}
