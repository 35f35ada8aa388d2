package import AMQP
import Primitives
package import Topology

/// What operations on exchanges and queues share: finding them, and asking whether the user may.
extension ClientChannel {
    // MARK: Finding

    /// The queue of this name; the empty name stands for the one declared last on this channel.
    func queue(named name: String, method: MethodID) throws(AMQPError) -> QueueRecord {
        let name = try expand(name, method: method)
        guard let record = topology.queue(name, vhost: vhost) else { throw missingQueue(name, method: method) }
        return record
    }

    /// The name, or that of the queue declared last on this channel when it is empty.
    func expand(_ name: String, method: MethodID) throws(AMQPError) -> String {
        guard name.isEmpty else { return name }
        guard !recentQueue.isEmpty else {
            throw AMQPError(.notFound, "no previously declared queue", method: method)
        }
        return recentQueue
    }

    func missingQueue(_ name: String, method: MethodID) -> AMQPError {
        AMQPError(.notFound, "no \(TopologyResource.queue(name, vhost: vhost))", method: method)
    }

    func missingExchange(_ name: String, method: MethodID) -> AMQPError {
        AMQPError(.notFound, "no \(TopologyResource.exchange(name, vhost: vhost))", method: method)
    }

    /// Exclusive queues are for the connection that declared them.
    func checkExclusive(_ record: QueueRecord, method: MethodID) throws(AMQPError) {
        guard let owner = record.exclusiveOwner, owner != connectionOwner else { return }
        throw locked(.queue(record.name, vhost: vhost), method: method)
    }

    func locked(_ resource: TopologyResource, method: MethodID) -> AMQPError {
        AMQPError(
            .resourceLocked,
            "cannot obtain exclusive access to locked \(resource). It could be originally declared on another "
                + "connection or the exclusive property value does not match that of the original declaration.",
            method: method)
    }

    /// This connection, as the owner of exclusive queues.
    var connectionOwner: ConnectionOwner {
        ConnectionOwner(node: broker.node.nodeID, incarnation: broker.node.incarnation, connection: connection.id)
    }

    // MARK: Permissions

    func check(_ kind: PermissionKind, queue name: String, method: MethodID) throws(AMQPError) {
        guard !topology.allows(user: connection.user, vhost: vhost, kind, name) else { return }
        throw refused(kind, .queue(name, vhost: vhost), method)
    }

    func check(_ kind: PermissionKind, exchange name: String, method: MethodID) throws(AMQPError) {
        guard !topology.allows(user: connection.user, vhost: vhost, kind, name) else { return }
        throw refused(kind, .exchange(name.isEmpty ? "amq.default" : name, vhost: vhost), method)
    }

    private func refused(_ kind: PermissionKind, _ resource: TopologyResource, _ method: MethodID) -> AMQPError {
        let word =
            switch kind {
            case .configure: "configure"
            case .write: "write"
            case .read: "read"
            }
        return AMQPError(
            .accessRefused, "\(word) access to \(resource) refused for user '\(connection.user)'", method: method)
    }

    /// Nobody declares, binds or deletes the default exchange.
    func checkNotDefault(_ name: String, method: MethodID) throws(AMQPError) {
        guard name.isEmpty else { return }
        throw AMQPError(.accessRefused, "operation not permitted on the default exchange", method: method)
    }

    /// Names that begin with `amq.` are the broker's.
    func checkNotReserved(_ kind: String, _ name: String, method: MethodID) throws(AMQPError) {
        guard name.utf8.starts(with: "amq.".utf8) else { return }
        throw AMQPError(
            .accessRefused, "\(kind) name '\(name)' contains reserved prefix 'amq.*'", method: method)
    }

    // MARK: Outcomes

    /// The error of an outcome that is not the wanted one; nil for success.
    func failure(_ outcome: TopologyOutcome, method: MethodID) -> AMQPError? {
        switch outcome {
        case .done, .queue, .exchange: nil
        case .inequivalent(let difference): AMQPError(.preconditionFailed, difference.description, method: method)
        case .notFound(let resource): AMQPError(.notFound, "no \(resource)", method: method)
        case .inUse(let resource): AMQPError(.preconditionFailed, "\(resource) in use", method: method)
        case .locked(let resource): locked(resource, method: method)
        case .invalid(let text): AMQPError(.preconditionFailed, text, method: method)
        case .stale:
            AMQPError(.internalError, "this node was given up by the cluster", method: method, scope: .channel)
        case .unsupported:
            AMQPError(
                .internalError, "the cluster does not know this operation yet", method: method, scope: .channel)
        }
    }
}

extension TopologyArguments {
    /// The arguments of a declaration or binding.
    package init(_ table: FieldTable) { self.init(table.fields.map { ($0.name, TopologyValue($0.value)) }) }
}

extension TopologyValue {
    /// A field as routing and equivalence see it.
    package init(_ field: FieldValue) {
        switch field {
        case .bool(let value): self = .bool(value)
        case .int8, .uint8, .int16, .uint16, .int32, .uint32, .int64: self = .int(field.integer ?? 0)
        case .float(let value): self = .double(bits: Double(value).bitPattern)
        case .double(let value): self = .double(bits: value.bitPattern)
        case .decimal(let scale, let value): self = .list([.int(Int64(scale)), .int(Int64(value))])
        case .string(let text): self = .string(text)
        case .illFormedString(let bytes), .bytes(let bytes): self = .bytes(bytes)
        case .array(let values): self = .list(values.map { TopologyValue($0) })
        case .timestamp(let value): self = .timestamp(value)
        case .table(let table): self = .table(TopologyArguments(table))
        case .void: self = .void
        }
    }
}
