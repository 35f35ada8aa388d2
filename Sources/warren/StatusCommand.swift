import ArgumentParser
import Management

struct StatusCommand: NodeCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Shows nodes, leaders and queues. Exit 0 only when every node is up and every queue has a leader.")

    @OptionGroup var connection: NodeOptions

    @Flag(
        help: """
            Shows what the last start of the node that is asked read for each queue, and how long it took. Exit 0 only \
            when every queue has caught up.
            """)
    var recovery = false

    @Option(help: "table or json.")
    var format = ListingFormat.table

    func run(_ client: ManagementClient) async throws(ManagementFailure) -> Bool {
        if recovery {
            let report = try await RecoveryListing(client)
            print(format == .json ? report.json.description : report.text)
            return report.isCaughtUp
        }
        let report = try await ClusterReport(client)
        print(format == .json ? report.json.description : report.text)
        return report.isHealthy
    }
}

struct ClusterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster", abstract: "The cluster's nodes.", subcommands: [Status.self])

    struct Status: NodeCommand {
        static let configuration = CommandConfiguration(
            commandName: "status", abstract: "Shows the nodes. Exit 0 only when every node is up.")

        @OptionGroup var connection: NodeOptions

        @Option(help: "table or json.")
        var format = ListingFormat.table

        func run(_ client: ManagementClient) async throws(ManagementFailure) -> Bool {
            let report = try await ClusterReport(client)
            print(format == .json ? report.nodesJSON.description : report.nodeTable)
            return report.downNodes.isEmpty
        }
    }
}
