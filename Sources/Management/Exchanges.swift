import Broker
import Hummingbird
package import Topology

/// `/api/exchanges`.
struct Exchanges {
    let view: NodeView

    func addRoutes(to group: RouterGroup<ManagementContext>) {
        group.get("exchanges") { _, context in
            let visitor = context.visitor
            return try await view.look { broker in
                broker.topology.virtualHosts.filter { visitor.sees(vhost: $0.name, in: broker.topology) }
                    .flatMap { broker.topology.exchanges(vhost: $0.name) }.map { ExchangeView($0) }
            }
        }
        group.get("exchanges/:vhost") { _, context in
            let vhost = try context.part("vhost")
            let visitor = context.visitor
            return try await view.look { broker in
                _ = try VirtualHosts.find(vhost, visitor, broker)
                return broker.topology.exchanges(vhost: vhost).map { ExchangeView($0) }
            }
        }
        group.get("exchanges/:vhost/:name") { _, context in
            let vhost = try context.part("vhost")
            let name = Exchanges.name(try context.part("name"))
            let visitor = context.visitor
            return try await view.look { broker in
                _ = try VirtualHosts.find(vhost, visitor, broker)
                guard let record = broker.topology.exchange(name, vhost: vhost) else { throw HTTPError(.notFound) }
                return ExchangeView(record)
            }
        }
    }

    /// The default exchange has a name in paths only.
    static func name(_ part: String) -> String { part == "amq.default" ? "" : part }
}

/// An exchange in RabbitMQ's JSON.
package struct ExchangeView: ResponseEncodable, Sendable {
    package var name: String
    package var vhost: String
    package var type: String
    package var durable: Bool
    package var auto_delete: Bool
    package var `internal`: Bool
    package var arguments: JSON
    package var user_who_performed_action: String

    package init(_ record: ExchangeRecord) {
        name = record.name
        vhost = record.vhost
        type = record.type.rawValue
        durable = record.durable
        auto_delete = record.autoDelete
        `internal` = record.isInternal
        arguments = JSON(record.arguments)
        user_who_performed_action = record.user.isEmpty ? "rmq-internal" : record.user
    }
}
