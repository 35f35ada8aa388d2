import AMQP
import Primitives
import Topology

extension ClientChannel {
    func exchangeDeclare(_ declare: ExchangeDeclare) throws(AMQPError) {
        let method = ExchangeDeclare.id
        let existing = topology.exchange(declare.exchange, vhost: vhost)
        if declare.passive {
            try checkNotDefault(declare.exchange, method: method)
            guard existing != nil else { throw missingExchange(declare.exchange, method: method) }
            if !declare.noWait { send(.exchangeDeclareOk(ExchangeDeclareOk())) }
            return
        }
        guard let type = ExchangeType(rawValue: declare.type) else {
            throw AMQPError(.preconditionFailed, "unknown exchange type '\(declare.type)'", method: method)
        }
        try checkNotDefault(declare.exchange, method: method)
        try check(.configure, exchange: declare.exchange, method: method)
        if existing == nil { try checkNotReserved("exchange", declare.exchange, method: method) }
        let record = ExchangeRecord(
            vhost: vhost, name: declare.exchange, type: type, durable: declare.durable,
            autoDelete: declare.autoDelete, isInternal: declare.internal,
            arguments: TopologyArguments(declare.arguments), user: connection.user)
        try checkAlternate(record, method: method)
        propose(.declareExchange(record), method: method) { outcome throws(AMQPError) in
            if let error = self.failure(outcome, method: method) { throw error }
            if !declare.noWait { self.send(.exchangeDeclareOk(ExchangeDeclareOk())) }
        }
    }

    private func checkAlternate(_ record: ExchangeRecord, method: MethodID) throws(AMQPError) {
        guard let value = record.arguments["alternate-exchange"] else { return }
        guard case .string(let alternate) = value else {
            throw AMQPError(
                .preconditionFailed,
                "invalid arg 'alternate-exchange' for \(TopologyResource.exchange(record.name, vhost: vhost)): "
                    + "unacceptable type \(value.typeName)", method: method)
        }
        try check(.read, exchange: record.name, method: method)
        try check(.write, exchange: alternate, method: method)
    }

    func exchangeDelete(_ delete: ExchangeDelete) throws(AMQPError) {
        let method = ExchangeDelete.id
        try checkNotDefault(delete.exchange, method: method)
        try checkNotReserved("exchange", delete.exchange, method: method)
        try check(.configure, exchange: delete.exchange, method: method)
        let command = TopologyCommand.deleteExchange(
            vhost: vhost, name: delete.exchange, ifUnused: delete.ifUnused)
        propose(command, method: method) { outcome throws(AMQPError) in
            if let error = self.failure(outcome, method: method) { throw error }
            if !delete.noWait { self.send(.exchangeDeleteOk(ExchangeDeleteOk())) }
        }
    }

    func exchangeBind(_ bind: ExchangeBind) throws(AMQPError) {
        let binding = try exchangeBinding(
            source: bind.source, destination: bind.destination, routingKey: bind.routingKey,
            arguments: bind.arguments, method: ExchangeBind.id)
        propose(.bind(binding), method: ExchangeBind.id) { outcome throws(AMQPError) in
            if let error = self.failure(outcome, method: ExchangeBind.id) { throw error }
            if !bind.noWait { self.send(.exchangeBindOk(ExchangeBindOk())) }
        }
    }

    func exchangeUnbind(_ unbind: ExchangeUnbind) throws(AMQPError) {
        let binding = try exchangeBinding(
            source: unbind.source, destination: unbind.destination, routingKey: unbind.routingKey,
            arguments: unbind.arguments, method: ExchangeUnbind.id)
        propose(.unbind(binding), method: ExchangeUnbind.id) { outcome throws(AMQPError) in
            if let error = self.failure(outcome, method: ExchangeUnbind.id) { throw error }
            if !unbind.noWait { self.send(.exchangeUnbindOk(ExchangeUnbindOk())) }
        }
    }

    private func exchangeBinding(
        source: String, destination: String, routingKey: String, arguments: FieldTable, method: MethodID
    ) throws(AMQPError) -> Binding {
        try checkNotDefault(source, method: method)
        try checkNotDefault(destination, method: method)
        try check(.write, exchange: destination, method: method)
        try check(.read, exchange: source, method: method)
        return Binding(
            vhost: vhost, source: source, destination: .exchange(destination), routingKey: routingKey,
            arguments: TopologyArguments(arguments))
    }
}
