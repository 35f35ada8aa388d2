import Foundation

/// A Swift source file, cut into what the rules look at.
struct SourceFile {
    /// The target that it belongs to.
    var module: String
    /// Path from the repository's root.
    var path: String
    var lines: [Substring]

    init(module: String, path: String, text: String) {
        self.module = module
        self.path = path
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        self.lines = lines
    }

    var isGenerated: Bool { path.hasSuffix("+generated.swift") }
    /// Part of the thin shell that does what a pure core decided.
    var isShell: Bool { path.contains("/Shell/") }

    /// The line without a comment at its end.
    static func code(_ line: Substring) -> Substring {
        line[..<(line.firstRange(of: "//")?.lowerBound ?? line.endIndex)]
    }

    /// The imported modules and their line numbers.
    var imports: [(line: Int, module: String)] {
        lines.enumerated().compactMap { number, line in
            let words = SourceFile.code(line).split(separator: " ")
            guard let place = words.firstIndex(of: "import"), words[..<place].allSatisfy(SourceFile.mayPrecedeImport)
            else { return nil }
            let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]
            guard let name = words[(place + 1)...].first(where: { !kinds.contains($0) }) else { return nil }
            return (number + 1, String(name.prefix { $0 != "." }))
        }
    }

    private static func mayPrecedeImport(_ word: Substring) -> Bool {
        word.hasPrefix("@") || ["public", "package", "internal", "fileprivate", "private"].contains(word)
    }
}

/// The files that the rules are about.
struct Repository {
    let root: URL

    /// The repository that this file lies in.
    static let this = Repository(
        root: URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent())

    /// The targets with a folder in `folder`, sorted.
    func targets(in folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: root.appendingPathComponent(folder).path)
            .filter { isDirectory("\(folder)/\($0)") }.sorted()
    }

    /// All Swift files in `folder`, sorted by path.
    func files(in folder: String) throws -> [SourceFile] {
        var files: [SourceFile] = []
        for target in try targets(in: folder) {
            let base = "\(folder)/\(target)"
            for name in try FileManager.default.subpathsOfDirectory(atPath: root.appendingPathComponent(base).path)
            where name.hasSuffix(".swift") {
                let path = "\(base)/\(name)"
                guard let text = text(of: path) else { throw CocoaError(.fileReadUnknown) }
                files.append(SourceFile(module: target, path: path, text: text))
            }
        }
        return files.sorted { $0.path < $1.path }
    }

    func text(of path: String) -> String? {
        try? String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
    }

    private func isDirectory(_ path: String) -> Bool {
        var isDirectory: ObjCBool = false
        return FileManager.default.fileExists(atPath: root.appendingPathComponent(path).path, isDirectory: &isDirectory)
            && isDirectory.boolValue
    }

    /// The names at the top: what git tracks, or what is there when git cannot tell.
    func topLevel() throws -> [String] {
        let tracked = trackedPaths().map { Set($0.map { String($0.prefix { $0 != "/" }) }) }
        return try tracked?.sorted() ?? FileManager.default.contentsOfDirectory(atPath: root.path).sorted()
    }

    private func trackedPaths() -> [Substring]? {
        let git = Process()
        git.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        git.arguments = ["git", "-C", root.path, "ls-files"]
        let output = Pipe()
        git.standardOutput = output
        git.standardError = FileHandle.nullDevice
        guard (try? git.run()) != nil else { return nil }
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        git.waitUntilExit()
        return git.terminationStatus == 0 && !text.isEmpty ? text.split(separator: "\n") : nil
    }
}
