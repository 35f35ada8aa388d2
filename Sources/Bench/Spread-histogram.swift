import Primitives

extension Spread {
    /// Bars of blocks, one line a bin.
    package var terminalHistogram: String {
        let (width, first, counts) = bins()
        let most = counts.max() ?? 1
        var lines: [String] = []
        for (index, count) in counts.enumerated() {
            let label = Self.label(width, first + UInt64(index))
            let bar = String(repeating: "█", count: (count * 40 + most - 1) / most)
            lines.append(String(repeating: " ", count: max(0, 14 - label.count)) + "\(label) ms  \(bar) \(count)")
        }
        return lines.map { $0 + "\n" }.joined()
    }

    static func label(_ width: Interval, _ bin: UInt64) -> String {
        let step = width.nanoseconds / 1_000_000
        return "\(bin * step)–\((bin + 1) * step)"
    }
}
