import Primitives

/// What was delivered on one channel and not acknowledged, by delivery tag from 1.
///
/// A tag names a delivery source (a slot of the channel's table) and the number that its queue gave the delivery. Tags
/// are consecutive, so a tag is an index; acknowledged ones stay as gaps until everything before them is acknowledged
/// too.
package struct UnackedRing: Sendable {
    private struct Item: Sendable {
        var source: UInt32
        var number: UInt64
    }

    private static let gap = UInt32.max

    private var items = Ring<Item>()
    private var base: UInt64 = 1
    /// Outstanding deliveries, gaps left out.
    package private(set) var count = 0

    package init() {}

    /// Tag of the next delivery.
    package var next: UInt64 { base + UInt64(items.count) }

    /// Uses up a tag for a delivery that needs no acknowledgement.
    package mutating func skip() -> UInt64 {
        let tag = next
        if items.isEmpty {
            base += 1
        } else {
            items.append(Item(source: UnackedRing.gap, number: 0))
        }
        return tag
    }

    /// Gives the delivery `number` of `source` the next tag.
    package mutating func append(source: UInt32, number: UInt64) -> UInt64 {
        let tag = next
        items.append(Item(source: source, number: number))
        count += 1
        return tag
    }

    /// Takes out `tag`, or with `multiple` everything up to it (all for tag 0), as runs of consecutive numbers of one
    /// source, oldest first.
    /// - Returns: false when the tag is not outstanding; nothing was taken then.
    package mutating func take(
        tag: UInt64, multiple: Bool, _ emit: (_ source: UInt32, _ numbers: ClosedRange<UInt64>) -> Void
    ) -> Bool {
        if multiple && tag == 0 {
            guard !items.isEmpty else { return true }
            takeRun(0..<items.count, emit)
            return true
        }
        guard tag >= base && tag < next else { return false }
        let index = Int(tag - base)
        guard items[index].source != UnackedRing.gap else { return false }
        takeRun((multiple ? 0 : index)..<index + 1, emit)
        return true
    }

    /// Takes out everything.
    package mutating func takeAll(_ emit: (_ source: UInt32, _ numbers: ClosedRange<UInt64>) -> Void) {
        _ = take(tag: 0, multiple: true, emit)
    }

    private mutating func takeRun(
        _ range: Range<Int>, _ emit: (_ source: UInt32, _ numbers: ClosedRange<UInt64>) -> Void
    ) {
        var source = UnackedRing.gap
        var first: UInt64 = 0
        var last: UInt64 = 0
        for index in range {
            let item = items[index]
            guard item.source != UnackedRing.gap else { continue }
            items[index].source = UnackedRing.gap
            count -= 1
            if item.source == source && item.number == last + 1 {
                last = item.number
            } else {
                if source != UnackedRing.gap { emit(source, first...last) }
                source = item.source
                first = item.number
                last = item.number
            }
        }
        if source != UnackedRing.gap { emit(source, first...last) }
        while let item = items.first, item.source == UnackedRing.gap {
            items.popFirst()
            base += 1
        }
    }
}
