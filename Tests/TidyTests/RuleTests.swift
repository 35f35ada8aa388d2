import Testing

/// A rule that notices nothing would pass for ever: each one is shown what it forbids.
@Suite struct RuleTests {
    private func file(_ path: String, _ text: String) -> SourceFile {
        SourceFile(module: String(path.split(separator: "/")[1]), path: path, text: text)
    }

    @Test(arguments: [
        ("Sources/Primitives/X.swift", "import Foundation"),
        ("Sources/Primitives/X.swift", "public import AMQP"),
        ("Sources/Raft/X.swift", "import NIOCore"),
        ("Sources/Raft/X.swift", "@preconcurrency import Dispatch"),
        ("Sources/QuorumQueue/X.swift", "import Raft\nimport QueueClient"),
        ("Sources/Topology/X.swift", "    import Glibc"),
        ("Sources/LogStore/X.swift", "import struct Glibc.timespec"),
        ("Sources/PeerLink/X.swift", "package import NIOCore"),
        ("Sources/Replication/X.swift", "import Logging"),
        ("Sources/Replication/Shell/X.swift", "import Broker"),
        ("Sources/Broker/X.swift", "import Management"),
        ("Sources/AMQPClient/X.swift", "import Broker"),
        ("Sources/Unknown/X.swift", "import Primitives"),
    ])
    func forbiddenImports(_ path: String, _ text: String) {
        #expect(Rules.arrows(file(path, text)).count == 1)
    }

    @Test(arguments: [
        ("Sources/Primitives/X.swift", "import CPlatform"),
        ("Sources/Topology/X.swift", "internal import Crypto\npublic import Primitives"),
        ("Sources/LogStore/Shell/X.swift", "import Glibc\nimport Primitives"),
        ("Sources/Replication/X.swift", "import HeapModule\nimport class Raft.RaftCore"),
        ("Sources/Raft/X.swift", "// import NIOCore\nlet text = \"what to import Foundation for\""),
        ("Sources/warren/X.swift", "import ArgumentParser\nimport Broker"),
    ])
    func allowedImports(_ path: String, _ text: String) {
        #expect(Rules.arrows(file(path, text)) == [])
    }

    @Test func impureNames() {
        let text = """
            let a = Int.random(in: 0..<3)
            let b = Int.random(in: 0..<3, using: &generator)
            // ContinuousClock
            let c = ContinuousClock().now
            """
        #expect(Rules.purity(file("Sources/Raft/X.swift", text)).map(\.line) == [1, 4])
        #expect(Rules.purity(file("Sources/LogStore/X.swift", text)).map(\.line) == [1, 4])
        #expect(Rules.purity(file("Sources/LogStore/Shell/X.swift", text)) == [])
        #expect(Rules.purity(file("Sources/Broker/X.swift", text)) == [])
    }

    @Test func forced() {
        let text = "let a = try! f()\nlet b = try? f()\nlet c = d as! Int  // so\n// try!"
        #expect(Rules.force(file("Sources/Raft/X.swift", text)).map(\.line) == [1, 3])
    }

    @Test func longLines() {
        let text = [119, 120, 121].map { String(repeating: "ü", count: $0) }.joined(separator: "\n")
        #expect(Rules.width(file("Sources/Raft/X.swift", text)).map(\.line) == [3])
        #expect(Rules.width(file("Sources/AMQP/X+generated.swift", text)) == [])
    }

    @Test func longFiles() {
        let text = String(repeating: "\n", count: Rules.sizeLimit)
        #expect(Rules.size(file("Sources/Raft/X.swift", text)) == [])
        #expect(Rules.size(file("Sources/Raft/X.swift", text + "\n")).count == 1)
        #expect(Rules.size(file("Sources/AMQP/X+generated.swift", text + "\n")) == [])
    }

    @Test func promisedWork() {
        let text = "let a = 1\n// FIX" + "ME later"
        #expect(Rules.promises(file("Sources/Raft/X.swift", text)).map(\.line) == [2])
    }
}
