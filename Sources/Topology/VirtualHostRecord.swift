/// A virtual host: a name space of exchanges and queues.
public struct VirtualHostRecord: Hashable, Sendable {
    /// 1...255 bytes.
    public var name: String
    /// For people; at most 4,096 bytes.
    public var text: String
    /// `default_queue_type` of RabbitMQ's metadata; empty when not set.
    public var defaultQueueType: String

    /// Collects the parts.
    public init(name: String, text: String = "", defaultQueueType: String = "") {
        self.name = name
        self.text = text
        self.defaultQueueType = defaultQueueType
    }
}
