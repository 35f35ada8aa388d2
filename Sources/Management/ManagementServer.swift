import Broker
import Hummingbird
public import Logging
import NIOPosix

/// The node's HTTP port: RabbitMQ's management API and health checks.
public struct ManagementServer: Sendable {
    private let application: any ApplicationProtocol

    /// - Parameter view: the node that is looked into.
    public init(view: NodeView, host: String, port: Int, logger: Logger) {
        let router = Router(context: ManagementContext.self)
        router.add(middleware: Refusals())
        let api = router.group("api")
        let checks = HealthChecks(view: view, managementPort: port)
        checks.addOpenRoutes(to: api)
        let restricted = api.add(middleware: BasicAuthentication(view: view))
        checks.addRoutes(to: restricted)
        Overview(view: view, managementAddress: ListenAddress(host: host, port: port)).addRoutes(to: restricted)
        Nodes(view: view).addRoutes(to: restricted)
        Recovery(view: view).addRoutes(to: restricted)
        Events(view: view).addRoutes(to: restricted)
        VirtualHosts(view: view).addRoutes(to: restricted)
        Exchanges(view: view).addRoutes(to: restricted)
        Bindings(view: view).addRoutes(to: restricted)
        Queues(view: view).addRoutes(to: restricted)
        Clients(view: view).addRoutes(to: restricted)
        application = Application(
            router: router, configuration: .init(address: .hostname(host, port: port), serverName: "Warren"),
            eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup.singleton), logger: logger)
    }

    /// Serves until the task is cancelled or the process shuts down gracefully.
    public func run() async throws { try await application.run() }
}
