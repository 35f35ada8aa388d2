// swift-tools-version: 6.2
import PackageDescription

/// CI treats every warning as an error.
let strictness: [SwiftSetting] = Context.environment["CI"] == nil ? [] : [.treatAllWarnings(as: .error)]
/// `Tests/fuzz` names libFuzzer's archive; everything of ours is then instrumented for it.
let fuzzer = Context.environment["WARREN_FUZZER"]
let instrumentation: [SwiftSetting] = fuzzer == nil ? [] : [.unsafeFlags(["-sanitize=fuzzer"])]
/// Looking at every access to an object's properties whether another is under way costs a message a third of its
/// instructions. The sanitizers' builds look, and run the same tests.
let exclusivity: [SwiftSetting] =
    Context.environment["WARREN_CHECK_ACCESSES"] == nil
    ? [.unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))] : []
let settings: [SwiftSetting] =
    strictness + instrumentation + exclusivity + [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
    ]

let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let heap: Target.Dependency = .product(name: "HeapModule", package: "swift-collections")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let histogram: Target.Dependency = .product(name: "Histogram", package: "hdrhistogram-swift")
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")

func module(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .target(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}

let package = Package(
    name: "warren",
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
        .target(name: "CPlatform"),
        module("Primitives", ["CLZ4", "CPlatform"]),
        module("AMQP", ["Primitives"], exclude: ["Generator"]),
        module("Raft", ["Primitives"]),
        module("QuorumQueue", ["Primitives"]),
        module("QueueClient", ["Primitives", "QuorumQueue"]),
        module("Topology", ["Primitives", crypto]),
        module("LogStore", ["CPlatform", "Primitives"]),
        module("PeerLink", ["Primitives", crypto, nioCore, nioPosix, logging]),
        module(
            "Replication",
            [
                "LogStore", "PeerLink", "Primitives", "QueueClient", "QuorumQueue", "Raft", "Topology", heap, nioCore,
                nioPosix, logging,
            ]),

        module(
            "Simulation",
            [
                "LogStore", "PeerLink", "Primitives", "QuorumQueue", "QueueClient", "Raft", "Replication", "Topology",
            ]),
        module(
            "Broker",
            [
                "AMQP", "LogStore", "PeerLink", "Primitives", "QueueClient", "QuorumQueue", "Replication", "Topology",
                nioCore, nioPosix, logging,
            ]),
        module("AMQPClient", ["AMQP", "Primitives", nioCore, nioPosix]),
        module("Bench", ["AMQP", "AMQPClient", "Primitives", nioCore, nioPosix, histogram]),
        module(
            "Management",
            [
                "AMQP", "Broker", "LogStore", "PeerLink", "Primitives", "QuorumQueue", "Replication", "Topology",
                hummingbird, nioCore, nioHTTP1, nioPosix, logging,
            ]),
        .executableTarget(
            name: "warren",
            dependencies: [
                "Bench", "Broker", "LogStore", "Management", "PeerLink", "Primitives", "QuorumQueue", "Replication",
                "Simulation", "Topology", argumentParser, nioCore, nioPosix, logging, lifecycle, signals,
            ], swiftSettings: settings),

        .target(
            name: "FuzzTargets",
            dependencies: [
                "AMQP", "Broker", "LogStore", "PeerLink", "Primitives", "QueueClient", "QuorumQueue", "Raft",
                "Replication", "Topology",
            ], path: "Tests/FuzzTargets", swiftSettings: settings),

        .executableTarget(
            name: "cost",
            dependencies: [
                "AMQP", "Broker", "LogStore", "PeerLink", "Primitives", "QueueClient", "QuorumQueue", "Replication",
                "Topology", nioEmbedded, logging,
            ], path: "Tests/CostDriver", exclude: ["baseline"], swiftSettings: settings),

        tests("AMQPTests", ["AMQP", "Primitives"]),
        tests("AMQPClientTests", ["AMQPClient", "AMQP", "Primitives", nioCore, nioPosix, nioEmbedded]),
        tests("BenchTests", ["Bench", "Primitives"]),
        tests(
            "BrokerTests",
            [
                "Broker", "AMQP", "LogStore", "Topology", "QuorumQueue", "QueueClient", "Primitives", nioCore,
                nioEmbedded, logging,
            ]),
        tests("FuzzTests", ["FuzzTargets"], exclude: ["Corpus"]),
        tests("LogStoreTests", ["LogStore", "Primitives"]),
        tests(
            "ManagementTests",
            [
                "Management", "AMQP", "Broker", "LogStore", "PeerLink", "Replication", "Topology", "Primitives",
                nioCore, nioHTTP1, nioPosix,
            ]),
        tests("PeerLinkTests", ["PeerLink", "Primitives", nioCore, nioPosix, nioEmbedded, logging]),
        tests("PrimitivesTests", ["Primitives"]),
        tests("QueueClientTests", ["QueueClient", "QuorumQueue", "Primitives"]),
        tests("QuorumQueueTests", ["QuorumQueue", "Primitives"]),
        tests("RaftTests", ["Raft", "Primitives"], exclude: ["Scripts"]),
        tests(
            "ReplicationTests",
            [
                "Replication", "LogStore", "PeerLink", "QuorumQueue", "Raft", "Topology", "Primitives", nioCore,
                nioPosix, logging,
            ]),
        tests("SimulationTests", ["Simulation", "Primitives"]),
        tests("TidyTests", []),
        tests("TopologyTests", ["Topology", "Primitives"]),
    ],
    swiftLanguageModes: [.v6]
)

if let fuzzer {
    package.targets.append(
        .executableTarget(
            name: "fuzz", dependencies: ["FuzzTargets"], path: "Tests/FuzzDriver", swiftSettings: settings,
            linkerSettings: [.unsafeFlags([fuzzer]), .linkedLibrary("stdc++"), .linkedLibrary("m")]))
}
