import HeapModule
package import Primitives

/// Items with deadlines, earliest first, in the order of insertion where deadlines are equal.
package struct DeadlineQueue<Item> {
    private struct Timed: Comparable {
        var deadline: Instant
        var sequence: UInt64
        var item: Item

        static func < (a: Timed, b: Timed) -> Bool { (a.deadline, a.sequence) < (b.deadline, b.sequence) }
        static func == (a: Timed, b: Timed) -> Bool { a.sequence == b.sequence }
    }

    private var heap = Heap<Timed>()
    private var sequence: UInt64 = 0

    package init() {}

    /// The earliest deadline; the distant future when there is none.
    package var next: Instant { heap.min?.deadline ?? .distantFuture }

    package mutating func insert(_ item: Item, at deadline: Instant) {
        sequence += 1
        heap.insert(Timed(deadline: deadline, sequence: sequence, item: item))
    }

    /// Takes the earliest item if its deadline has come.
    package mutating func pop(due now: Instant) -> Item? {
        guard let first = heap.min, first.deadline <= now else { return nil }
        return heap.removeMin().item
    }
}
