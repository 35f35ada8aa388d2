public import Primitives

extension FieldTable {
    /// Tables and arrays within each other, at most. The specification sets no bound; the stack does.
    public static let maximumDepth = 64

    /// Checks the fields of a table (without its length word) and keeps nothing.
    ///
    /// - Throws: as `ByteReader.readFieldTable`; what passes here decodes.
    public static func validate(fields: UnsafeRawBufferPointer) throws(DecodingFailure) {
        var reader = ByteReader(fields)
        try reader.skipFields(depth: 1)
    }
}

extension ByteReader {
    /// A field table with its length word.
    ///
    /// - Throws: for a length beyond the input, an unknown type letter, more than `FieldTable.maximumDepth` levels.
    public mutating func readFieldTable() throws(DecodingFailure) -> FieldTable { try readFieldTable(depth: 1) }

    private mutating func readFieldTable(depth: Int) throws(DecodingFailure) -> FieldTable {
        guard depth <= FieldTable.maximumDepth else { throw .invalid("field table: too deep") }
        var inner = ByteReader(try readLongBytes())
        var table = FieldTable()
        while !inner.isAtEnd {
            let name = String(decoding: try inner.readShortBytes(), as: UTF8.self)
            table.fields.append(FieldTable.Field(name, try inner.readFieldValue(depth: depth)))
        }
        return table
    }

    private mutating func readFieldArray(depth: Int) throws(DecodingFailure) -> [FieldValue] {
        guard depth <= FieldTable.maximumDepth else { throw .invalid("field table: too deep") }
        var inner = ByteReader(try readLongBytes())
        var values: [FieldValue] = []
        while !inner.isAtEnd { values.append(try inner.readFieldValue(depth: depth)) }
        return values
    }

    private mutating func readFieldValue(depth: Int) throws(DecodingFailure) -> FieldValue {
        switch try read(UInt8.self) {
        case FieldLetter.string:
            let bytes = try readLongBytes()
            guard let text = String(validating: bytes, as: UTF8.self) else {
                return .illFormedString(Bytes(copying: bytes))
            }
            return .string(text)
        case FieldLetter.bool: return .bool(try read(UInt8.self) != 0)
        case FieldLetter.int8: return .int8(try read(Int8.self))
        case FieldLetter.uint8: return .uint8(try read(UInt8.self))
        case FieldLetter.int16: return .int16(try readBigEndian(Int16.self))
        case FieldLetter.uint16: return .uint16(try readBigEndian(UInt16.self))
        case FieldLetter.int32: return .int32(try readBigEndian(Int32.self))
        case FieldLetter.uint32: return .uint32(try readBigEndian(UInt32.self))
        case FieldLetter.int64, FieldLetter.alsoInt64: return .int64(try readBigEndian(Int64.self))
        case FieldLetter.float: return .float(Float(bitPattern: try readBigEndian(UInt32.self)))
        case FieldLetter.double: return .double(Double(bitPattern: try readBigEndian(UInt64.self)))
        case FieldLetter.decimal:
            let scale = try read(UInt8.self)
            return .decimal(scale: scale, value: try readBigEndian(UInt32.self))
        case FieldLetter.bytes: return .bytes(try readLongString())
        case FieldLetter.array: return .array(try readFieldArray(depth: depth + 1))
        case FieldLetter.timestamp: return .timestamp(try readBigEndian(UInt64.self))
        case FieldLetter.table: return .table(try readFieldTable(depth: depth + 1))
        case FieldLetter.void: return .void
        default: throw .invalid("field type")
        }
    }

    fileprivate mutating func skipFields(depth: Int) throws(DecodingFailure) {
        guard depth <= FieldTable.maximumDepth else { throw .invalid("field table: too deep") }
        while !isAtEnd {
            _ = try readShortBytes()
            try skipFieldValue(depth: depth)
        }
    }

    /// Passes over a value and checks it on the way.
    mutating func skipFieldValue(depth: Int) throws(DecodingFailure) {
        switch try read(UInt8.self) {
        case FieldLetter.string, FieldLetter.bytes: _ = try readLongBytes()
        case FieldLetter.bool, FieldLetter.int8, FieldLetter.uint8: try skip(1)
        case FieldLetter.int16, FieldLetter.uint16: try skip(2)
        case FieldLetter.int32, FieldLetter.uint32, FieldLetter.float: try skip(4)
        case FieldLetter.decimal: try skip(5)
        case FieldLetter.int64, FieldLetter.alsoInt64, FieldLetter.double, FieldLetter.timestamp: try skip(8)
        case FieldLetter.void: break
        case FieldLetter.table:
            var inner = ByteReader(try readLongBytes())
            try inner.skipFields(depth: depth + 1)
        case FieldLetter.array:
            guard depth < FieldTable.maximumDepth else { throw .invalid("field table: too deep") }
            var inner = ByteReader(try readLongBytes())
            while !inner.isAtEnd { try inner.skipFieldValue(depth: depth + 1) }
        default: throw .invalid("field type")
        }
    }
}

extension ByteWriter {
    /// A field table with its length word.
    public mutating func writeFieldTable(_ table: FieldTable) {
        let start = count
        writeBigEndian(UInt32(0))
        for field in table.fields {
            writeShortString(field.name)
            writeFieldValue(field.value)
        }
        overwriteBigEndian(at: start, with: UInt32(count - start - 4))
    }

    /// A type letter and the value.
    public mutating func writeFieldValue(_ value: FieldValue) {
        switch value {
        case .bool(let value): write(letter: FieldLetter.bool, value ? 1 : 0 as UInt8)
        case .int8(let value): write(letter: FieldLetter.int8, value)
        case .uint8(let value): write(letter: FieldLetter.uint8, value)
        case .int16(let value): write(letter: FieldLetter.int16, value)
        case .uint16(let value): write(letter: FieldLetter.uint16, value)
        case .int32(let value): write(letter: FieldLetter.int32, value)
        case .uint32(let value): write(letter: FieldLetter.uint32, value)
        case .int64(let value): write(letter: FieldLetter.int64, value)
        case .float(let value): write(letter: FieldLetter.float, value.bitPattern)
        case .double(let value): write(letter: FieldLetter.double, value.bitPattern)
        case .timestamp(let value): write(letter: FieldLetter.timestamp, value)
        case .decimal(let scale, let value):
            write(letter: FieldLetter.decimal, scale)
            writeBigEndian(value)
        case .string(let text):
            write(FieldLetter.string)
            writeLongString(text)
        case .illFormedString(let bytes):
            write(FieldLetter.string)
            writeLongString(bytes)
        case .bytes(let bytes):
            write(FieldLetter.bytes)
            writeLongString(bytes)
        case .array(let values):
            write(FieldLetter.array)
            let start = count
            writeBigEndian(UInt32(0))
            for value in values { writeFieldValue(value) }
            overwriteBigEndian(at: start, with: UInt32(count - start - 4))
        case .table(let table):
            write(FieldLetter.table)
            writeFieldTable(table)
        case .void: write(FieldLetter.void)
        }
    }

    private mutating func write(letter: UInt8, _ value: some FixedWidthInteger & BitwiseCopyable) {
        write(letter)
        writeBigEndian(value)
    }
}

/// The type letters of field values.
enum FieldLetter {
    static let bool = UInt8(ascii: "t")
    static let int8 = UInt8(ascii: "b")
    static let uint8 = UInt8(ascii: "B")
    static let int16 = UInt8(ascii: "s")
    static let uint16 = UInt8(ascii: "u")
    static let int32 = UInt8(ascii: "I")
    static let uint32 = UInt8(ascii: "i")
    static let int64 = UInt8(ascii: "l")
    static let alsoInt64 = UInt8(ascii: "L")
    static let float = UInt8(ascii: "f")
    static let double = UInt8(ascii: "d")
    static let decimal = UInt8(ascii: "D")
    static let string = UInt8(ascii: "S")
    static let bytes = UInt8(ascii: "x")
    static let array = UInt8(ascii: "A")
    static let timestamp = UInt8(ascii: "T")
    static let table = UInt8(ascii: "F")
    static let void = UInt8(ascii: "V")
}
