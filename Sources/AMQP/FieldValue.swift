public import Primitives

/// A value of a field table or array, with RabbitMQ's reading of the type letters (AMQP 0-9-1 errata; both `l` and `L`
/// are signed).
public indirect enum FieldValue: Hashable, Sendable {
    /// `t`
    case bool(Bool)
    /// `b`
    case int8(Int8)
    /// `B`
    case uint8(UInt8)
    /// `s`
    case int16(Int16)
    /// `u`
    case uint16(UInt16)
    /// `I`
    case int32(Int32)
    /// `i`
    case uint32(UInt32)
    /// `l`, also read from `L`
    case int64(Int64)
    /// `f`
    case float(Float)
    /// `d`
    case double(Double)
    /// `D`: `value` divided by ten to the `scale`.
    case decimal(scale: UInt8, value: UInt32)
    /// `S` holding UTF-8
    case string(String)
    /// `S` holding anything else: the type does not promise text.
    case illFormedString(Bytes)
    /// `x`
    case bytes(Bytes)
    /// `A`
    case array([FieldValue])
    /// `T`: seconds since 1970
    case timestamp(UInt64)
    /// `F`
    case table(FieldTable)
    /// `V`
    case void

    /// Any integer type as one, as RabbitMQ takes arguments such as `x-max-length`; nil for other types.
    public var integer: Int64? {
        switch self {
        case .int8(let value): Int64(value)
        case .uint8(let value): Int64(value)
        case .int16(let value): Int64(value)
        case .uint16(let value): Int64(value)
        case .int32(let value): Int64(value)
        case .uint32(let value): Int64(value)
        case .int64(let value): value
        default: nil
        }
    }

    /// The text of a long string that is UTF-8; nil for other types.
    public var text: String? { if case .string(let value) = self { value } else { nil } }

    /// The value of a boolean; nil for other types.
    public var boolean: Bool? { if case .bool(let value) = self { value } else { nil } }

    /// The type as RabbitMQ names it in error texts: `longstr`, `signedint`.
    public var typeName: String {
        switch self {
        case .bool: "bool"
        case .int8: "byte"
        case .uint8: "unsignedbyte"
        case .int16: "short"
        case .uint16: "unsignedshort"
        case .int32: "signedint"
        case .uint32: "unsignedint"
        case .int64: "long"
        case .float: "float"
        case .double: "double"
        case .decimal: "decimal"
        case .string, .illFormedString: "longstr"
        case .bytes: "binary"
        case .array: "array"
        case .timestamp: "timestamp"
        case .table: "table"
        case .void: "void"
        }
    }
}

extension FieldValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral {
    /// `S`
    public init(stringLiteral value: String) { self = .string(value) }
    /// `t`
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// The narrower of `I` and `l` that holds the number, as the common clients choose.
    public init(integerLiteral value: Int64) { self = Int32(exactly: value).map(FieldValue.int32) ?? .int64(value) }
}
