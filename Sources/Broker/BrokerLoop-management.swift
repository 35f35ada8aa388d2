public import AMQP
import NIOCore
public import Topology

/// What operators ask of a broker, besides the snapshots.
extension BrokerLoop {
    /// Users that may only come from the loopback interface.
    public var loopbackUsers: Set<String> { configuration.loopbackUsers }

    /// The addresses at which AMQP clients are listened for.
    public var listenAddresses: [ListenAddress] {
        listeners.compactMap { channel in
            guard let address = channel.localAddress, let port = address.port else { return nil }
            return ListenAddress(host: address.ipAddress ?? "", port: port)
        }
    }

    /// The declaration of a queue, checked and placed as a client's `queue.declare` is.
    ///
    /// - Throws: 403 for a reserved name, 406 for arguments that no queue can have.
    public func declaration(
        of name: String, vhost: String, durable: Bool, autoDelete: Bool, arguments: FieldTable, user: String
    ) throws(AMQPError) -> QueueDeclaration {
        let resource = TopologyResource.queue(name, vhost: vhost)
        guard (1...255).contains(name.utf8.count) else {
            throw AMQPError(.preconditionFailed, "a queue's name has 1 to 255 bytes", method: QueueDeclare.id)
        }
        guard !ExchangeRecord.isReserved(name) else {
            throw AMQPError(
                .accessRefused, "\(resource) contains reserved prefix 'amq.*'", method: QueueDeclare.id)
        }
        let declare = QueueDeclare(queue: name, durable: durable, autoDelete: autoDelete, arguments: arguments)
        let checked = try QueueArguments(declare, name: name, vhost: vhost)
        let placement =
            checked.isTransient
            ? QueuePlacement.transient(owner: node.nodeID, incarnation: node.incarnation, connection: nil)
            : placeQuorumQueue(size: checked.groupSize ?? configuration.groupSize, isBalanced: checked.isBalanced)
        return QueueDeclaration(
            vhost: vhost, name: name, durable: durable, autoDelete: autoDelete, arguments: checked.arguments,
            placement: placement, user: user)
    }

    /// What a queue holds, asked of whoever has it; nil when it is gone or does not answer within `countsTimeout`.
    package func inspect(_ record: QueueRecord, _ answer: @escaping (QueueCounts?) -> Void) {
        counts(of: record, answer)
    }

    /// Drops the ready messages of a queue. The answer is their number, nil when the queue is gone. Without a leader it
    /// waits, and happens when there is one.
    public func purge(_ record: QueueRecord, _ answer: @escaping (UInt64?) -> Void) {
        switch record.target {
        case .quorum(let group): handle(for: group).purge(answer)
        case .transient(let id, let owner): purge(id, at: owner, answer)
        }
    }
}
