/// The arguments of a queue, exchange or binding: named values, sorted by name, no name twice (the first wins, as a
/// lookup in RabbitMQ's field tables does), so that equality does not depend on the order a client wrote them in.
public struct TopologyArguments: Hashable, Sendable {
    /// One named value.
    public struct Field: Hashable, Sendable {
        /// At most 255 bytes.
        public let name: String
        /// What it is set to.
        public let value: TopologyValue

        /// Compares the bytes of the name and the value.
        public static func == (a: Field, b: Field) -> Bool { a.name.hasSameBytes(as: b.name) && a.value == b.value }
    }

    /// Sorted by the bytes of the name.
    public let fields: [Field]

    /// No arguments.
    public init() { fields = [] }

    /// Sorts the fields and keeps the first of each name.
    public init(_ fields: [(String, TopologyValue)]) {
        let sorted = fields.enumerated().sorted { a, b in
            a.element.0.hasSameBytes(as: b.element.0)
                ? a.offset < b.offset : a.element.0.precedesInBytes(b.element.0)
        }
        var unique: [Field] = []
        unique.reserveCapacity(sorted.count)
        for (_, field) in sorted {
            if let last = unique.last, last.name.hasSameBytes(as: field.0) { continue }
            unique.append(Field(name: field.0, value: field.1))
        }
        self.fields = unique
    }

    /// Whether there are none.
    public var isEmpty: Bool { fields.isEmpty }

    /// The value of `name`, by binary search.
    public subscript(name: String) -> TopologyValue? {
        var low = 0
        var high = fields.count
        while low < high {
            let middle = (low + high) / 2
            let candidate = fields[middle].name
            if candidate.hasSameBytes(as: name) { return fields[middle].value }
            if candidate.precedesInBytes(name) { low = middle + 1 } else { high = middle }
        }
        return nil
    }
}

extension TopologyArguments: ExpressibleByDictionaryLiteral {
    /// For tests and fixed arguments.
    public init(dictionaryLiteral elements: (String, TopologyValue)...) { self.init(elements) }
}
