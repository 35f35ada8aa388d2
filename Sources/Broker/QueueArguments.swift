import AMQP
import Primitives
import Topology

/// What the arguments of a `queue.declare` come to.
struct QueueArguments {
    /// Whether the queue is kept in one node's memory.
    var isTransient: Bool
    var arguments: TopologyArguments
    /// `x-quorum-initial-group-size`.
    var groupSize: Int?
    /// `x-queue-leader-locator` asks for the node with the fewest leaders.
    var isBalanced = false
    /// `x-dead-letter-exchange`.
    var deadLetterExchange: String?

    /// Arguments that must be integers of at least this value.
    private static let integers: [(String, Int64)] = [
        ("x-expires", 1), ("x-message-ttl", 0), ("x-max-length", 0), ("x-max-length-bytes", 0),
        ("x-delivery-limit", -1), ("x-quorum-initial-group-size", 1), ("x-quorum-target-group-size", 1),
        ("x-consumer-timeout", 0), ("x-max-priority", 0),
    ]
    private static let strings = [
        "x-dead-letter-exchange", "x-dead-letter-routing-key", "x-dead-letter-strategy", "x-overflow",
        "x-queue-leader-locator", "x-queue-type",
    ]

    /// Checks a declaration.
    ///
    /// - Throws: 406 for arguments of a wrong type or value, or properties that the asked-for type cannot have.
    init(_ declare: QueueDeclare, name: String, vhost: String) throws(AMQPError) {
        func invalid(_ argument: String, _ reason: String) -> AMQPError {
            AMQPError(
                .preconditionFailed,
                "invalid arg '\(argument)' for \(TopologyResource.queue(name, vhost: vhost)): \(reason)",
                method: QueueDeclare.id)
        }
        let table = declare.arguments
        for (argument, least) in QueueArguments.integers {
            guard let value = table[argument] else { continue }
            guard let number = value.integer else { throw invalid(argument, "unacceptable type \(value.typeName)") }
            guard number >= least else { throw invalid(argument, "value \(number) is below \(least)") }
        }
        for argument in QueueArguments.strings {
            guard let value = table[argument] else { continue }
            guard value.text != nil else { throw invalid(argument, "unacceptable type \(value.typeName)") }
        }
        if table["x-dead-letter-routing-key"] != nil && table["x-dead-letter-exchange"] == nil {
            throw invalid("x-dead-letter-routing-key", "routing key but no dead letter exchange")
        }
        isTransient = declare.exclusive || declare.autoDelete
        switch table["x-queue-type"]?.text {
        case nil, "classic": break
        case "quorum":
            if let property = QueueArguments.refusedProperty(declare) {
                throw AMQPError(
                    .preconditionFailed,
                    "invalid property '\(property)' for \(TopologyResource.queue(name, vhost: vhost))",
                    method: QueueDeclare.id)
            }
        case let other?: throw invalid("x-queue-type", "unsupported queue type '\(other)'")
        }
        arguments = TopologyArguments(table)
        groupSize = table["x-quorum-initial-group-size"]?.integer.map { Int(clamping: $0) }
        deadLetterExchange = table["x-dead-letter-exchange"]?.text
        switch table["x-queue-leader-locator"]?.text {
        case nil, "client-local": break
        case "balanced", "random", "least-leaders", "min-masters": isBalanced = true
        case let other?: throw invalid("x-queue-leader-locator", "unsupported value '\(other)'")
        }
    }

    private static func refusedProperty(_ declare: QueueDeclare) -> String? {
        if !declare.durable { return "non-durable" }
        if declare.exclusive { return "exclusive" }
        if declare.autoDelete { return "auto-delete" }
        return nil
    }
}
