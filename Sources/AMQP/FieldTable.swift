/// A field table: names and values in the order of the wire. A name may repeat; the first counts, as in RabbitMQ.
public struct FieldTable: Hashable, Sendable {
    /// One name and its value.
    public struct Field: Hashable, Sendable {
        /// At most 255 bytes. Ill-formed UTF-8 was replaced when it came from the wire.
        public var name: String
        /// The value.
        public var value: FieldValue

        /// A field.
        public init(_ name: String, _ value: FieldValue) {
            self.name = name
            self.value = value
        }
    }

    /// The fields in order.
    public var fields: [Field]

    /// A table of `fields`, empty by default.
    public init(_ fields: [Field] = []) { self.fields = fields }

    /// No fields.
    public var isEmpty: Bool { fields.isEmpty }
    /// The number of fields.
    public var count: Int { fields.count }

    /// The first value of that name; setting replaces it in place or appends, setting nil removes all of that name.
    public subscript(name: String) -> FieldValue? {
        get { fields.first { $0.name == name }?.value }
        set {
            guard let newValue else {
                fields.removeAll { $0.name == name }
                return
            }
            if let index = fields.firstIndex(where: { $0.name == name }) {
                fields[index].value = newValue
            } else {
                fields.append(Field(name, newValue))
            }
        }
    }
}

extension FieldTable: ExpressibleByDictionaryLiteral {
    /// The fields in the order they are written.
    public init(dictionaryLiteral elements: (String, FieldValue)...) {
        self.init(elements.map { Field($0.0, $0.1) })
    }
}
