package import Broker
import Foundation
import Hummingbird
import Primitives
import Replication
import Topology

/// `/api/nodes`: the members of the cluster and whether this node hears them.
struct Nodes {
    let view: NodeView

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

    private static func list(_ broker: NodeBroker) -> [NodeStatus] {
        let leader = broker.replication.shard.topologyLeader
        let topology = broker.topology
        // Configured members that never reported for duty are listed too: they are missing.
        let members = broker.replication.shard.status(of: .topology)?.members ?? []
        return Set(topology.nodes.map(\.id) + members).sorted().map { id in
            let record = topology.node(id)
            var status = NodeStatus(
                name: name(of: id, in: topology), running: broker.isUp(id), cluster_leader: id == leader,
                client_address: record?.clientAddress ?? "", management_address: record?.managementAddress ?? "",
                peer_address: record?.peerAddress ?? "")
            if let resources = broker.loop?.resources(of: id) { status.show(resources) }
            return status
        }
    }
}

/// A node in RabbitMQ's JSON. What a node that cannot be reached has of memory and disk is left out, as RabbitMQ does.
package struct NodeStatus: ResponseEncodable {
    package var name: String
    package var type = "disc"
    package var running: Bool
    package var cluster_leader: Bool
    package var client_address: String
    package var management_address: String
    package var peer_address: String
    package var mem_used: UInt64?
    package var mem_limit: UInt64?
    package var mem_alarm: Bool?
    package var disk_free: UInt64?
    package var disk_free_limit: UInt64?
    package var disk_free_alarm: Bool?

    package init(
        name: String, running: Bool, cluster_leader: Bool, client_address: String, management_address: String,
        peer_address: String
    ) {
        self.name = name
        self.running = running
        self.cluster_leader = cluster_leader
        self.client_address = client_address
        self.management_address = management_address
        self.peer_address = peer_address
    }

    /// Fills in memory and disk.
    package mutating func show(_ resources: NodeResources) {
        mem_used = resources.reading.memoryUsed
        mem_limit = resources.limits.memory
        mem_alarm = resources.alarms.contains(.memory)
        disk_free = resources.reading.diskFree
        disk_free_limit = resources.limits.diskFree
        disk_free_alarm = resources.alarms.contains(.disk)
    }
}

extension String {
    /// Percent-decoded, as the parts of a path are.
    var unescaped: String { removingPercentEncoding ?? self }
}
