import Primitives
import Testing

@Suite struct RingTests {
    @Test func firstInFirstOut() {
        var ring = Ring<Int>()
        #expect(ring.popFirst() == nil && ring.popLast() == nil && ring.first == nil && ring.last == nil)
        for number in 0..<100 { ring.append(number) }
        #expect(ring.first == 0 && ring.last == 99 && ring.count == 100)
        #expect(Array(ring) == Array(0..<100))
        for number in 0..<100 { #expect(ring.popFirst() == number) }
        #expect(ring.isEmpty)
    }

    @Test func aCopyIsAValue() {
        var ring = Ring<Int>()
        ring.append(1)
        let copy = ring
        ring[0] = 2
        ring.append(3)
        #expect(Array(copy) == [1] && Array(ring) == [2, 3])
    }

    @Test func poppedElementsAreReleased() {
        final class Item {}
        var ring = Ring<Item>()
        weak var first: Item?
        weak var last: Item?
        do {
            let items = [Item(), Item(), Item()]
            for item in items { ring.append(item) }
            first = items[0]
            last = items[2]
        }
        #expect(first != nil && last != nil)
        ring.popFirst()
        ring.popLast()
        #expect(first == nil && last == nil && ring.count == 1)
    }

    /// Random operations at both ends agree with an array.
    @Test(arguments: 1...20) func agreesWithAnArray(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var ring = Ring<UInt64>()
        var model: [UInt64] = []
        for step in 0..<UInt64(2_000) {
            switch random.next(below: 9) {
            case 0, 1, 2:
                ring.append(step)
                model.append(step)
            case 3, 4:
                ring.prepend(step)
                model.insert(step, at: 0)
            case 5, 6: #expect(ring.popFirst() == (model.isEmpty ? nil : model.removeFirst()))
            case 7: #expect(ring.popLast() == model.popLast())
            default:
                guard !model.isEmpty else { continue }
                let place = Int(random.next(below: UInt64(model.count)))
                ring[place] = step
                model[place] = step
            }
            #expect(ring.count == model.count && ring.first == model.first && ring.last == model.last)
        }
        #expect(Array(ring) == model)
        #expect(model.indices.allSatisfy { ring[$0] == model[$0] })
        ring.removeAll()
        #expect(ring.isEmpty && Array(ring) == [])
    }
}
