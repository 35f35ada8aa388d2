public import Primitives

/// A value in the arguments of a queue, exchange or binding, or in a message header: AMQP's field types, folded to what
/// routing and equivalence distinguish (integers of all widths are one class, as in RabbitMQ).
public enum TopologyValue: Sendable {
    /// AMQP's `V`. In a headers binding it asks for the presence of the header only.
    case void
    /// AMQP's `t`.
    case bool(Bool)
    /// Every integer type.
    case int(Int64)
    /// A float or double by its IEEE 754 double bit pattern, so that no floating point enters the state.
    case double(bits: UInt64)
    /// Seconds since 1970.
    case timestamp(UInt64)
    /// A string that is UTF-8.
    case string(String)
    /// A byte array, or a string that is not UTF-8.
    case bytes(Bytes)
    /// AMQP's `A`.
    case list([TopologyValue])
    /// AMQP's `F`.
    case table(TopologyArguments)
}

extension TopologyValue: Hashable {
    /// Strings are equal when their bytes are: AMQP knows no canonical equivalence of Unicode.
    public static func == (a: TopologyValue, b: TopologyValue) -> Bool {
        switch (a, b) {
        case (.void, .void): true
        case (.bool(let x), .bool(let y)): x == y
        case (.int(let x), .int(let y)): x == y
        case (.double(let x), .double(let y)): x == y
        case (.timestamp(let x), .timestamp(let y)): x == y
        case (.string(let x), .string(let y)): x.hasSameBytes(as: y)
        case (.bytes(let x), .bytes(let y)): x == y
        case (.list(let x), .list(let y)): x == y
        case (.table(let x), .table(let y)): x == y
        default: false
        }
    }

    /// Combines the value; strings that differ in bytes only by normalisation collide, which is harmless.
    public func hash(into hasher: inout Hasher) {
        switch self {
        case .void: hasher.combine(0)
        case .bool(let value): hasher.combine(value)
        case .int(let value): hasher.combine(value)
        case .double(let value): hasher.combine(value)
        case .timestamp(let value): hasher.combine(value)
        case .string(let value): hasher.combine(value)
        case .bytes(let value): hasher.combine(value)
        case .list(let value): hasher.combine(value)
        case .table(let value): hasher.combine(value)
        }
    }
}

extension TopologyValue {
    /// The name RabbitMQ uses for the type in its error texts.
    public var typeName: String {
        switch self {
        case .void: "void"
        case .bool: "bool"
        case .int(let value): Int32(exactly: value) == nil ? "long" : "signedint"
        case .double: "double"
        case .timestamp: "timestamp"
        case .string: "longstr"
        case .bytes: "binary"
        case .list: "array"
        case .table: "table"
        }
    }

    /// The value as RabbitMQ shows scalars in its error texts; containers show their type only.
    public var text: String {
        switch self {
        case .void: "undefined"
        case .bool(let value): value ? "true" : "false"
        case .int(let value): String(value)
        case .double(let bits): "bits " + String(bits, radix: 16)
        case .timestamp(let value): String(value)
        case .string(let value): value
        case .bytes(let value): String(decoding: value)
        case .list: "[...]"
        case .table: "{...}"
        }
    }
}

extension String {
    /// Equality of the UTF-8, not of the canonical form.
    func hasSameBytes(as other: String) -> Bool { utf8.elementsEqual(other.utf8) }

    /// Order of the UTF-8.
    func precedesInBytes(_ other: String) -> Bool { utf8.lexicographicallyPrecedes(other.utf8) }
}
