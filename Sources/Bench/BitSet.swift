/// A set of small numbers, one bit each. It grows to the largest.
package struct BitSet: Hashable, Sendable {
    /// The bits, 64 a word.
    package private(set) var words: [UInt64] = []
    /// How many numbers it holds.
    package private(set) var count: UInt64 = 0

    package init() {}

    /// It holds `number`.
    package func contains(_ number: UInt64) -> Bool {
        let word = Int(number >> 6)
        return word < words.count && words[word] >> (number & 63) & 1 != 0
    }

    /// Adds `number`; false when it was there.
    package mutating func insert(_ number: UInt64) -> Bool {
        let word = Int(number >> 6)
        if word >= words.count {
            words.append(contentsOf: repeatElement(0, count: max(1024, word + 1, 2 * words.count) - words.count))
        }
        let bit: UInt64 = 1 << (number & 63)
        guard words[word] & bit == 0 else { return false }
        words[word] |= bit
        count += 1
        return true
    }
}
