import ArgumentParser
import Management

struct CheckCommand: NodeCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Checks a node's health. Exit 0 when the check passes, 1 when not, 69 when the node is unreachable.",
        discussion: """
            alive   the node answers
            ready   clients can be served
            quorum  every queue has a leader, and none would lose its majority if this node stopped
            alarms  no resource alarm is in effect
            ports   the node listens on all its ports
            """)

    enum Check: String, ExpressibleByArgument, CaseIterable {
        case alive, ready, quorum, alarms, ports
    }

    @OptionGroup var connection: NodeOptions

    @Argument(help: "alive, ready, quorum, alarms or ports.")
    var check: Check

    func run(_ client: ManagementClient) async throws(ManagementFailure) -> Bool {
        for path in try await paths(client) {
            let verdict = try await client.check(path)
            guard verdict.isOk else {
                complain(verdict.reason)
                return false
            }
        }
        print("ok")
        return true
    }

    private func paths(_ client: ManagementClient) async throws(ManagementFailure) -> [[String]] {
        switch check {
        case .alive: [["is-in-service"]]
        case .ready: [["ready-to-serve-clients"]]
        case .quorum: [["quorum-queues-without-elected-leaders", "all-vhosts"], ["node-is-quorum-critical"]]
        case .alarms: [["alarms"]]
        case .ports: try await client.listenerPorts().map { ["port-listener", "\($0)"] }
        }
    }
}
