import Broker
import Foundation
import Hummingbird
import Primitives
import Replication
import Topology

/// `/api/nodes`: the members of the cluster and whether this node hears them.
struct Nodes {
    let view: NodeView

    private struct Node: ResponseEncodable {
        var name: String
        var type: String
        var running: Bool
        var cluster_leader: Bool
        var client_address: String
        var management_address: String
        var peer_address: String
    }

    func addRoutes(to group: RouterGroup<ManagementContext>) {
        group.get("nodes") { _, _ in try await view.look { Nodes.list($0) } }
        group.get("nodes/:name") { _, context in
            let name = try context.part("name")
            guard let node = try await view.look({ Nodes.list($0).first { $0.name == name } }) else {
                throw HTTPError(.notFound)
            }
            return node
        }
    }

    /// A node's name as the metadata has it.
    static func name(of node: NodeID, in topology: Topology) -> String {
        topology.node(node)?.name ?? "node-\(node.rawValue)"
    }

    private static func list(_ broker: NodeBroker) -> [Node] {
        let leader = broker.replication.shard.topologyLeader
        let topology = broker.topology
        // Configured members that never reported for duty are listed too: they are missing.
        let members = broker.replication.shard.status(of: .topology)?.members ?? []
        return Set(topology.nodes.map(\.id) + members).sorted().map { id in
            let record = topology.node(id)
            return Node(
                name: name(of: id, in: topology), type: "disc", running: broker.isUp(id),
                cluster_leader: id == leader, client_address: record?.clientAddress ?? "",
                management_address: record?.managementAddress ?? "", peer_address: record?.peerAddress ?? "")
        }
    }
}

extension String {
    /// Percent-decoded, as the parts of a path are.
    var unescaped: String { removingPercentEncoding ?? self }
}
