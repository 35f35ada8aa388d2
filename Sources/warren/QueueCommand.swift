import ArgumentParser
import Management

struct QueueCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "queue", abstract: "Lists, shows, declares, deletes and purges queues.",
        subcommands: [List.self, Show.self, Declare.self, Delete.self, Purge.self])

    struct Name: ParsableArguments {
        @Argument(help: "The queue's name.")
        var name: String

        @Option(help: "The virtual host.")
        var vhost = "/"

        var path: [String] { ["queues", vhost, name] }
    }

    struct List: NodeCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "Lists queues.")

        @OptionGroup var connection: NodeOptions

        @Option(help: "Only this virtual host.")
        var vhost: String?

        @Option(help: "table or json.")
        var format = ListingFormat.table

        func run(_ client: ManagementClient) async throws(ManagementFailure) -> Bool {
            let queues = try await client.get(vhost.map { ["queues", $0] } ?? ["queues"])
            print(format == .json ? queues.description : QueueListing.table(queues.array ?? []))
            return true
        }
    }

    struct Show: NodeCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Shows a queue. Exit 1 when there is no such queue or field.")

        @OptionGroup var queue: Name
        @OptionGroup var connection: NodeOptions

        @Option(help: "Prints the value of this field alone, such as leader or messages_ready.")
        var field: String?

        @Option(help: "table or json.")
        var format = ListingFormat.table

        func run(_ client: ManagementClient) async throws(ManagementFailure) -> Bool {
            let found = try await found(client)
            guard let field else {
                print(format == .json ? found.description : QueueListing.details(found))
                return true
            }
            guard let value = found[field], value != .null else {
                complain("queue '\(queue.name)' has no \(field)")
                return false
            }
            print(format == .json ? value.description : value.text)
            return true
        }

        private func found(_ client: ManagementClient) async throws(ManagementFailure) -> JSON {
            do {
                return try await client.get(queue.path)
            } catch {
                throw error.naming(queue)
            }
        }
    }

    struct Declare: NodeCommand {
        static let configuration = CommandConfiguration(
            commandName: "declare",
            abstract: "Declares a replicated queue. Exit 1 when there is one with other properties.")

        @OptionGroup var queue: Name
        @OptionGroup var connection: NodeOptions

        @Flag(inversion: .prefixedNo, help: "As clients see the queue; it survives restarts either way.")
        var durable = true

        func run(_ client: ManagementClient) async throws(ManagementFailure) -> Bool {
            try await client.put(queue.path, ["durable": .bool(durable)])
            return true
        }
    }

    struct Delete: NodeCommand {
        static let configuration = CommandConfiguration(
            commandName: "delete", abstract: "Deletes a queue and its messages. Exit 1 when there is no such queue.")

        @OptionGroup var queue: Name
        @OptionGroup var connection: NodeOptions

        func run(_ client: ManagementClient) async throws(ManagementFailure) -> Bool {
            do {
                try await client.delete(queue.path)
            } catch {
                throw error.naming(queue)
            }
            return true
        }
    }

    struct Purge: NodeCommand {
        static let configuration = CommandConfiguration(
            commandName: "purge",
            abstract: "Drops a queue's ready messages. Exit 1 when there is no such queue or it does not answer.")

        @OptionGroup var queue: Name
        @OptionGroup var connection: NodeOptions

        func run(_ client: ManagementClient) async throws(ManagementFailure) -> Bool {
            do {
                try await client.delete(queue.path + ["contents"])
            } catch {
                throw error.naming(queue)
            }
            return true
        }
    }
}

extension ManagementFailure {
    /// Says which queue is not there.
    fileprivate func naming(_ queue: QueueCommand.Name) -> ManagementFailure {
        guard case .refused(404, _) = self else { return self }
        return .refused(status: 404, reason: "there is no queue '\(queue.name)' in virtual host '\(queue.vhost)'")
    }
}
