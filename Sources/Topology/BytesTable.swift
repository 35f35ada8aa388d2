package import Primitives

/// A hash table keyed by bytes that is asked with a raw pointer, so that a lookup makes neither a string nor a copy.
///
/// Open addressing with linear probing and backward-shift deletion, at most 3/4 full, copied on write. The hash is
/// seeded per process, which keeps clients from choosing keys that collide; the seed shows nowhere, because the table
/// cannot be iterated.
package struct BytesTable<Value: Sendable>: Sendable {
    private var storage: Storage?
    package private(set) var count = 0

    package init() {}

    var isEmpty: Bool { count == 0 }

    package subscript(key: UnsafeRawBufferPointer) -> Value? {
        guard let storage, let index = storage.find(key, hash: TableHash.hash(key)) else { return nil }
        return storage.slots[index].value
    }

    /// Gives the value of `key` to `body` in place; false when there is none.
    @inline(__always)
    func withValue(_ key: UnsafeRawBufferPointer, _ body: (Value) -> Void) -> Bool {
        guard let storage, let index = storage.find(key, hash: TableHash.hash(key)) else { return false }
        body(storage.slots[index].value)
        return true
    }

    /// Gives the value of `key`, made by `initial` if absent, to `body`; removes it when `body` returns false.
    package mutating func update(_ key: Bytes, initial: () -> Value, _ body: (inout Value) -> Bool) {
        let storage = makeRoom()
        let hash = key.withUnsafeBytes { TableHash.hash($0) }
        let index: Int
        if let found = key.withUnsafeBytes({ storage.find($0, hash: hash) }) {
            index = found
        } else {
            index = storage.insert(Slot(key: key, value: initial()), hash: hash)
            count += 1
        }
        if !body(&storage.slots[index].value) {
            storage.remove(at: index)
            count -= 1
        }
    }

    package mutating func set(_ key: Bytes, _ value: Value) {
        update(key, initial: { value }) { current in
            current = value
            return true
        }
    }

    package mutating func remove(_ key: Bytes) {
        guard key.withUnsafeBytes({ self[$0] }) != nil else { return }
        update(key, initial: { preconditionFailure("found above") }) { _ in false }
    }

    /// Storage held by this table alone with a free slot.
    private mutating func makeRoom() -> Storage {
        // Asked before anything else refers to the storage.
        let isUnique = isKnownUniquelyReferenced(&storage)
        if isUnique, let current = storage, (count + 1) * 4 <= current.capacity * 3 { return current }
        var capacity = max(storage?.capacity ?? 0, 4)
        if (count + 1) * 4 > capacity * 3 { capacity *= 2 }
        let larger = Storage(capacity: capacity)
        if let storage {
            for index in 0..<storage.capacity where storage.hashes[index] != 0 {
                _ = larger.insert(storage.slots[index], hash: storage.hashes[index])
            }
        }
        storage = larger
        return larger
    }
}

extension BytesTable {
    fileprivate struct Slot {
        let key: Bytes
        var value: Value
    }

    /// The slots, changed only by the table that holds them alone.
    fileprivate final class Storage: @unchecked Sendable {
        /// A power of two.
        let capacity: Int
        /// 0 where the slot is free, and only there.
        let hashes: UnsafeMutablePointer<UInt64>
        let slots: UnsafeMutablePointer<Slot>

        init(capacity: Int) {
            self.capacity = capacity
            hashes = .allocate(capacity: capacity)
            hashes.initialize(repeating: 0, count: capacity)
            slots = .allocate(capacity: capacity)
        }

        deinit {
            for index in 0..<capacity where hashes[index] != 0 { (slots + index).deinitialize(count: 1) }
            slots.deallocate()
            hashes.deallocate()
        }

        @inline(__always)
        func find(_ key: UnsafeRawBufferPointer, hash: UInt64) -> Int? {
            let mask = capacity - 1
            var index = home(of: hash)
            while hashes[index] != 0 {
                if hashes[index] == hash && TableHash.equal(slots[index].key, key) { return index }
                index = (index + 1) & mask
            }
            return nil
        }

        func insert(_ slot: Slot, hash: UInt64) -> Int {
            let mask = capacity - 1
            var index = home(of: hash)
            while hashes[index] != 0 { index = (index + 1) & mask }
            hashes[index] = hash
            (slots + index).initialize(to: slot)
            return index
        }

        func remove(at index: Int) {
            let mask = capacity - 1
            (slots + index).deinitialize(count: 1)
            hashes[index] = 0
            var hole = index
            var probe = (index + 1) & mask
            while hashes[probe] != 0 {
                // A slot may move back into the hole unless its home lies behind the hole on the way to it.
                if (probe - home(of: hashes[probe])) & mask >= (probe - hole) & mask {
                    (slots + hole).moveInitialize(from: slots + probe, count: 1)
                    hashes[hole] = hashes[probe]
                    hashes[probe] = 0
                    hole = probe
                }
                probe = (probe + 1) & mask
            }
        }

        @inline(__always)
        private func home(of hash: UInt64) -> Int { Int(truncatingIfNeeded: hash) & (capacity - 1) }
    }
}

/// Hashing and equality of bytes, outside of the generic type so that there is one seed.
enum TableHash {
    /// Derived from Swift's own seed of this process.
    private static let secret: (seed: UInt64, factor: UInt64) = {
        let number = UInt64(truncatingIfNeeded: Hasher().finalize())
        return (number, number &* 0x9E37_79B9_7F4A_7C15 | 1)
    }()

    /// Folded multiplication a word at a time, never 0.
    @inline(__always)
    static func hash(_ key: UnsafeRawBufferPointer) -> UInt64 {
        let (seed, factor) = secret
        var state = seed ^ UInt64(key.count)
        var offset = 0
        while offset &+ 8 <= key.count {
            state = fold(state ^ key.loadUnaligned(fromByteOffset: offset, as: UInt64.self), factor)
            offset &+= 8
        }
        var rest: UInt64 = 0
        while offset < key.count {
            rest = rest << 8 | UInt64(key[offset])
            offset &+= 1
        }
        return fold(state ^ rest, factor) | 1 << 63
    }

    @inline(__always)
    private static func fold(_ value: UInt64, _ factor: UInt64) -> UInt64 {
        let product = value.multipliedFullWidth(by: factor)
        return product.high ^ product.low
    }

    @inline(__always)
    static func equal(_ key: Bytes, _ other: UnsafeRawBufferPointer) -> Bool {
        guard key.count == other.count else { return false }
        return key.withUnsafeBytes { key in
            var offset = 0
            while offset + 8 <= key.count {
                let a = key.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                let b = other.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                if a != b { return false }
                offset += 8
            }
            while offset < key.count {
                if key[offset] != other[offset] { return false }
                offset += 1
            }
            return true
        }
    }
}

extension Bytes {
    /// Lexicographic order.
    func precedes(_ other: Bytes) -> Bool {
        withUnsafeBytes { a in other.withUnsafeBytes { b in a.lexicographicallyPrecedes(b) } }
    }
}
