import Broker
import Foundation
import Glibc
import LogStore
import Logging
import Management
import NIOCore
import NIOPosix
import PeerLink
import Primitives
import Replication
import ServiceLifecycle
import Topology

/// A node from start to stop: wires the modules together.
struct Server: Service {
    let configuration: ServerConfiguration
    let logger: Logger

    init(_ configuration: ServerConfiguration, logger: Logger) {
        var configuration = configuration
        configuration.resolveLimits(memory: SystemMemory.available(readText) ?? Server.unknownMemory)
        self.configuration = configuration
        self.logger = logger
    }

    /// Taken for the memory of a machine that does not tell, in bytes.
    private static let unknownMemory: UInt64 = 1 << 30

    func run() async throws {
        keepLargeBlocksOffTheHeap()
        let own = try configuration.ownNode()
        let store = try OpenedStore(configuration: nodeConfiguration(own), logger: logger)
        let limits = configuration.broker.resourceLimits
        logger.info(
            "publishers wait beyond these limits",
            metadata: ["memory": "\(limits.memory)", "disk_free": "\(limits.diskFree)"])
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let (failures, failure) = AsyncStream.makeStream(of: String.self)
        let node = try await loop.submit {
            NIOLoopBound(
                try RunningNode(
                    configuration: configuration, own: own, store: store, eventLoop: loop, logger: logger,
                    onFailure: { failure.yield($0) }), eventLoop: loop)
        }.get()
        let view = try await loop.submit { NodeView(node.value.broker, eventLoop: loop) }.get()
        let management = ManagementServer(
            view: view, host: configuration.management.host, port: configuration.management.port,
            logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask {
                do {
                    try await management.run()
                } catch {
                    guard !Task.isCancelled && !Task.isShuttingDownGracefully else { return }
                    failure.yield("cannot serve HTTP on \(configuration.management): \(error)")
                }
            }
            tasks.addTask {
                for await reason in failures {
                    logger.critical("the node cannot go on: \(reason)")
                    exit(1)
                }
            }
            tasks.addTask { await measure(node, on: loop) }
            try await gracefulShutdown()
            logger.info("stopping")
            try await stop(node, on: loop)
            failure.finish()
            tasks.cancelAll()
        }
        try await group.shutdownGracefully()
        logger.info("stopped")
    }

    /// Measures memory and disk four times a second, off the event loop, until the node stops.
    private func measure(_ node: NIOLoopBound<RunningNode>, on loop: any EventLoop) async {
        var trimming = HeapTrimming(limit: configuration.broker.resourceLimits.memory)
        var turn = 0
        var busy = processorSeconds()
        while !Task.isCancelled && !Task.isShuttingDownGracefully {
            var reading = ResourceReading(measuring: configuration.dataDirectory)
            if turn % 4 == 0, let used = reading.memoryUsed {
                let load = processorSeconds() - busy
                busy += load
                if trimming.isDue(resident: used, load: load) {
                    _ = trimHeap?(0)
                    reading = ResourceReading(measuring: configuration.dataDirectory)
                    trimming.trimmed(resident: reading.memoryUsed ?? used)
                }
            }
            turn += 1
            loop.execute { [reading] in node.value.broker.loop?.observe(reading) }
            try? await Task.sleep(for: .milliseconds(250))
        }
    }

    private func stop(_ node: NIOLoopBound<RunningNode>, on loop: any EventLoop) async throws {
        try await loop.flatSubmit { node.value.replication.handOver() }.get()
        try await loop.flatSubmit { node.value.closeClients() }.get()
        let close = try await loop.submit { node.value.replication.storeCloser }.get()
        try await loop.flatSubmit { node.value.replication.stop() }.get()
        try await NIOThreadPool.singleton.runIfActive { close() }
    }

    private func nodeConfiguration(_ own: ConfiguredNode) throws -> NodeConfiguration {
        let endpoints = configuration.nodes.filter { $0.id != own.id }.map {
            PeerEndpoint(node: $0.id, address: $0.peerAddress)
        }
        var result = NodeConfiguration(
            node: own.id, directory: configuration.dataDirectory, listen: own.peerAddress, peers: endpoints,
            secrets: [try configuration.peerSecret()])
        result.shard = configuration.shard
        result.scrub.interval = configuration.scrubInterval
        result.scrub.rate = configuration.scrubRate
        return result
    }
}

/// The parts of a node that live on its event loop.
final class RunningNode {
    let replication: ReplicationNode
    let broker: NodeBroker
    private let eventLoop: any EventLoop

    /// Called on the event loop.
    init(
        configuration: ServerConfiguration, own: ConfiguredNode, store: OpenedStore, eventLoop: any EventLoop,
        logger: Logger, onFailure: @escaping @Sendable (String) -> Void
    ) throws {
        self.eventLoop = eventLoop
        replication = ReplicationNode(store: store, eventLoop: eventLoop, logger: logger)
        let record = NodeRecord(
            id: own.id, name: "\(own.name)@\(own.address.host)", store: replication.shard.store,
            peerAddress: "\(own.address)", clientAddress: "\(configuration.amqp)",
            managementAddress: "\(configuration.management)")
        let user = UserRecord(
            name: configuration.defaultUser,
            passwordHash: PasswordHash(
                password: configuration.defaultPassword, salt: .random(in: .min ... .max)),
            tags: ["administrator"])
        broker = NodeBroker(
            replication: replication, configuration: configuration.broker, record: record,
            defaults: TopologyBootstrap(vhost: configuration.defaultVirtualHost, user: user),
            eventLoop: eventLoop, logger: logger, onFailure: onFailure)
        let amqp = configuration.amqp
        broker.onReady = { [unowned broker] in
            broker.loop?.listen(host: amqp.host, port: amqp.port).whenFailure {
                onFailure("cannot listen for AMQP clients on \(amqp): \($0)")
            }
        }
        try replication.start()
        // Before the first client, so that it finds the alarms as they are.
        broker.loop?.observe(ResourceReading(measuring: configuration.dataDirectory))
    }

    /// Tells the clients goodbye (320) and waits until they have gone, for five seconds at most.
    func closeClients() -> EventLoopFuture<Void> {
        broker.loop?.shutDown()
        let promise = eventLoop.makePromise(of: Void.self)
        awaitClients(ticks: 250, promise)
        return promise.futureResult
    }

    private func awaitClients(ticks: Int, _ promise: EventLoopPromise<Void>) {
        guard ticks > 0, let loop = broker.loop, !loop.connectionSnapshots().isEmpty else {
            promise.succeed()
            return
        }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.scheduleTask(in: .milliseconds(20)) { bound.value.awaitClients(ticks: ticks - 1, promise) }
    }
}

/// The text of a small file; nil when it cannot be read.
private func readText(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }

/// What the process has used of the processors so far.
private func processorSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// glibc's `malloc_trim`, which gives freed memory back to the system; nil where the C library has no such function.
/// Its header is not in the module `Glibc`, hence the look-up.
private let trimHeap: (@Sendable @convention(c) (Int) -> Int32)? = dlsym(nil, "malloc_trim").map {
    unsafeBitCast($0, to: (@Sendable @convention(c) (Int) -> Int32).self)
}

/// Has glibc give every block from 4 MiB on back as soon as it is freed. Left to itself it stops doing so after the
/// first one, and large messages leave holes in the heap that stay resident.
private func keepLargeBlocksOffTheHeap() {
    typealias Setter = @Sendable @convention(c) (Int32, Int32) -> Int32
    guard let symbol = dlsym(nil, "mallopt") else { return }
    let set = unsafeBitCast(symbol, to: Setter.self)
    // M_MMAP_THRESHOLD, and M_TRIM_THRESHOLD, which would otherwise be fixed at 128 KiB.
    _ = set(-3, 4 << 20)
    _ = set(-1, 16 << 20)
}

extension ResourceReading {
    /// This process's memory and the free space of a directory's file system, now.
    fileprivate init(measuring directory: String) {
        let pageSize = UInt64(clamping: sysconf(Int32(_SC_PAGESIZE)))
        let memory = readText("/proc/self/statm").flatMap { SystemMemory.resident(statm: $0, pageSize: pageSize) }
        var space = statvfs()
        // What an unprivileged process may still write, as `df` shows it.
        let free = statvfs(directory, &space) == 0 ? UInt64(space.f_bavail) * UInt64(space.f_frsize) : nil
        self.init(memoryUsed: memory, diskFree: free)
    }
}
