/// A rule's finding: where and what.
struct Finding: Hashable, CustomStringConvertible {
    var path: String
    var line: Int
    var reason: String

    var description: String { "\(path):\(line): \(reason)" }
}

/// The rules about single files; each returns what breaks it.
enum Rules {
    static func arrows(_ file: SourceFile) -> [Finding] {
        file.imports.filter { !Arrows.allows($0.module, in: file) }.map {
            Finding(path: file.path, line: $0.line, reason: "\(file.module) may not import \($0.module) here")
        }
    }

    /// Names that bring a clock, chance or a thread into pure code without an import.
    private static let impure = [
        "SystemRandomNumberGenerator", ".randomElement()", ".shuffled()", ".shuffle()", "ContinuousClock",
        "SuspendingClock", "Task.", "Task {", "Task(", "Thread(", "DispatchQueue", "DispatchTime", "clock_gettime",
    ]

    static func purity(_ file: SourceFile) -> [Finding] {
        guard Arrows.isPure(file) else { return [] }
        return findings(file) { code in
            if let name = impure.first(where: { code.contains($0) }) { return "\(name) in pure code" }
            if code.contains(".random("), !code.contains("using:") { return "unseeded randomness in pure code" }
            return nil
        }
    }

    /// A bad byte, or a bug, must not end the process by a careless exclamation mark.
    static func force(_ file: SourceFile) -> [Finding] {
        findings(file) { code in ["try!", "as!"].first { code.contains($0) }.map { "\($0) ends the process" } }
    }

    static func width(_ file: SourceFile) -> [Finding] {
        guard !file.isGenerated else { return [] }
        return file.lines.enumerated().filter { $0.element.count > 120 }.map {
            Finding(path: file.path, line: $0.offset + 1, reason: "\($0.element.count) columns, at most 120")
        }
    }

    static let sizeLimit = 450
    /// Files that were larger when the limit came: each may shrink, not grow.
    static let largerFiles: [String: Int] = [:]

    static func size(_ file: SourceFile) -> [Finding] {
        let limit = largerFiles[file.path] ?? sizeLimit
        guard !file.isGenerated, file.lines.count > limit else { return [] }
        return [Finding(path: file.path, line: limit, reason: "\(file.lines.count) lines, at most \(limit)")]
    }

    /// Written in two parts, so that this file passes its own rule.
    private static let promises = ["TO" + "DO", "FIX" + "ME"]

    static func promises(_ file: SourceFile) -> [Finding] {
        file.lines.enumerated().compactMap { number, line in
            promises.first { line.contains($0) }.map {
                Finding(path: file.path, line: number + 1, reason: "\($0): do it, or open an issue")
            }
        }
    }

    private static func findings(_ file: SourceFile, _ reason: (Substring) -> String?) -> [Finding] {
        file.lines.enumerated().compactMap { number, line in
            reason(SourceFile.code(line)).map { Finding(path: file.path, line: number + 1, reason: $0) }
        }
    }
}
