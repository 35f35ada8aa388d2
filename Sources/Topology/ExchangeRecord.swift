/// The exchange types built in.
public enum ExchangeType: String, Hashable, Sendable, CaseIterable {
    /// By equality of the key.
    case direct
    /// To all that is bound.
    case fanout
    /// By patterns over the words of the key.
    case topic
    /// By the message's headers.
    case headers
}

/// An exchange: what `exchange.declare` asks for and what the topology keeps.
public struct ExchangeRecord: Hashable, Sendable {
    /// The virtual host it is in.
    public var vhost: String
    /// At most 255 bytes; empty for the default exchange.
    public var name: String
    /// How it routes.
    public var type: ExchangeType
    /// Compared when it is declared again; every exchange survives restarts.
    public var durable: Bool
    /// Deleted when the last binding from it goes.
    public var autoDelete: Bool
    /// Takes messages from other exchanges only, not from clients.
    public var isInternal: Bool
    /// As the client sent them.
    public var arguments: TopologyArguments
    /// The user that declared it, for management.
    public var user: String

    /// Collects the parts of an exchange.
    public init(
        vhost: String, name: String, type: ExchangeType, durable: Bool, autoDelete: Bool = false,
        isInternal: Bool = false, arguments: TopologyArguments = [:], user: String = ""
    ) {
        self.vhost = vhost
        self.name = name
        self.type = type
        self.durable = durable
        self.autoDelete = autoDelete
        self.isInternal = isInternal
        self.arguments = arguments
        self.user = user
    }

    /// Where messages go that this exchange routes nowhere (argument `alternate-exchange`).
    public var alternate: String? {
        if case .string(let name)? = arguments["alternate-exchange"] { name } else { nil }
    }

    /// The exchanges every virtual host has; they are never deleted.
    public static func predeclared(in vhost: String) -> [ExchangeRecord] {
        func exchange(_ name: String, _ type: ExchangeType, isInternal: Bool = false) -> ExchangeRecord {
            ExchangeRecord(vhost: vhost, name: name, type: type, durable: true, isInternal: isInternal)
        }
        return [
            exchange("", .direct), exchange("amq.direct", .direct), exchange("amq.fanout", .fanout),
            exchange("amq.headers", .headers), exchange("amq.match", .headers),
            exchange("amq.rabbitmq.trace", .topic, isInternal: true), exchange("amq.topic", .topic),
        ]
    }

    /// Whether the name is one of those that clients may not declare or delete: the default exchange and `amq.`.
    public static func isReserved(_ name: String) -> Bool { name.isEmpty || name.utf8.starts(with: "amq.".utf8) }
}
