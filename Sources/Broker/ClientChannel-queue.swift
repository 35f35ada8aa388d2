import AMQP
import Primitives
import QuorumQueue
import Topology

extension ClientChannel {
    // MARK: Declaring

    func queueDeclare(_ declare: QueueDeclare) throws(AMQPError) {
        let method = QueueDeclare.id
        if declare.passive {
            let record = try queue(named: declare.queue, method: method)
            try checkExclusive(record, method: method)
            answer(declare, record, token: begin(method))
            return
        }
        let name = declare.queue.isEmpty ? broker.uniqueName("amq.gen-") : declare.queue
        if !declare.queue.isEmpty { try checkNotReserved("queue", name, method: method) }
        try check(.configure, queue: name, method: method)
        let arguments = try QueueArguments(declare, name: name, vhost: vhost)
        if let exchange = arguments.deadLetterExchange {
            try check(.read, queue: name, method: method)
            try check(.write, exchange: exchange, method: method)
        }
        if let existing = topology.queue(name, vhost: vhost) {
            try checkExclusive(existing, method: method)
            if isSame(existing, declare, arguments) {
                answer(declare, existing, token: begin(method))
                return
            }
        }
        if declare.exclusive { connection.ownsExclusiveQueues = true }
        let declaration = QueueDeclaration(
            vhost: vhost, name: name, durable: declare.durable, autoDelete: declare.autoDelete,
            arguments: arguments.arguments, placement: placement(declare, arguments), user: connection.user)
        let token = begin(method)
        broker.node.propose(.declareQueue(declaration)) { [self] result in
            guard isCurrent(token) else { return }
            declared(declare, result, token: token)
        }
    }

    private func declared(
        _ declare: QueueDeclare, _ result: Result<TopologyOutcome, ProposeFailure>, token: UInt64
    ) {
        switch result {
        // A new queue is empty, and whoever uses it waits for its first leader: its declarer need not.
        case .success(.queue(let record, created: true)):
            finish(token) { () throws(AMQPError) in
                self.sendDeclareOk(declare, record, QueueCounts(ready: 0, unacknowledged: 0, consumers: 0))
            }
        case .success(.queue(let record, created: false)): answer(declare, record, token: token)
        case .success(let outcome):
            finish(token) { () throws(AMQPError) in
                throw self.failure(outcome, method: QueueDeclare.id)
                    ?? AMQPError(.internalError, "unexpected outcome", method: QueueDeclare.id, scope: .channel)
            }
        case .failure:
            finish(token) { () throws(AMQPError) in
                throw AMQPError(
                    .internalError, "the cluster's metadata has no leader, or it did not answer in time",
                    method: QueueDeclare.id, scope: .channel)
            }
        }
    }

    /// Whether the queue is what is asked for, so that nothing has to be proposed.
    private func isSame(_ record: QueueRecord, _ declare: QueueDeclare, _ arguments: QueueArguments) -> Bool {
        record.durable == declare.durable && record.autoDelete == declare.autoDelete
            && record.isExclusive == declare.exclusive && record.arguments == arguments.arguments
            && (record.group == nil) == arguments.isTransient
    }

    private func placement(_ declare: QueueDeclare, _ arguments: QueueArguments) -> QueuePlacement {
        let here = broker.node.nodeID
        if arguments.isTransient {
            return .transient(
                owner: here, incarnation: broker.node.incarnation,
                connection: declare.exclusive ? connection.id : nil)
        }
        return broker.placeQuorumQueue(
            size: arguments.groupSize ?? broker.configuration.groupSize, isBalanced: arguments.isBalanced)
    }

    private func answer(_ declare: QueueDeclare, _ record: QueueRecord, token: UInt64) {
        broker.counts(of: record) { [self] counts in
            finish(token) { () throws(AMQPError) in
                self.sendDeclareOk(
                    declare, record, counts ?? QueueCounts(ready: 0, unacknowledged: 0, consumers: 0))
            }
        }
    }

    private func sendDeclareOk(_ declare: QueueDeclare, _ record: QueueRecord, _ counts: QueueCounts) {
        recentQueue = record.name
        guard !declare.noWait else { return }
        send(
            .queueDeclareOk(
                QueueDeclareOk(
                    queue: record.name, messageCount: UInt32(clamping: counts.ready),
                    consumerCount: UInt32(clamping: counts.consumers))))
    }

    // MARK: Binding

    func queueBind(_ bind: QueueBind) throws(AMQPError) {
        let binding = try queueBinding(
            queue: bind.queue, exchange: bind.exchange, routingKey: bind.routingKey, arguments: bind.arguments,
            method: QueueBind.id)
        propose(.bind(binding), method: QueueBind.id) { outcome throws(AMQPError) in
            if let error = self.failure(outcome, method: QueueBind.id) { throw error }
            if !bind.noWait { self.send(.queueBindOk(QueueBindOk())) }
        }
    }

    func queueUnbind(_ unbind: QueueUnbind) throws(AMQPError) {
        let binding = try queueBinding(
            queue: unbind.queue, exchange: unbind.exchange, routingKey: unbind.routingKey,
            arguments: unbind.arguments, method: QueueUnbind.id)
        propose(.unbind(binding), method: QueueUnbind.id) { outcome throws(AMQPError) in
            if let error = self.failure(outcome, method: QueueUnbind.id) { throw error }
            self.send(.queueUnbindOk(QueueUnbindOk()))
        }
    }

    private func queueBinding(
        queue name: String, exchange: String, routingKey: String, arguments: FieldTable, method: MethodID
    ) throws(AMQPError) -> Binding {
        let queue = try expand(name, method: method)
        try checkNotDefault(exchange, method: method)
        try check(.write, queue: queue, method: method)
        try check(.read, exchange: exchange, method: method)
        if let record = topology.queue(queue, vhost: vhost) { try checkExclusive(record, method: method) }
        // An empty name and an empty key stand for the queue declared last, twice.
        let key = name.isEmpty && routingKey.isEmpty ? queue : routingKey
        return Binding(
            vhost: vhost, source: exchange, destination: .queue(queue), routingKey: key,
            arguments: TopologyArguments(arguments))
    }

    // MARK: Purging and deleting

    func queuePurge(_ purge: QueuePurge) throws(AMQPError) {
        let method = QueuePurge.id
        let record = try queue(named: purge.queue, method: method)
        try check(.read, queue: record.name, method: method)
        try checkExclusive(record, method: method)
        let token = begin(method)
        func done(_ count: UInt64?) {
            finish(token) { () throws(AMQPError) in
                guard let count else { throw self.missingQueue(record.name, method: method) }
                if !purge.noWait { self.send(.queuePurgeOk(QueuePurgeOk(messageCount: UInt32(clamping: count)))) }
            }
        }
        switch record.target {
        case .quorum(let group):
            session(for: group).purge { result in
                switch result {
                case .outcome(.purged(let dropped)): done(dropped)
                case .outcome, .done, .queueGone: done(nil)
                }
            }
        case .transient(let id, let node): broker.purge(id, at: node, done)
        }
    }

    func queueDelete(_ delete: QueueDelete) throws(AMQPError) {
        let method = QueueDelete.id
        let name = try expand(delete.queue, method: method)
        try check(.configure, queue: name, method: method)
        guard let record = topology.queue(name, vhost: vhost) else {
            // As RabbitMQ: what is not there is as good as deleted.
            if !delete.noWait { send(.queueDeleteOk(QueueDeleteOk(messageCount: 0))) }
            return
        }
        try checkExclusive(record, method: method)
        let token = begin(method)
        broker.counts(of: record) { [self] counts in
            guard isCurrent(token) else { return }
            if let error = refusal(delete, record, counts) {
                finish(token) { () throws(AMQPError) in throw error }
            } else {
                deleteQueue(delete, record, counts, token: token)
            }
        }
    }

    /// The conditions of a delete, judged by the counts of a moment ago.
    private func refusal(_ delete: QueueDelete, _ record: QueueRecord, _ counts: QueueCounts?) -> AMQPError? {
        guard delete.ifEmpty || delete.ifUnused else { return nil }
        let resource = TopologyResource.queue(record.name, vhost: vhost)
        guard let counts else {
            return AMQPError(
                .internalError, "\(resource) does not answer", method: QueueDelete.id, scope: .channel)
        }
        if delete.ifUnused && counts.consumers > 0 {
            return AMQPError(.preconditionFailed, "\(resource) in use", method: QueueDelete.id)
        }
        if delete.ifEmpty && counts.ready > 0 {
            return AMQPError(.preconditionFailed, "\(resource) is not empty", method: QueueDelete.id)
        }
        return nil
    }

    private func deleteQueue(
        _ delete: QueueDelete, _ record: QueueRecord, _ counts: QueueCounts?, token: UInt64
    ) {
        let command = TopologyCommand.deleteQueue(vhost: vhost, name: record.name, expected: record.id)
        broker.node.propose(command) { [self] result in
            finish(token) { () throws(AMQPError) in
                guard case .success(let outcome) = result else {
                    throw AMQPError(
                        .internalError, "the cluster's metadata has no leader, or it did not answer in time",
                        method: QueueDelete.id, scope: .channel)
                }
                if let error = self.failure(outcome, method: QueueDelete.id) { throw error }
                if delete.noWait { return }
                self.send(.queueDeleteOk(QueueDeleteOk(messageCount: UInt32(clamping: counts?.ready ?? 0))))
            }
        }
    }

    // MARK: Queues that go

    /// A transient queue that the channel uses was deleted.
    func transientGone(_ id: TransientID) {
        transientUses.remove(id)
        remotePublishes.removeValue(forKey: id)?.queueGone()
        endSources { $0.queue == id }
    }

    /// The link to a node was lost: what lives in its memory is out of reach.
    func gatewayLost(_ node: NodeID) {
        for remote in remotePublishes.values.sorted(by: { $0.queue < $1.queue }) where remote.node == node {
            remote.linkLost()
        }
        endSources { $0.node == node }
    }

    private func endSources(where isGone: (TransientAddress) -> Bool) {
        let ended = sources.compactMap { $0 }.filter { source in
            guard case .transient(let address, _) = source.backing else { return false }
            return isGone(address)
        }
        for source in ended {
            if case .transient(_, let consumer) = source.backing { transientSources[consumer] = nil }
            source.queueGone()
        }
    }
}
