/// Which target may import what. Arrows between targets point down only; each target has the libraries meant for it.
enum Arrows {
    /// The targets from the bottom up: one may import those before it.
    static let order = [
        "CLZ4", "CPlatform", "Primitives", "AMQP", "Raft", "QuorumQueue", "QueueClient", "Topology", "LogStore",
        "PeerLink", "Replication", "Broker", "Management", "Simulation", "AMQPClient", "Bench", "warren",
    ]

    /// Targets that see a broker from outside only, and what of ours they may import.
    static let clientSide: [String: Set<String>] = [
        "AMQPClient": ["Primitives", "AMQP"],
        "Bench": ["Primitives", "AMQP", "AMQPClient"],
    ]

    /// No clock, no randomness, no I/O, no threads, no event loop: time and entropy come in as arguments.
    static let pure: Set = ["Primitives", "AMQP", "Raft", "QuorumQueue", "QueueClient", "Topology"]
    /// Pure but for the files in their `Shell` folder.
    static let pureCore: Set = ["LogStore", "PeerLink", "Replication"]

    /// Libraries of a target; for one with a pure core, those of the core.
    static let libraries: [String: Set<String>] = [
        "Topology": ["Crypto"],
        "PeerLink": ["Crypto"],
        "Replication": ["HeapModule"],
        "Broker": ["NIOCore", "NIOPosix", "Logging"],
        "Management": [
            "Foundation", "HTTPTypes", "Hummingbird", "NIOCore", "NIOFoundationCompat", "NIOHTTP1", "NIOPosix",
            "Logging",
        ],
        "Simulation": ["HeapModule", "Logging", "NIOCore", "NIOEmbedded"],
        "AMQPClient": ["NIOCore", "NIOPosix"],
        "Bench": ["Histogram", "NIOCore", "NIOPosix", "Glibc", "Musl"],
        "warren": [
            "ArgumentParser", "Foundation", "Logging", "NIOCore", "NIOPosix", "ServiceLifecycle", "UnixSignals",
            "Glibc",
            "Musl", "Synchronization",
        ],
    ]

    /// What the shell of a target has besides.
    static let shellLibraries: [String: Set<String>] = [
        "LogStore": ["Glibc", "Musl", "Synchronization"],
        "PeerLink": ["Glibc", "Musl", "Logging", "NIOCore", "NIOPosix", "Synchronization"],
        "Replication": ["Glibc", "Musl", "Logging", "NIOCore", "NIOPosix", "Synchronization"],
        "Broker": ["Synchronization"],
    ]

    static func allows(_ imported: String, in file: SourceFile) -> Bool {
        guard let place = order.firstIndex(of: file.module) else { return false }
        if let other = order.firstIndex(of: imported) {
            return clientSide[file.module]?.contains(imported) ?? (other < place)
        }
        if libraries[file.module]?.contains(imported) ?? false { return true }
        return file.isShell && shellLibraries[file.module]?.contains(imported) ?? false
    }

    static func isPure(_ file: SourceFile) -> Bool {
        pure.contains(file.module) || (pureCore.contains(file.module) && !file.isShell)
    }
}
