import Broker
import Hummingbird
import Primitives
package import Topology

/// `/api/bindings`, and the bindings of one queue or exchange.
struct Bindings {
    let view: NodeView

    func addRoutes(to group: RouterGroup<ManagementContext>) {
        group.get("bindings") { _, context in
            let visitor = context.visitor
            return try await view.look { broker in
                broker.topology.virtualHosts.filter { visitor.sees(vhost: $0.name, in: broker.topology) }
                    .flatMap { Bindings.all(in: $0.name, broker.topology) }
            }
        }
        group.get("bindings/:vhost") { _, context in
            let vhost = try context.part("vhost")
            let visitor = context.visitor
            return try await view.look { broker in
                _ = try VirtualHosts.find(vhost, visitor, broker)
                return Bindings.all(in: vhost, broker.topology)
            }
        }
        group.get("queues/:vhost/:name/bindings") { _, context in
            let vhost = try context.part("vhost")
            let name = try context.part("name")
            let visitor = context.visitor
            return try await view.look { broker in
                _ = try VirtualHosts.find(vhost, visitor, broker)
                guard let queue = broker.topology.queue(name, vhost: vhost) else { throw HTTPError(.notFound) }
                return [BindingView(implicit: queue)]
                    + broker.topology.bindings(destination: .queue(name), vhost: vhost).map { BindingView($0) }
            }
        }
        addExchangeRoutes(to: group)
    }

    private func addExchangeRoutes(to group: RouterGroup<ManagementContext>) {
        group.get("exchanges/:vhost/:name/bindings/source") { _, context in
            let vhost = try context.part("vhost")
            let name = Exchanges.name(try context.part("name"))
            let visitor = context.visitor
            return try await view.look { broker in
                _ = try VirtualHosts.find(vhost, visitor, broker)
                guard broker.topology.exchange(name, vhost: vhost) != nil else { throw HTTPError(.notFound) }
                return name.isEmpty
                    ? broker.topology.queues(vhost: vhost).map { BindingView(implicit: $0) }
                    : broker.topology.bindings(source: name, vhost: vhost).map { BindingView($0) }
            }
        }
        group.get("exchanges/:vhost/:name/bindings/destination") { _, context in
            let vhost = try context.part("vhost")
            let name = Exchanges.name(try context.part("name"))
            let visitor = context.visitor
            return try await view.look { broker in
                _ = try VirtualHosts.find(vhost, visitor, broker)
                guard broker.topology.exchange(name, vhost: vhost) != nil else { throw HTTPError(.notFound) }
                return broker.topology.bindings(destination: .exchange(name), vhost: vhost).map { BindingView($0) }
            }
        }
    }

    /// The bindings of a virtual host, those that the default exchange has by itself first.
    private static func all(in vhost: String, _ topology: Topology) -> [BindingView] {
        topology.queues(vhost: vhost).map { BindingView(implicit: $0) }
            + topology.bindings(vhost: vhost).map { BindingView($0) }
    }
}

/// A binding in RabbitMQ's JSON.
package struct BindingView: ResponseEncodable, Sendable {
    package var source: String
    package var vhost: String
    package var destination: String
    package var destination_type: String
    package var routing_key: String
    package var arguments: JSON
    /// What names the binding among those of the same source and destination.
    package var properties_key: String

    package init(_ binding: Binding) {
        source = binding.source
        vhost = binding.vhost
        destination = binding.destination.name
        if case .exchange = binding.destination { destination_type = "exchange" } else { destination_type = "queue" }
        routing_key = String(decoding: binding.routingKey)
        arguments = JSON(binding.arguments)
        properties_key = BindingView.key(routing_key, arguments, isEmpty: binding.arguments.isEmpty)
    }

    /// The binding that every queue has to the default exchange.
    package init(implicit queue: QueueRecord) {
        source = ""
        vhost = queue.vhost
        destination = queue.name
        destination_type = "queue"
        routing_key = queue.name
        arguments = .object([:])
        properties_key = BindingView.key(routing_key, arguments, isEmpty: true)
    }

    /// As RabbitMQ: the routing key, `~` for none, with a checksum of the arguments behind it when there are any.
    private static func key(_ routingKey: String, _ arguments: JSON, isEmpty: Bool) -> String {
        guard isEmpty else {
            let text = Array(arguments.description.utf8)
            let checksum = text.withUnsafeBytes { CRC32C.checksum($0) }
            return routingKey.escaped + "~" + String(checksum, radix: 16)
        }
        return routingKey.isEmpty ? "~" : routingKey.escaped
    }
}
