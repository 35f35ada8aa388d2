/// A first-in first-out buffer in a power-of-two array: constant-time at both ends, indexed access, no per-element box.
public struct Ring<Element> {
    @usableFromInline var slots: [Element?]
    @usableFromInline var head: Int
    @usableFromInline var length: Int

    /// An empty ring without memory.
    @inlinable public init() {
        slots = []
        head = 0
        length = 0
    }

    /// Number of elements.
    @inlinable public var count: Int { length }
    /// No elements.
    @inlinable public var isEmpty: Bool { length == 0 }
    /// The oldest element.
    @inlinable public var first: Element? { length == 0 ? nil : slots[head] }
    /// The newest element.
    @inlinable public var last: Element? { length == 0 ? nil : slots[slot(length - 1)] }

    @inlinable func slot(_ index: Int) -> Int { (head &+ index) & (slots.count &- 1) }

    /// The element `index` places behind the head.
    @inlinable public subscript(index: Int) -> Element {
        get {
            precondition(index >= 0 && index < length)
            return slots[slot(index)].unsafelyUnwrapped
        }
        set {
            precondition(index >= 0 && index < length)
            slots[slot(index)] = newValue
        }
    }

    /// Adds an element at the end; the array doubles when it is full.
    @inlinable public mutating func append(_ element: Element) {
        if length == slots.count { grow() }
        slots[slot(length)] = element
        length += 1
    }

    /// Adds an element in front of the first.
    @inlinable public mutating func prepend(_ element: Element) {
        if length == slots.count { grow() }
        head = (head &- 1) & (slots.count &- 1)
        slots[head] = element
        length += 1
    }

    /// Takes the first element.
    @inlinable @discardableResult public mutating func popFirst() -> Element? {
        guard length > 0 else { return nil }
        let element = slots[head]
        slots[head] = nil
        head = (head &+ 1) & (slots.count &- 1)
        length -= 1
        return element
    }

    /// Takes the last element.
    @inlinable @discardableResult public mutating func popLast() -> Element? {
        guard length > 0 else { return nil }
        let index = slot(length - 1)
        let element = slots[index]
        slots[index] = nil
        length -= 1
        return element
    }

    /// Empties the ring and gives its memory back.
    @inlinable public mutating func removeAll() { self = Ring() }

    @usableFromInline mutating func grow() {
        var larger = [Element?](repeating: nil, count: Swift.max(8, slots.count * 2))
        for index in 0..<length { larger[index] = slots[slot(index)] }
        slots = larger
        head = 0
    }
}

extension Ring: Sendable where Element: Sendable {}

extension Ring: Sequence {
    /// From the first to the last.
    @inlinable public func makeIterator() -> AnyIterator<Element> {
        var index = 0
        return AnyIterator {
            guard index < count else { return nil }
            defer { index += 1 }
            return self[index]
        }
    }
}
