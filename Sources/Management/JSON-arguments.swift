package import AMQP
import Primitives
package import Topology

extension JSON {
    /// Arguments as RabbitMQ shows them; bytes that are no text are shown as text all the same.
    package init(_ arguments: TopologyArguments) {
        self = .object(Dictionary(arguments.fields.map { ($0.name, JSON($0.value)) }) { first, _ in first })
    }

    package init(_ value: TopologyValue) {
        switch value {
        case .void: self = .null
        case .bool(let value): self = .bool(value)
        case .int(let value): self = .integer(value)
        case .double(let bits): self = .number(Double(bitPattern: bits))
        case .timestamp(let seconds): self = .integer(Int64(clamping: seconds))
        case .string(let text): self = .string(text)
        case .bytes(let bytes): self = .string(String(decoding: bytes))
        case .list(let values): self = .array(values.map { JSON($0) })
        case .table(let table): self = JSON(table)
        }
    }

    /// A client's properties as RabbitMQ shows them.
    package init(_ table: FieldTable) {
        self = .object(Dictionary(table.fields.map { ($0.name, JSON($0.value)) }) { first, _ in first })
    }

    package init(_ value: FieldValue) {
        switch value {
        case .bool(let value): self = .bool(value)
        case .int8, .uint8, .int16, .uint16, .int32, .uint32, .int64: self = .integer(value.integer ?? 0)
        case .float(let value): self = .number(Double(value))
        case .double(let value): self = .number(value)
        case .decimal(let scale, let value): self = .number(JSON.decimal(value, scale: scale))
        case .string(let text): self = .string(text)
        case .illFormedString(let bytes), .bytes(let bytes): self = .string(String(decoding: bytes))
        case .array(let values): self = .array(values.map { JSON($0) })
        case .timestamp(let seconds): self = .integer(Int64(clamping: seconds))
        case .table(let table): self = JSON(table)
        case .void: self = .null
        }
    }

    private static func decimal(_ value: UInt32, scale: UInt8) -> Double {
        // One division, so that the result is the nearest there is.
        Double(value) / (0..<scale).reduce(1.0) { power, _ in power * 10 }
    }

    /// The field table that an object of arguments stands for, as RabbitMQ takes it; nil for what is no object. Members
    /// are in order of their names.
    package var fieldTable: FieldTable? {
        guard case .object(let members) = self else { return nil }
        return FieldTable(members.sorted { $0.key < $1.key }.map { FieldTable.Field($0.key, $0.value.fieldValue) })
    }

    private var fieldValue: FieldValue {
        switch self {
        case .null: .void
        case .bool(let value): .bool(value)
        case .integer(let value): .int64(value)
        case .number(let value): .double(value)
        case .string(let text): .string(text)
        case .array(let elements): .array(elements.map(\.fieldValue))
        case .object: .table(fieldTable ?? FieldTable())
        }
    }
}
