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

    private static func label(_ width: Interval, _ bin: UInt64) -> String {
        let step = width.nanoseconds / 1_000_000
        return "\(bin * step)–\((bin + 1) * step)"
    }

    private static let width = 720
    private static let height = 360
    private static let left = 60
    private static let bottom = 290

    /// The same bins as bars, with the percentiles as text.
    package func svgHistogram(title: String, note: String) -> String {
        let (width, first, counts) = bins()
        let most = counts.max() ?? 1
        let slot = min(80, (Self.width - Self.left - 20) / counts.count)
        var shapes = ""
        for (index, count) in counts.enumerated() {
            let x = Self.left + index * slot
            let height = count * 190 / most
            shapes += """
                <rect x="\(x + 2)" y="\(Self.bottom - height)" width="\(max(1, slot - 4))" height="\(height)" \
                fill="#d9722e"><title>\(Self.label(width, first + UInt64(index))) ms: \(count)</title></rect>

                """
            if count > 0 {
                shapes += Self.text(
                    "\(count)", x: x + slot / 2, y: Self.bottom - height - 6, size: 12, anchor: "middle")
            }
            let edge = (first + UInt64(index)) * (width.nanoseconds / 1_000_000)
            shapes += Self.text("\(edge)", x: x, y: Self.bottom + 18, size: 11, anchor: "middle")
        }
        shapes += """
            <line x1="\(Self.left)" y1="\(Self.bottom)" x2="\(Self.left + slot * counts.count)" y2="\(Self.bottom)" \
            stroke="#444"/>

            """
        shapes += Self.text("ms", x: Self.width - 16, y: Self.bottom + 18, size: 11, anchor: "end")
        shapes += Self.text(text, x: Self.left, y: 56, size: 13)
        return Self.document(title: title, note: note, shapes: shapes)
    }

    /// When no trial recovered.
    package static func emptySVG(title: String, note: String) -> String {
        document(title: title, note: note, shapes: "")
    }

    private static func document(title: String, note: String, shapes: String) -> String {
        """
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(height)" font-family="sans-serif">
        <rect width="\(width)" height="\(height)" fill="#fff"/>
        \(text(title, x: left, y: 32, size: 16))\(shapes)\(text(note, x: left, y: height - 20, size: 13))</svg>

        """
    }

    private static func text(_ text: String, x: Int, y: Int, size: Int, anchor: String = "start") -> String {
        var escaped = ""
        for character in text {
            switch character {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            default: escaped.append(character)
            }
        }
        return "<text x=\"\(x)\" y=\"\(y)\" font-size=\"\(size)\" text-anchor=\"\(anchor)\">\(escaped)</text>\n"
    }
}
