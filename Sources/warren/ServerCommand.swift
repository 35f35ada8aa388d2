import ArgumentParser
import Broker
import Logging
import Management
import ServiceLifecycle
import UnixSignals

struct ServerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "server", abstract: "Runs a node.")

    @Option(help: "The configuration file: key = value lines with RabbitMQ's key names.")
    var config: String?

    @Option(name: .customLong("set"), help: ArgumentHelp("Overrides a setting.", valueName: "key=value"))
    var overrides: [String] = []

    func run() async throws {
        let configuration = try ServerConfiguration.load(file: config, overrides: overrides)
        let logger = Logger.forServer(configuration)
        let group = ServiceGroup(
            configuration: .init(
                services: [.init(service: Server(configuration, logger: logger))],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        try await group.run()
    }
}
