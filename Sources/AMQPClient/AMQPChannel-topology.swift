public import AMQP

extension AMQPChannel {
    /// Declares a queue, or with `passive` asks for it. The answer has its name (made up for an empty one) and counts.
    ///
    /// - Throws: any `ClientError`.
    @discardableResult
    public func declareQueue(
        _ name: String, passive: Bool = false, durable: Bool = true, exclusive: Bool = false, autoDelete: Bool = false,
        arguments: FieldTable = FieldTable()
    ) async throws(ClientError) -> QueueDeclareOk {
        try checkNames(name)
        let answer = try await call(
            .queueDeclare(
                QueueDeclare(
                    queue: name, passive: passive, durable: durable, exclusive: exclusive, autoDelete: autoDelete,
                    arguments: arguments)), expecting: QueueDeclareOk.id)
        guard case .queueDeclareOk(let declared) = answer else { throw .unexpected(answer) }
        return declared
    }

    /// Deletes a queue; the number of messages it held comes back.
    ///
    /// - Throws: any `ClientError`.
    @discardableResult
    public func deleteQueue(
        _ name: String, ifUnused: Bool = false, ifEmpty: Bool = false
    ) async throws(ClientError) -> UInt32 {
        try checkNames(name)
        let answer = try await call(
            .queueDelete(QueueDelete(queue: name, ifUnused: ifUnused, ifEmpty: ifEmpty)), expecting: QueueDeleteOk.id)
        guard case .queueDeleteOk(let deleted) = answer else { throw .unexpected(answer) }
        return deleted.messageCount
    }

    /// Drops a queue's ready messages; their number comes back.
    ///
    /// - Throws: any `ClientError`.
    @discardableResult
    public func purgeQueue(_ name: String) async throws(ClientError) -> UInt32 {
        try checkNames(name)
        let answer = try await call(.queuePurge(QueuePurge(queue: name)), expecting: QueuePurgeOk.id)
        guard case .queuePurgeOk(let purged) = answer else { throw .unexpected(answer) }
        return purged.messageCount
    }

    /// Binds a queue to an exchange.
    ///
    /// - Throws: any `ClientError`.
    public func bindQueue(
        _ queue: String, exchange: String, routingKey: String = "", arguments: FieldTable = FieldTable()
    ) async throws(ClientError) {
        try checkNames(queue, exchange, routingKey)
        _ = try await call(
            .queueBind(QueueBind(queue: queue, exchange: exchange, routingKey: routingKey, arguments: arguments)),
            expecting: QueueBindOk.id)
    }

    /// Removes a binding of a queue.
    ///
    /// - Throws: any `ClientError`.
    public func unbindQueue(
        _ queue: String, exchange: String, routingKey: String = "", arguments: FieldTable = FieldTable()
    ) async throws(ClientError) {
        try checkNames(queue, exchange, routingKey)
        _ = try await call(
            .queueUnbind(QueueUnbind(queue: queue, exchange: exchange, routingKey: routingKey, arguments: arguments)),
            expecting: QueueUnbindOk.id)
    }

    /// Declares an exchange, or with `passive` asks for it.
    ///
    /// - Throws: any `ClientError`.
    public func declareExchange(
        _ name: String, type: String, passive: Bool = false, durable: Bool = true, autoDelete: Bool = false,
        internal: Bool = false, arguments: FieldTable = FieldTable()
    ) async throws(ClientError) {
        try checkNames(name, type)
        _ = try await call(
            .exchangeDeclare(
                ExchangeDeclare(
                    exchange: name, type: type, passive: passive, durable: durable, autoDelete: autoDelete,
                    internal: `internal`, arguments: arguments)), expecting: ExchangeDeclareOk.id)
    }

    /// Deletes an exchange.
    ///
    /// - Throws: any `ClientError`.
    public func deleteExchange(_ name: String, ifUnused: Bool = false) async throws(ClientError) {
        try checkNames(name)
        _ = try await call(
            .exchangeDelete(ExchangeDelete(exchange: name, ifUnused: ifUnused)), expecting: ExchangeDeleteOk.id)
    }

    /// Binds an exchange to another.
    ///
    /// - Throws: any `ClientError`.
    public func bindExchange(
        _ destination: String, source: String, routingKey: String = "", arguments: FieldTable = FieldTable()
    ) async throws(ClientError) {
        try checkNames(destination, source, routingKey)
        _ = try await call(
            .exchangeBind(
                ExchangeBind(destination: destination, source: source, routingKey: routingKey, arguments: arguments)),
            expecting: ExchangeBindOk.id)
    }

    /// Removes a binding between exchanges.
    ///
    /// - Throws: any `ClientError`.
    public func unbindExchange(
        _ destination: String, source: String, routingKey: String = "", arguments: FieldTable = FieldTable()
    ) async throws(ClientError) {
        try checkNames(destination, source, routingKey)
        _ = try await call(
            .exchangeUnbind(
                ExchangeUnbind(destination: destination, source: source, routingKey: routingKey, arguments: arguments)),
            expecting: ExchangeUnbindOk.id)
    }
}

extension ClientError {
    /// An answer of another kind than the call's.
    static func unexpected(_ method: Method) -> ClientError {
        .protocolViolation(AMQPError(.commandInvalid, "unexpected \(method.name)", method: method.id))
    }
}
