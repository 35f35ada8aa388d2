package import Broker
import Hummingbird
import Topology

/// `/api/connections`, `/api/channels` and `/api/consumers`: the clients of this node.
struct Clients {
    let view: NodeView

    func addRoutes(to group: RouterGroup<ManagementContext>) {
        group.get("connections") { _, context in
            let visitor = context.visitor
            return try await view.look { broker in
                Clients.connections(broker).filter { visitor.seesEverything || $0.user == visitor.name }
            }
        }
        group.get("connections/:name") { _, context in
            let name = try context.part("name")
            let visitor = context.visitor
            return try await view.look { broker in
                guard let found = Clients.connections(broker).first(where: { $0.name == name }) else {
                    throw HTTPError(.notFound)
                }
                guard visitor.seesEverything || found.user == visitor.name else { throw Refusals.accessRefused }
                return found
            }
        }
        group.get("channels") { _, context in
            let visitor = context.visitor
            return try await view.look { broker in
                let node = Nodes.name(of: broker.nodeID, in: broker.topology)
                return (broker.loop?.channelSnapshots() ?? []).map { ChannelView($0, node: node) }
                    .filter { visitor.seesEverything || $0.user == visitor.name }
            }
        }
        group.get("consumers") { _, context in
            let visitor = context.visitor
            return try await view.look { broker in
                Clients.consumers(broker).filter { visitor.sees(vhost: $0.queue.vhost, in: broker.topology) }
            }
        }
        group.get("consumers/:vhost") { _, context in
            let vhost = try context.part("vhost")
            let visitor = context.visitor
            return try await view.look { broker in
                _ = try VirtualHosts.find(vhost, visitor, broker)
                return Clients.consumers(broker).filter { $0.queue.vhost == vhost }
            }
        }
    }

    private static func connections(_ broker: NodeBroker) -> [ConnectionView] {
        let node = Nodes.name(of: broker.nodeID, in: broker.topology)
        return (broker.loop?.connectionSnapshots() ?? []).map { ConnectionView($0, node: node) }
    }

    private static func consumers(_ broker: NodeBroker) -> [ConsumerView] {
        let node = Nodes.name(of: broker.nodeID, in: broker.topology)
        return (broker.loop?.consumerSnapshots() ?? []).map { ConsumerView($0, node: node) }
    }
}

/// A connection in RabbitMQ's JSON.
package struct ConnectionView: ResponseEncodable, Sendable {
    package var name: String
    package var node: String
    package var user: String
    package var vhost: String
    package var type = "network"
    package var `protocol` = "AMQP 0-9-1"
    package var auth_mechanism = "PLAIN"
    package var ssl = false
    package var state: String
    package var host: String
    package var port: Int
    package var peer_host: String
    package var peer_port: Int
    package var channels: Int
    package var channel_max: Int
    package var frame_max: Int
    /// Seconds between heartbeats.
    package var timeout: Int
    package var client_properties: JSON
    /// What the client calls itself.
    package var user_provided_name: String?

    package init(_ snapshot: ConnectionSnapshot, node: String) {
        name = snapshot.name
        self.node = node
        user = snapshot.user
        vhost = snapshot.vhost
        state = snapshot.state
        host = snapshot.host
        port = snapshot.port
        peer_host = snapshot.peerHost
        peer_port = snapshot.peerPort
        channels = snapshot.channels
        channel_max = Int(snapshot.channelMax)
        frame_max = Int(snapshot.frameMax)
        timeout = Int(snapshot.heartbeat)
        client_properties = JSON(snapshot.clientProperties)
        user_provided_name = client_properties["connection_name"]?.string
    }
}

/// A channel in RabbitMQ's JSON.
package struct ChannelView: ResponseEncodable, Sendable {
    /// Messages since the channel was opened.
    package struct Statistics: Codable, Hashable, Sendable {
        package var publish: UInt64
        package var deliver_get: UInt64
    }

    package struct Connection: Codable, Hashable, Sendable {
        package var name: String
    }

    package var name: String
    package var number: Int
    package var node: String
    package var user: String
    package var vhost: String
    package var state = "running"
    package var confirm: Bool
    package var transactional = false
    package var prefetch_count: Int
    package var consumer_count: Int
    package var messages_unacknowledged: Int
    package var messages_unconfirmed: Int
    package var message_stats: Statistics
    package var connection_details: Connection

    package init(_ snapshot: ChannelSnapshot, node: String) {
        name = "\(snapshot.connectionName) (\(snapshot.number))"
        number = Int(snapshot.number)
        self.node = node
        user = snapshot.user
        vhost = snapshot.vhost
        confirm = snapshot.isConfirming
        prefetch_count = Int(snapshot.prefetch)
        consumer_count = snapshot.consumers
        messages_unacknowledged = snapshot.unacknowledged
        messages_unconfirmed = snapshot.unconfirmed
        message_stats = Statistics(publish: snapshot.published, deliver_get: snapshot.delivered)
        connection_details = Connection(name: snapshot.connectionName)
    }
}

/// A consumer in RabbitMQ's JSON.
package struct ConsumerView: ResponseEncodable, Sendable {
    package struct Queue: Codable, Hashable, Sendable {
        package var name: String
        package var vhost: String
    }

    package struct Channel: Codable, Hashable, Sendable {
        package var name: String
        package var number: Int
        package var connection_name: String
        package var node: String
    }

    package var consumer_tag: String
    package var queue: Queue
    package var channel_details: Channel
    package var ack_required: Bool
    package var exclusive: Bool
    package var prefetch_count: Int
    package var active = true
    package var activity_status = "up"

    package init(_ snapshot: ConsumerSnapshot, node: String) {
        consumer_tag = snapshot.tag
        queue = Queue(name: snapshot.queue, vhost: snapshot.vhost)
        channel_details = Channel(
            name: "\(snapshot.connectionName) (\(snapshot.channel))", number: Int(snapshot.channel),
            connection_name: snapshot.connectionName, node: node)
        ack_required = snapshot.ackRequired
        exclusive = snapshot.isExclusive
        prefetch_count = Int(snapshot.prefetch)
    }
}
