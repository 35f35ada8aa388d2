import ArgumentParser
import Foundation
import Management

/// How a listing is printed.
enum ListingFormat: String, ExpressibleByArgument, CaseIterable {
    case table, json
}

/// The options of every command that speaks to a node.
struct NodeOptions: ParsableArguments {
    @Option(
        name: .customLong("node"),
        help: ArgumentHelp("HTTP addresses of nodes; the first that answers is asked.", valueName: "url[,url…]"))
    var nodes = NodeList(addresses: [NodeAddress("http://127.0.0.1:15672")].compactMap { $0 })

    @Option(help: "A user with a management tag.")
    var user = "guest"

    @Option(help: "The user's password.")
    var password = "guest"
}

struct NodeList: ExpressibleByArgument {
    var addresses: [NodeAddress]

    init(addresses: [NodeAddress]) { self.addresses = addresses }

    init?(argument: String) {
        guard let addresses = NodeAddress.list(argument) else { return nil }
        self.addresses = addresses
    }

    var defaultValueDescription: String { addresses.map(\.description).joined(separator: ",") }
}

/// A command that asks a node. Exit codes: 0 fine, 1 the answer is no, 64 usage, 69 node unreachable (sysexits).
protocol NodeCommand: AsyncParsableCommand {
    var connection: NodeOptions { get }

    /// - Returns: whether the answer is yes.
    func run(_ client: ManagementClient) async throws(ManagementFailure) -> Bool
}

extension NodeCommand {
    func run() async throws {
        let client = ManagementClient(
            nodes: connection.nodes.addresses, user: connection.user, password: connection.password)
        let isFine: Bool
        do {
            isFine = try await run(client)
        } catch {
            complain(error.description)
            if case .unreachable = error { throw ExitCode(EX_UNAVAILABLE) }
            throw ExitCode.failure
        }
        if !isFine { throw ExitCode.failure }
    }

    /// One line on standard error.
    func complain(_ reason: String) { FileHandle.standardError.write(Data("warren: \(reason)\n".utf8)) }
}
