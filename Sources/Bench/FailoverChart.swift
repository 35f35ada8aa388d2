import Primitives

/// A failover run as a drawing: a histogram of what clients saw, and of what it consisted in each trial.
struct FailoverChart {
    let title: String
    let note: String
    /// Nil when no trial recovered.
    let unavailability: Spread?
    /// Detection, election, resumption, clients; of each trial that told them.
    let stages: [[Interval]]

    private static let width = 720
    private static let left = 60
    /// The histogram's base line.
    private static let bottom = 290
    private static let stageNames = ["detection", "election", "resumption", "clients"]
    private static let stageColours = ["#7a8ca3", "#d9722e", "#2f7f6f", "#c9a227"]

    /// An SVG document.
    var svg: String {
        var shapes = ""
        var height = 330
        if let unavailability {
            shapes += bars(unavailability)
            shapes += SVG.text(unavailability.text, x: Self.left, y: 56, size: 13)
        }
        if !stages.isEmpty {
            shapes += strips(from: height)
            height += 30 + stages.count * stripStep + 30
        }
        shapes += SVG.text(note, x: Self.left, y: height + 10, size: 13)
        return SVG.document(
            width: Self.width, height: height + 30, SVG.text(title, x: Self.left, y: 32, size: 16) + shapes)
    }

    private func bars(_ spread: Spread) -> String {
        let (width, first, counts) = spread.bins()
        let most = counts.max() ?? 1
        let slot = min(80, (Self.width - Self.left - 20) / counts.count)
        var shapes = ""
        for (index, count) in counts.enumerated() {
            let x = Self.left + index * slot
            let height = count * 190 / most
            shapes += SVG.rectangle(
                x: x + 2, y: Self.bottom - height, width: max(1, slot - 4), height: height, fill: "#d9722e",
                title: "\(Spread.label(width, first + UInt64(index))) ms: \(count)")
            if count > 0 {
                shapes += SVG.text(
                    "\(count)", x: x + slot / 2, y: Self.bottom - height - 6, size: 12, anchor: "middle")
            }
            let edge = (first + UInt64(index)) * (width.nanoseconds / 1_000_000)
            shapes += SVG.text("\(edge)", x: x, y: Self.bottom + 18, size: 11, anchor: "middle")
        }
        shapes += """
            <line x1="\(Self.left)" y1="\(Self.bottom)" x2="\(Self.left + slot * counts.count)" y2="\(Self.bottom)" \
            stroke="#444"/>

            """
        return shapes + SVG.text("ms", x: Self.width - 16, y: Self.bottom + 18, size: 11, anchor: "end")
    }

    /// Thinner, the more there are.
    private var stripStep: Int { max(2, min(14, 240 / stages.count)) }

    /// A strip for each trial, the shortest first, with a legend above.
    private func strips(from top: Int) -> String {
        var shapes = ""
        for (index, name) in Self.stageNames.enumerated() {
            let x = Self.left + index * 130
            shapes += SVG.rectangle(
                x: x, y: top, width: 12, height: 12, fill: Self.stageColours[index], title: name)
            shapes += SVG.text(name, x: x + 18, y: top + 11, size: 12)
        }
        func length(_ trial: [Interval]) -> UInt64 { trial.reduce(0) { $0 + $1.nanoseconds } }
        let sorted = stages.sorted { length($0) < length($1) }
        let longest = max(1, sorted.last.map(length) ?? 1)
        let room = UInt64(Self.width - Self.left - 90)
        for (row, trial) in sorted.enumerated() {
            var x = Self.left
            let y = top + 30 + row * stripStep
            for (index, stage) in trial.enumerated() {
                let width = Int(stage.nanoseconds * room / longest)
                shapes += SVG.rectangle(
                    x: x, y: y, width: width, height: max(1, stripStep - 2), fill: Self.stageColours[index],
                    title: "\(Self.stageNames[index]) \(stage.text) ms")
                x += width
            }
            if stripStep >= 12 {
                let total = Interval(nanoseconds: length(trial))
                shapes += SVG.text("\(total.text) ms", x: x + 6, y: y + stripStep - 3, size: 11)
            }
        }
        return shapes
    }
}
