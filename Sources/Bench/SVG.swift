/// The shapes of drawings.
enum SVG {
    /// A drawing on white.
    static func document(width: Int, height: Int, _ shapes: String) -> String {
        """
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(height)" font-family="sans-serif">
        <rect width="\(width)" height="\(height)" fill="#fff"/>
        \(shapes)</svg>

        """
    }

    static func rectangle(x: Int, y: Int, width: Int, height: Int, fill: String, title: String) -> String {
        """
        <rect x="\(x)" y="\(y)" width="\(width)" height="\(height)" fill="\(fill)"><title>\(title)</title></rect>

        """
    }

    static func text(_ text: String, x: Int, y: Int, size: Int, anchor: String = "start") -> String {
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
