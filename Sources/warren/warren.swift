import ArgumentParser

@main
struct Warren: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "warren",
        abstract: "A message broker in which every durable queue is a Raft-replicated log, for AMQP 0-9-1 clients.",
        subcommands: [
            ServerCommand.self, StatusCommand.self, ClusterCommand.self, QueueCommand.self, CheckCommand.self,
            FailoverCommand.self, StormCommand.self, BenchCommand.self, SimulateCommand.self, StoreCommand.self,
        ])
}
