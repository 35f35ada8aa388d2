import Foundation
import Primitives
import Raft
import Testing

/// Scenarios as text: `> command` lines, each followed by what it causes. Lines that begin with `#` say why.
///
/// With `REWRITE_SCRIPTS=1` in the environment the expected lines are rewritten; review the difference like code.
@Suite struct ScriptTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Scripts")

    static let names: [String] = {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return files.filter { $0.hasSuffix(".txt") }.sorted()
    }()

    @Test func thereAreScripts() {
        #expect(Self.names.count >= 10)
    }

    @Test(arguments: names)
    func script(_ name: String) throws {
        let file = Self.folder.appendingPathComponent(name)
        let expected = try String(contentsOf: file, encoding: .utf8)
        var runner = ScriptRunner()
        var lines: [String] = []
        for line in expected.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
            if line.hasPrefix("> ") {
                lines.append(line)
                do {
                    lines += try runner.run(String(line.dropFirst(2)))
                } catch {
                    Issue.record("\(name): \(line): \(error)")
                    return
                }
                try #require(runner.failures == [], "\(name): \(line)")
            } else if line.isEmpty || line.hasPrefix("#") {
                lines.append(line)
            }
        }
        let actual = lines.joined(separator: "\n")
        if ProcessInfo.processInfo.environment["REWRITE_SCRIPTS"] == "1" {
            try actual.write(to: file, atomically: true, encoding: .utf8)
            return
        }
        let wanted = expected.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        for (position, pair) in zip(wanted, lines).enumerated() where pair.0 != pair.1 {
            Issue.record("\(name):\(position + 1): expected '\(pair.0)', got '\(pair.1)'")
            return
        }
        #expect(wanted.count == lines.count, "\(name) ends differently")
    }
}
