import Broker
import Hummingbird
import Replication
import Topology

/// `/api/overview`: what the whole cluster is.
struct Overview {
    let view: NodeView
    /// Where this API is.
    let managementAddress: ListenAddress

    /// The version of RabbitMQ whose behaviour clients may expect.
    static let rabbitMQVersion = "4.3.0"

    private struct Totals: ResponseEncodable {
        var management_version: String
        var product_name: String
        var product_version: String
        var rabbitmq_version: String
        var cluster_name: String
        var node: String
        var object_totals: Objects
        var queue_totals: Messages
        var listeners: [Listener]
    }

    private struct Listener: Codable, Sendable {
        var node: String
        var `protocol`: String
        var ip_address: String
        var port: Int

        init(_ node: String, _ protocol: String, _ address: ListenAddress) {
            self.node = node
            self.protocol = `protocol`
            ip_address = address.host
            port = address.port
        }
    }

    private struct Objects: Codable, Sendable {
        var channels: Int
        var connections: Int
        var consumers: Int
        var exchanges: Int
        var queues: Int
    }

    private struct Messages: Codable, Sendable {
        var messages: Int
        var messages_ready: Int
        var messages_unacknowledged: Int
    }

    func addRoutes(to group: RouterGroup<ManagementContext>) {
        group.get("overview") { _, _ in try await view.look { totals($0) } }
    }

    private func totals(_ broker: NodeBroker) -> Totals {
        let topology = broker.topology
        var messages = Messages(messages: 0, messages_ready: 0, messages_unacknowledged: 0)
        for queue in topology.queues {
            guard let status = queue.group.flatMap({ broker.replication.shard.status(of: $0) }) else { continue }
            messages.messages_ready += status.messagesReady
            messages.messages_unacknowledged += status.messagesUnacknowledged
        }
        messages.messages = messages.messages_ready + messages.messages_unacknowledged
        let exchanges = topology.virtualHosts.reduce(0) { $0 + topology.exchanges(vhost: $1.name).count }
        let node = Nodes.name(of: broker.nodeID, in: topology)
        let amqp = broker.loop?.listenAddresses ?? []
        return Totals(
            management_version: Overview.rabbitMQVersion, product_name: "Warren",
            product_version: NodeBroker.version, rabbitmq_version: Overview.rabbitMQVersion,
            cluster_name: broker.clusterName, node: node,
            object_totals: Objects(
                channels: broker.loop?.channelSnapshots().count ?? 0,
                connections: broker.loop?.connectionSnapshots().count ?? 0,
                consumers: broker.loop?.consumerSnapshots().count ?? 0, exchanges: exchanges,
                queues: topology.queues.count), queue_totals: messages,
            listeners: amqp.map { Listener(node, "amqp", $0) } + [Listener(node, "http", managementAddress)])
    }
}
