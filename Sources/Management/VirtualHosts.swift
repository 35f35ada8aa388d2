import Broker
import Hummingbird
import Replication
package import Topology

/// `/api/vhosts`, and `/api/whoami`.
struct VirtualHosts {
    let view: NodeView

    private struct Myself: ResponseEncodable {
        var name: String
        var tags: [String]
        var is_internal_user: Bool
    }

    func addRoutes(to group: RouterGroup<ManagementContext>) {
        group.get("whoami") { _, context in
            Myself(name: context.visitor.name, tags: context.visitor.tags, is_internal_user: true)
        }
        group.get("vhosts") { _, context in
            let visitor = context.visitor
            return try await view.look { broker in
                broker.topology.virtualHosts.filter { visitor.sees(vhost: $0.name, in: broker.topology) }
                    .map { VirtualHosts.describe($0, broker) }
            }
        }
        group.get("vhosts/:vhost") { _, context in
            let name = try context.part("vhost")
            let visitor = context.visitor
            return try await view.look { broker in
                VirtualHosts.describe(try VirtualHosts.find(name, visitor, broker), broker)
            }
        }
    }

    /// The virtual host that a path names.
    ///
    /// - Throws: 404 when there is none, 401 when the visitor may not see it.
    static func find(_ name: String, _ visitor: Visitor, _ broker: NodeBroker) throws -> VirtualHostRecord {
        guard let record = broker.topology.virtualHost(name) else { throw HTTPError(.notFound) }
        guard visitor.sees(vhost: name, in: broker.topology) else { throw Refusals.accessRefused }
        return record
    }

    private static func describe(_ record: VirtualHostRecord, _ broker: NodeBroker) -> VirtualHostView {
        var view = VirtualHostView(record)
        for node in broker.topology.nodes {
            view.cluster_state[node.name] = broker.isUp(node.id) ? "running" : "stopped"
        }
        for queue in broker.topology.queues(vhost: record.name) {
            guard let status = queue.group.flatMap({ broker.replication.shard.status(of: $0) }) else { continue }
            view.messages_ready += status.messagesReady
            view.messages_unacknowledged += status.messagesUnacknowledged
        }
        view.messages = view.messages_ready + view.messages_unacknowledged
        return view
    }
}

/// A virtual host in RabbitMQ's JSON.
package struct VirtualHostView: ResponseEncodable, Sendable {
    package var name: String
    package var description: String
    package var tags: [String] = []
    package var default_queue_type: String
    package var tracing = false
    package var cluster_state: [String: String] = [:]
    package var messages = 0
    package var messages_ready = 0
    package var messages_unacknowledged = 0

    package init(_ record: VirtualHostRecord) {
        name = record.name
        description = record.text
        default_queue_type = record.defaultQueueType.isEmpty ? "quorum" : record.defaultQueueType
    }
}
