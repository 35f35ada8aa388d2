public import Primitives

/// What a binding leads to.
public enum BindingDestination: Hashable, Sendable {
    /// A queue, by name.
    case queue(String)
    /// An exchange, by name.
    case exchange(String)

    /// The name of the queue or exchange.
    public var name: String {
        switch self {
        case .queue(let name), .exchange(let name): name
        }
    }
}

/// A binding. Two bindings are the same when all parts are, as in RabbitMQ: the same pair may be bound with several
/// keys and arguments.
public struct Binding: Hashable, Sendable {
    /// The virtual host of both ends.
    public var vhost: String
    /// The exchange that messages come from; never the default exchange.
    public var source: String
    /// Where messages go.
    public var destination: BindingDestination
    /// At most 255 bytes.
    public var routingKey: Bytes
    /// What a headers exchange matches; part of the identity for all types.
    public var arguments: TopologyArguments

    /// Collects the parts of a binding.
    public init(
        vhost: String, source: String, destination: BindingDestination, routingKey: Bytes,
        arguments: TopologyArguments = [:]
    ) {
        self.vhost = vhost
        self.source = source
        self.destination = destination
        self.routingKey = routingKey
        self.arguments = arguments
    }

    /// The same with a key of text.
    public init(
        vhost: String, source: String, destination: BindingDestination, routingKey: String,
        arguments: TopologyArguments = [:]
    ) {
        self.init(
            vhost: vhost, source: source, destination: destination, routingKey: Bytes(routingKey), arguments: arguments)
    }

    /// Identity inside a virtual host, and the canonical order of bindings.
    var key: Bytes {
        var writer = ByteWriter(capacity: 64)
        writer.writeLengthPrefixed(source)
        if case .exchange = destination { writer.write(UInt8(1)) } else { writer.write(UInt8(0)) }
        writer.writeLengthPrefixed(destination.name)
        writer.writeLengthPrefixed(routingKey)
        writer.write(arguments: arguments)
        return writer.take()
    }
}
