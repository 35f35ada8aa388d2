public import ArgumentParser
public import Bench
import Foundation
import Management
import Primitives

extension FailoverFault: ExpressibleByArgument {}
extension ClientPlacement: ExpressibleByArgument {}

struct FailoverCommand: MeasuringCommand {
    static let configuration = CommandConfiguration(
        commandName: "failover",
        abstract: "Measures failover as clients see it, and checks that nothing is lost, duplicated or reordered.",
        discussion: """
            Per trial: one message a millisecond, a fault on the node that leads the queue, the time until messages \
            sent after the fault are confirmed and delivered, the node's return, and a reconciliation of everything \
            confirmed with everything delivered. Exit 1 on one lost, duplicated or reordered message.
            """)

    @Option(help: ArgumentHelp("AMQP addresses of the nodes in order of their numbers.", valueName: "url[,url…]"))
    var amqp: AMQPAddresses

    @Option(
        name: .customLong("node"),
        help: ArgumentHelp(
            "HTTP addresses of the nodes; all must serve before the first trial.", valueName: "url[,url…]"))
    var nodes: NodeList?

    @Option(
        parsing: .upToNextOption,
        help: "Prints the number and the process of the node that leads the queue given as its last argument.")
    var leaderCommand: [String]

    @Option(
        parsing: .upToNextOption, help: "Brings a node back: its number and 'start' are the last arguments.")
    var restartCommand: [String]

    @Option(help: "What happens to the leader: kill, pause, partition, stop or stall.")
    var fault = FailoverFault.kill

    @Option(help: "Where the clients are: survivor or leader.")
    var clients = ClientPlacement.survivor

    @Option(help: "How often.")
    var trials = 1

    @Option(help: "Idle queues that fail over at the same time.")
    var queues = 0

    @Option(help: "Octets of a body.")
    var size = 64

    @Option(help: "Milliseconds between messages.")
    var interval = 1.0

    @Option(help: ArgumentHelp("Writes everything measured to this file.", valueName: "file"))
    var json: String?

    @Option(help: ArgumentHelp("Writes the histogram to this file.", valueName: "file"))
    var svg: String?

    func validate() throws {
        // Further limits are the probe's own.
        guard interval > 0 && interval <= 60_000 else { throw ValidationError("--interval: above 0, up to 60000") }
    }

    func measure() async throws -> Bool {
        var options = FailoverOptions(
            addresses: amqp.addresses, leaderCommand: leaderCommand, restartCommand: restartCommand)
        options.fault = fault
        options.clients = clients
        options.trials = trials
        options.idleQueues = queues
        options.bodySize = size
        options.interval = Interval(nanoseconds: UInt64(interval * 1e6))
        let probe = try FailoverProbe(options: options) { line in
            print(line)
            fflush(nil)
        }
        try await awaitService()
        let report = try await probe.run()
        print("\n" + report.text)
        if let json { try ReportFile.write(report.json + "\n", to: json) }
        if let svg { try ReportFile.write(report.svg, to: svg) }
        return report.isClean
    }

    private func awaitService() async throws {
        for node in nodes?.addresses ?? [] {
            let client = ManagementClient(nodes: [node], user: "", password: "")
            do {
                let verdict = try await client.check(["ready-to-serve-clients"])
                guard verdict.isOk else { throw BenchError.setupFailed("\(node): \(verdict.reason)") }
            } catch let error as ManagementFailure {
                throw BenchError.setupFailed("\(error)")
            }
        }
    }
}
