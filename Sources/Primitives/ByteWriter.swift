/// A growing output buffer, little-endian unless a method says otherwise; `take()` turns it into `Bytes` without a
/// copy.
///
/// Hot encoders reserve once with `append(maximum:_:)` and write through the raw pointer; the `write` methods check per
/// call.
public struct ByteWriter: ~Copyable, Sendable {
    @usableFromInline var storage: ByteStorage
    @usableFromInline var written: Int

    /// An empty writer with room for `capacity` bytes; nothing is allocated for 0.
    @inlinable public init(capacity: Int = 0) {
        self.storage = capacity == 0 ? ByteWriter.empty : ByteStorage(capacity: capacity)
        self.written = 0
    }

    @usableFromInline static let empty = ByteStorage(capacity: 0)

    /// Bytes written so far.
    @inlinable public var count: Int { written }
    /// Nothing written.
    @inlinable public var isEmpty: Bool { written == 0 }

    /// Makes room for `extra` more bytes.
    @inlinable public mutating func reserve(_ extra: Int) {
        if written + extra > storage.capacity { grow(extra) }
    }

    @usableFromInline @inline(never) mutating func grow(_ extra: Int) {
        let larger = ByteStorage(capacity: max(written + extra, storage.capacity * 2, 256))
        larger.base.copyMemory(from: storage.base, byteCount: written)
        storage = larger
    }

    /// Reserves `maximum` bytes, lets `body` fill a prefix of them and appends as many as it returns.
    @inlinable public mutating func append(maximum: Int, _ body: (UnsafeMutableRawPointer) -> Int) {
        reserve(maximum)
        let used = body(storage.base + written)
        precondition(used >= 0 && used <= maximum)
        written += used
    }

    /// One byte.
    @inlinable public mutating func write(_ value: UInt8) {
        reserve(1)
        storage.base.storeBytes(of: value, toByteOffset: written, as: UInt8.self)
        written += 1
    }

    /// Little-endian.
    @inlinable public mutating func write<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) {
        reserve(MemoryLayout<T>.size)
        storage.base.storeBytes(of: value.littleEndian, toByteOffset: written, as: T.self)
        written += MemoryLayout<T>.size
    }

    /// Big-endian, as AMQP 0-9-1 has it.
    @inlinable public mutating func writeBigEndian<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) {
        write(value.byteSwapped)
    }

    /// A copy of `bytes`, without a length.
    @inlinable public mutating func write(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        reserve(bytes.count)
        (storage.base + written).copyMemory(from: source, byteCount: bytes.count)
        written += bytes.count
    }

    /// A copy of `bytes`, without a length.
    @inlinable public mutating func write(_ bytes: Bytes) { bytes.withUnsafeBytes { write($0) } }
    /// A copy of `bytes`, without a length.
    @inlinable public mutating func write(_ bytes: [UInt8]) { bytes.withUnsafeBytes { write($0) } }

    /// The UTF-8 of `string`, without a length.
    @inlinable public mutating func write(utf8 string: String) {
        var string = string
        string.withUTF8 { write(UnsafeRawBufferPointer($0)) }
    }

    /// LEB128: seven bits a byte, least significant first.
    @inlinable public mutating func writeVarint(_ value: UInt64) {
        reserve(10)
        var rest = value
        while rest >= 0x80 {
            storage.base.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: written, as: UInt8.self)
            written += 1
            rest >>= 7
        }
        storage.base.storeBytes(of: UInt8(truncatingIfNeeded: rest), toByteOffset: written, as: UInt8.self)
        written += 1
    }

    /// A varint length and the bytes.
    @inlinable public mutating func writeLengthPrefixed(_ bytes: Bytes) {
        writeVarint(UInt64(bytes.count))
        write(bytes)
    }

    /// A varint length and the UTF-8.
    @inlinable public mutating func writeLengthPrefixed(_ string: String) {
        writeVarint(UInt64(string.utf8.count))
        write(utf8: string)
    }

    /// Overwrites an integer already written at `offset`, little-endian.
    @inlinable public mutating func overwrite<T: FixedWidthInteger & BitwiseCopyable>(at offset: Int, with value: T) {
        precondition(offset >= 0 && offset + MemoryLayout<T>.size <= written)
        storage.base.storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
    }

    /// What was written, in place, for the duration of the call.
    @inlinable public borrowing func withUnsafeBytes<R, E: Error>(
        _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        try body(UnsafeRawBufferPointer(start: storage.base, count: written))
    }

    /// What was written, without a copy; the writer is empty afterwards and has given its memory away.
    @inlinable public mutating func take() -> Bytes {
        let bytes = Bytes(storage: storage, start: 0, count: written)
        storage = ByteWriter.empty
        written = 0
        return bytes
    }

    /// Forgets what was written and keeps the memory.
    @inlinable public mutating func removeAll() { written = 0 }
}
