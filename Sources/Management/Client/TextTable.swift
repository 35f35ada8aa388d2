/// Rows under headings, aligned with spaces.
public struct TextTable: Sendable {
    private var rows: [[String]]

    /// - Parameter headings: one for each column.
    public init(_ headings: [String]) { rows = [headings] }

    /// - Parameter cells: one for each column; characters that are not printed (line ends and such) become spaces.
    public mutating func append(_ cells: [String]) {
        rows.append(
            cells.map { cell in
                String(
                    String.UnicodeScalarView(
                        cell.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : $0 }))
            })
    }

    /// Lines without spaces at their ends.
    public var text: String {
        var widths: [Int] = []
        for row in rows {
            for (column, cell) in row.enumerated() {
                if column == widths.count { widths.append(0) }
                widths[column] = max(widths[column], cell.count)
            }
        }
        return rows.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                line += cell
                if column < row.count - 1 {
                    line += String(repeating: " ", count: widths[column] - cell.count + 2)
                }
            }
            while line.last == " " { line.removeLast() }
            return line
        }.joined(separator: "\n")
    }
}
