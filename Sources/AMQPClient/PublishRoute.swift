public import AMQP
public import Primitives

/// Where publishes go and what they carry besides the body, encoded once for many messages.
public struct PublishRoute: Hashable, Sendable {
    @usableFromInline let exchange: Bytes
    @usableFromInline let routingKey: Bytes
    @usableFromInline let mandatory: Bool
    @usableFromInline let properties: Bytes

    /// - Throws: `ClientError.invalid` for a name of more than 255 octets.
    public init(
        exchange: String = "", routingKey: String, mandatory: Bool = false,
        properties: BasicProperties = BasicProperties()
    ) throws(ClientError) {
        try checkNames(exchange, routingKey)
        self.exchange = Bytes(exchange)
        self.routingKey = Bytes(routingKey)
        self.mandatory = mandatory
        self.properties = properties.encoded()
    }
}

/// Names travel as short strings.
func checkNames(_ names: String...) throws(ClientError) {
    for name in names where name.utf8.count > 255 { throw .invalid("name of more than 255 octets") }
}
