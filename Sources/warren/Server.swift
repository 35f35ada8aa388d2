import Broker
import Glibc
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
        self.configuration = configuration
        self.logger = logger
    }

    func run() async throws {
        let own = try configuration.ownNode()
        let store = try OpenedStore(configuration: nodeConfiguration(own))
        logger.info(
            "store opened",
            metadata: ["incarnation": "\(store.incarnation)", "directory": "\(configuration.dataDirectory)"])
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
            tasks.addTask { try await management.run() }
            tasks.addTask {
                for await reason in failures {
                    logger.critical("the node cannot go on: \(reason)")
                    exit(1)
                }
            }
            try await gracefulShutdown()
            logger.info("stopping")
            try await stop(node, on: loop)
            failure.finish()
            tasks.cancelAll()
        }
        try await group.shutdownGracefully()
        logger.info("stopped")
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
