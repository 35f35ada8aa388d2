// RabbitMQ's rules of equivalence for declaring again what exists (rabbit_misc:assert_args_equivalence): properties,
// then the arguments that mean something; unknown arguments do not matter.

extension ExchangeRecord {
    /// The first way in which `other` asks for something else.
    func difference(from other: ExchangeRecord) -> Inequivalence? {
        let resource = TopologyResource.exchange(name, vhost: vhost)
        return resource.difference("type", received: other.type.rawValue, current: type.rawValue)
            ?? resource.difference("durable", received: "\(other.durable)", current: "\(durable)")
            ?? resource.difference("auto_delete", received: "\(other.autoDelete)", current: "\(autoDelete)")
            ?? resource.difference("internal", received: "\(other.isInternal)", current: "\(isInternal)")
            ?? resource.difference(["alternate-exchange"], received: other.arguments, current: arguments)
    }
}

extension QueueRecord {
    /// The first way in which `other` asks for something else. Exclusiveness is compared before.
    func difference(from other: QueueDeclaration) -> Inequivalence? {
        let resource = TopologyResource.queue(name, vhost: vhost)
        var names = QueueRecord.meaningfulArguments
        // Without a type a client takes what the default is; it does not ask for another one than there is.
        if arguments["x-queue-type"] == nil || other.arguments["x-queue-type"] == nil {
            names.removeAll { $0 == "x-queue-type" }
        }
        return resource.difference("durable", received: "\(other.durable)", current: "\(durable)")
            ?? resource.difference("auto_delete", received: "\(other.autoDelete)", current: "\(autoDelete)")
            ?? resource.difference(names, received: other.arguments, current: arguments)
    }

    private static let meaningfulArguments = [
        "x-queue-type", "x-expires", "x-message-ttl", "x-max-length", "x-max-length-bytes", "x-max-in-memory-length",
        "x-max-in-memory-bytes", "x-max-priority", "x-overflow", "x-dead-letter-exchange", "x-dead-letter-routing-key",
        "x-dead-letter-strategy", "x-single-active-consumer", "x-delivery-limit", "x-quorum-initial-group-size",
        "x-quorum-target-group-size", "x-queue-leader-locator", "x-consumer-timeout",
        "x-consumer-disconnected-timeout", "x-delayed-retry-type", "x-delayed-retry-min", "x-delayed-retry-max",
        "x-queue-mode",
    ]
}

extension TopologyResource {
    fileprivate func difference(_ property: String, received: String, current: String) -> Inequivalence? {
        received == current
            ? nil
            : Inequivalence(resource: self, argument: property, received: "'\(received)'", current: "'\(current)'")
    }

    fileprivate func difference(
        _ names: [String], received: TopologyArguments, current: TopologyArguments
    ) -> Inequivalence? {
        for name in names {
            let (new, old) = (received[name], current[name])
            if new == old { continue }
            switch (new, old) {
            case (let new?, let old?):
                return Inequivalence(
                    resource: self, argument: name, received: "'\(new.text)'", current: "'\(old.text)'")
            default:
                return Inequivalence(resource: self, argument: name, received: describe(new), current: describe(old))
            }
        }
        return nil
    }

    private func describe(_ value: TopologyValue?) -> String {
        value.map { "the value '\($0.text)' of type '\($0.typeName)'" } ?? "none"
    }
}
