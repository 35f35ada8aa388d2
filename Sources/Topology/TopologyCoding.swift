import Primitives

/// The bounds of decoded fields. A request or snapshot beyond them is refused before anything is allocated.
enum TopologyLimit {
    /// AMQP short strings: names of virtual hosts, exchanges, queues, users, and routing keys.
    static let name = 255
    /// A permission pattern, an address.
    static let text = 4_096
    /// A string or byte array inside of arguments.
    static let value = 1 << 16
    /// Fields of one table or elements of one list.
    static let fields = 4_096
    /// Nesting of tables and lists.
    static let depth = 8
    /// Members of a queue.
    static let members = 31
    /// Tags of a user.
    static let tags = 64
}

extension ByteWriter {
    mutating func write(flag: Bool) { write(flag ? UInt8(1) : UInt8(0)) }

    mutating func write(store: StoreID) {
        write(store.high)
        write(store.low)
    }

    mutating func write(value: TopologyValue) {
        switch value {
        case .void: write(UInt8(0))
        case .bool(let value):
            write(UInt8(1))
            write(flag: value)
        case .int(let value):
            write(UInt8(2))
            write(value)
        case .double(let bits):
            write(UInt8(3))
            write(bits)
        case .timestamp(let value):
            write(UInt8(4))
            write(value)
        case .string(let value):
            write(UInt8(5))
            writeLengthPrefixed(value)
        case .bytes(let value):
            write(UInt8(6))
            writeLengthPrefixed(value)
        case .list(let values):
            write(UInt8(7))
            writeVarint(UInt64(values.count))
            for value in values { write(value: value) }
        case .table(let value):
            write(UInt8(8))
            write(arguments: value)
        }
    }

    mutating func write(arguments: TopologyArguments) {
        writeVarint(UInt64(arguments.fields.count))
        for field in arguments.fields {
            writeLengthPrefixed(field.name)
            write(value: field.value)
        }
    }
}

extension ByteReader {
    mutating func readFlag() throws(DecodingFailure) -> Bool {
        switch try read(UInt8.self) {
        case 0: false
        case 1: true
        default: throw .invalid("flag")
        }
    }

    mutating func readStore() throws(DecodingFailure) -> StoreID {
        StoreID(high: try read(), low: try read())
    }

    /// UTF-8 of at most `limit` bytes; ill-formed bytes are refused, so that names keep their identity.
    mutating func readText(limit: Int = TopologyLimit.name) throws(DecodingFailure) -> String {
        let bytes = try readLengthPrefixed(limit: limit)
        guard let text = String(validating: bytes, as: UTF8.self) else { throw .invalid("text") }
        return text
    }

    /// A copy of at most `limit` bytes.
    mutating func readCopy(limit: Int) throws(DecodingFailure) -> Bytes {
        Bytes(copying: try readLengthPrefixed(limit: limit))
    }

    /// A count of things that take at least a byte each, so that it bounds what follows.
    mutating func readCount(limit: Int) throws(DecodingFailure) -> Int {
        let count = try readVarint()
        guard count <= UInt64(limit), count <= UInt64(remaining) else { throw .invalid("count") }
        return Int(count)
    }

    mutating func readValue(depth: Int = 0) throws(DecodingFailure) -> TopologyValue {
        guard depth <= TopologyLimit.depth else { throw .invalid("depth") }
        switch try read(UInt8.self) {
        case 0: return .void
        case 1: return .bool(try readFlag())
        case 2: return .int(try read())
        case 3: return .double(bits: try read())
        case 4: return .timestamp(try read())
        case 5: return .string(try readText(limit: TopologyLimit.value))
        case 6: return .bytes(try readCopy(limit: TopologyLimit.value))
        case 7:
            let count = try readCount(limit: TopologyLimit.fields)
            var values: [TopologyValue] = []
            for _ in 0..<count { values.append(try readValue(depth: depth + 1)) }
            return .list(values)
        case 8: return .table(try readArguments(depth: depth + 1))
        default: throw .invalid("value type")
        }
    }

    mutating func readArguments(depth: Int = 0) throws(DecodingFailure) -> TopologyArguments {
        let count = try readCount(limit: TopologyLimit.fields)
        var fields: [(String, TopologyValue)] = []
        for _ in 0..<count { fields.append((try readText(), try readValue(depth: depth))) }
        return TopologyArguments(fields)
    }
}
