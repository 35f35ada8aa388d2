/// Fixed memory that slices share. It is written only by the `ByteWriter` that made it, before it is shared.
public final class ByteStorage: @unchecked Sendable {
    @usableFromInline let base: UnsafeMutableRawPointer
    /// Bytes allocated.
    public let capacity: Int

    /// Uninitialised memory, 16-byte aligned.
    @inlinable public init(capacity: Int) {
        precondition(capacity >= 0)
        self.capacity = capacity
        self.base = UnsafeMutableRawPointer.allocate(byteCount: max(capacity, 1), alignment: 16)
    }

    @inlinable deinit { base.deallocate() }
}

/// An immutable run of bytes: a slice of shared storage, 24 bytes wide, copied by reference.
///
/// A slice keeps its whole storage alive; use `compacted()` for a small slice that outlives a large buffer.
public struct Bytes: Sendable {
    @usableFromInline let storage: ByteStorage?
    @usableFromInline let start: Int
    /// Number of bytes.
    public let count: Int

    @inlinable init(storage: ByteStorage?, start: Int, count: Int) {
        self.storage = storage
        self.start = start
        self.count = count
    }

    /// No bytes.
    @inlinable public init() { self.init(storage: nil, start: 0, count: 0) }

    /// A copy of `buffer`.
    @inlinable public init(copying buffer: UnsafeRawBufferPointer) {
        guard let source = buffer.baseAddress, buffer.count > 0 else {
            self.init()
            return
        }
        let storage = ByteStorage(capacity: buffer.count)
        storage.base.copyMemory(from: source, byteCount: buffer.count)
        self.init(storage: storage, start: 0, count: buffer.count)
    }

    /// A copy of `array`.
    @inlinable public init(_ array: [UInt8]) {
        self = array.withUnsafeBytes { Bytes(copying: $0) }
    }

    /// The UTF-8 of `string`.
    @inlinable public init(_ string: String) { self.init(Array(string.utf8)) }

    /// No bytes.
    @inlinable public var isEmpty: Bool { count == 0 }

    /// The bytes in place, for the duration of the call; no base address when there are none and no storage.
    @inlinable public func withUnsafeBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R
    {
        guard let storage else { return try body(UnsafeRawBufferPointer(start: nil, count: 0)) }
        defer { withExtendedLifetime(storage) {} }
        return try body(UnsafeRawBufferPointer(start: storage.base + start, count: count))
    }

    /// The slice of `range`, relative to this one; it shares the storage.
    @inlinable public subscript(range: Range<Int>) -> Bytes {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        return Bytes(storage: storage, start: start + range.lowerBound, count: range.count)
    }

    /// The byte at `index`, which must be in bounds.
    @inlinable public subscript(index: Int) -> UInt8 {
        precondition(index >= 0 && index < count)
        return withUnsafeBytes { $0[index] }
    }

    /// Bytes of memory that these keep alive.
    @inlinable public var heldByteCount: Int { storage?.capacity ?? 0 }

    /// A copy in storage of its own.
    @inlinable public func compacted() -> Bytes { withUnsafeBytes { Bytes(copying: $0) } }

    /// A copy as an array.
    @inlinable public func toArray() -> [UInt8] { withUnsafeBytes { [UInt8]($0) } }
}

extension Bytes: Hashable {
    /// Equal bytes, whatever the storage.
    @inlinable public static func == (a: Bytes, b: Bytes) -> Bool {
        guard a.count == b.count else { return false }
        return a.withUnsafeBytes { x in b.withUnsafeBytes { y in x.elementsEqual(y) } }
    }
    /// Equal bytes have equal hashes.
    @inlinable public func hash(into hasher: inout Hasher) { withUnsafeBytes { hasher.combine(bytes: $0) } }
}

extension String {
    /// The bytes read as UTF-8, ill-formed sequences replaced.
    @inlinable public init(decoding bytes: Bytes) {
        self = bytes.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    }
}
