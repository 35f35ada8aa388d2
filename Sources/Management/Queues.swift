import AMQP
import Broker
import Foundation
import Hummingbird
import Primitives
import Replication
import Topology

/// `/api/queues`: the queues, and declaring, purging and deleting them.
struct Queues {
    let view: NodeView

    private struct Queue: ResponseEncodable {
        var name: String
        var vhost: String
        var type: String
        var durable: Bool
        var auto_delete: Bool
        var exclusive: Bool
        var arguments: JSON
        var state: String
        var node: String?
        var leader: String?
        var members: [String]
        var online: [String]
        var messages: Int
        var messages_ready: Int
        var messages_unacknowledged: Int
        var consumers: Int
    }

    private struct Declaration: Decodable {
        var durable: Bool?
        var auto_delete: Bool?
        var arguments: JSON?
    }

    func addRoutes(to group: RouterGroup<ManagementContext>) {
        group.get("queues") { _, context in
            let visitor = context.visitor
            return try await view.look { broker in
                broker.topology.queues.filter { visitor.sees(vhost: $0.vhost, in: broker.topology) }
                    .map { Queues.describe($0, broker) }
            }
        }
        group.get("queues/:vhost") { _, context in
            let vhost = try context.part("vhost")
            let visitor = context.visitor
            return try await view.look { broker in
                _ = try VirtualHosts.find(vhost, visitor, broker)
                return broker.topology.queues(vhost: vhost).map { Queues.describe($0, broker) }
            }
        }
        group.get("queues/:vhost/:name") { _, context in
            let place = try Place(context)
            let visitor = context.visitor
            return try await view.look { broker in
                _ = try VirtualHosts.find(place.vhost, visitor, broker)
                return Queues.describe(try place.find(broker), broker)
            }
        }
        group.put("queues/:vhost/:name") { request, context in
            let place = try Place(context)
            let body = try await request.body.collect(upTo: context.maxUploadSize)
            let declaration =
                body.readableBytes == 0
                ? Declaration() : try Queues.decode(Declaration.self, from: [UInt8](body.readableBytesView))
            return try await declare(place, declaration, context.visitor)
        }
        group.delete("queues/:vhost/:name") { request, context in
            let place = try Place(context)
            let conditions = request.uri.queryParameters
            return try await delete(
                place, ifEmpty: conditions["if-empty"] == "true", ifUnused: conditions["if-unused"] == "true",
                context.visitor)
        }
        group.delete("queues/:vhost/:name/contents") { _, context in
            try await purge(try Place(context), context.visitor)
        }
    }

    /// The queue that a path names.
    private struct Place: Sendable {
        var vhost: String
        var name: String

        init(_ context: ManagementContext) throws {
            vhost = try context.part("vhost")
            name = try context.part("name")
        }

        func find(_ broker: NodeBroker) throws -> QueueRecord {
            guard let record = broker.topology.queue(name, vhost: vhost) else { throw HTTPError(.notFound) }
            return record
        }

        /// Finds the virtual host and asks whether the visitor may do this to the queue.
        func check(_ kind: PermissionKind, _ visitor: Visitor, _ broker: NodeBroker) throws {
            _ = try VirtualHosts.find(vhost, visitor, broker)
            guard broker.topology.allows(user: visitor.name, vhost: vhost, kind, name) else {
                throw Refusals.accessRefused
            }
        }
    }

    private static func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch {
            throw HTTPError(.badRequest, message: "the body is not the JSON object that is expected here")
        }
    }

    private static func describe(_ record: QueueRecord, _ broker: NodeBroker) -> Queue {
        let topology = broker.topology
        func name(_ node: NodeID) -> String { Nodes.name(of: node, in: topology) }
        var queue = Queue(
            name: record.name, vhost: record.vhost, type: "quorum", durable: record.durable,
            auto_delete: record.autoDelete, exclusive: record.isExclusive, arguments: JSON(record.arguments),
            state: "running", node: nil, leader: nil,
            members: record.members.map(name), online: record.members.filter { broker.isUp($0) }.map(name),
            messages: 0, messages_ready: 0, messages_unacknowledged: 0, consumers: 0)
        guard let group = record.group else {
            queue.type = "classic"
            if case .transient(let owner, _, _) = record.placement { queue.node = name(owner) }
            if let local = broker.loop?.transientQueueSnapshots().first(where: { $0.id == record.id }) {
                queue.messages_ready = local.ready
                queue.messages_unacknowledged = local.unacknowledged
                queue.consumers = local.consumers
            }
            queue.messages = queue.messages_ready + queue.messages_unacknowledged
            return queue
        }
        queue.leader = broker.leader(of: group).node.map(name)
        queue.node = queue.leader
        if queue.leader == nil { queue.state = "down" }
        if let status = broker.replication.shard.status(of: group) {
            queue.messages_ready = status.messagesReady
            queue.messages_unacknowledged = status.messagesUnacknowledged
            queue.consumers = status.consumers
        }
        queue.messages = queue.messages_ready + queue.messages_unacknowledged
        return queue
    }

    // MARK: Changes

    private func declare(_ place: Place, _ declaration: Declaration, _ visitor: Visitor) async throws -> Response {
        guard let arguments = (declaration.arguments ?? .object([:])).fieldTable else {
            throw HTTPError(.badRequest, message: "arguments must be an object")
        }
        let outcome = try await view.propose { broker in
            try place.check(.configure, visitor, broker)
            guard let loop = broker.loop else { throw HTTPError(.serviceUnavailable) }
            return .declareQueue(
                try loop.declaration(
                    of: place.name, vhost: place.vhost, durable: declaration.durable ?? true,
                    autoDelete: declaration.auto_delete ?? false, arguments: arguments, user: visitor.name))
        }
        try outcome.check()
        guard case .queue(let record, let isCreated) = outcome else { return Response(status: .noContent) }
        // Whoever is told of a new queue finds it with a leader.
        if isCreated { _ = try await view.counts(of: record) }
        return Response(status: isCreated ? .created : .noContent)
    }

    private func delete(
        _ place: Place, ifEmpty: Bool, ifUnused: Bool, _ visitor: Visitor
    ) async throws -> Response {
        let record = try await view.look { broker in
            try place.check(.configure, visitor, broker)
            let record = try place.find(broker)
            try Queues.checkExclusive(record)
            return record
        }
        if ifEmpty || ifUnused {
            guard let counts = try await view.counts(of: record) else { throw NodeView.Timeout() }
            if ifUnused && counts.consumers > 0 { throw HTTPError(.badRequest, message: "the queue is in use") }
            if ifEmpty && counts.ready > 0 { throw HTTPError(.badRequest, message: "the queue is not empty") }
        }
        try await view.propose { _ in
            .deleteQueue(vhost: place.vhost, name: place.name, expected: record.id)
        }.check()
        return Response(status: .noContent)
    }

    private func purge(_ place: Place, _ visitor: Visitor) async throws -> Response {
        let record = try await view.look { broker in
            try place.check(.read, visitor, broker)
            let record = try place.find(broker)
            try Queues.checkExclusive(record)
            return record
        }
        guard try await view.purge(record) != nil else { throw HTTPError(.notFound) }
        return Response(status: .noContent)
    }

    /// An exclusive queue is its connection's alone.
    private static func checkExclusive(_ record: QueueRecord) throws {
        guard record.isExclusive else { return }
        let resource = TopologyResource.queue(record.name, vhost: record.vhost)
        throw HTTPError(.badRequest, message: "RESOURCE_LOCKED - cannot obtain exclusive access to locked \(resource)")
    }
}
