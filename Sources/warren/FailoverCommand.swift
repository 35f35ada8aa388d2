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
            sent after the fault are confirmed and delivered, the fault's end, and a reconciliation of everything \
            confirmed with everything delivered. The surviving nodes tell when they noticed, when there was a leader \
            and when it had committed something. Exit 1 on one lost, duplicated or reordered message, and on a \
            regression against the baseline.
            """)

    @Option(help: ArgumentHelp("AMQP addresses of the nodes in order of their numbers.", valueName: "url[,url…]"))
    var amqp: AMQPAddresses

    @Option(
        name: .customLong("node"),
        help: ArgumentHelp(
            "HTTP addresses of the nodes in order of their numbers; all must serve before the first trial.",
            valueName: "url[,url…]"))
    var nodes: NodeList?

    @Option(help: "A user with a management tag, for what the nodes tell.")
    var user = "guest"

    @Option(help: "The user's password.")
    var password = "guest"

    @Option(
        parsing: .upToNextOption,
        help: "Prints the number and the process of the node that leads the queue given as its last argument.")
    var leaderCommand: [String]

    @Option(
        parsing: .upToNextOption, help: "Brings a node back: its number and 'start' are the last arguments.")
    var restartCommand: [String]

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "Makes the faults partition and stall; the fault and the node's number are the last arguments.",
            discussion: """
                It prepares, prints 'armed', makes the fault when it is sent a line, prints 'struck', and undoes the \
                fault when its input ends.
                """))
    var faultCommand: [String] = []

    @Option(help: "What happens to the leader: kill, pause, partition, stop or stall.")
    var fault = FailoverFault.kill

    @Option(help: "Where the clients are: survivor or leader.")
    var clients = ClientPlacement.survivor

    @Option(help: "How often.")
    var trials = 1

    @Option(help: "Queues that fail over at the same time: the one that is measured, and idle ones.")
    var queues = 1

    @Option(help: "Seconds that a fault lasts at least; 3 for a stall, which is noticed after one.")
    var hold: Double?

    @Option(help: "Seconds after which clients on the leader that hear nothing take the next address.")
    var patience = 1.0

    @Option(help: "Octets of a body.")
    var size = 64

    @Option(help: "Milliseconds between messages.")
    var interval = 1.0

    @Option(help: ArgumentHelp("Writes everything measured to this file.", valueName: "file"))
    var json: String?

    @Option(help: ArgumentHelp("Writes the histogram and the stages to this file.", valueName: "file"))
    var svg: String?

    @Option(help: ArgumentHelp("Compares with this earlier --json file.", valueName: "file"))
    var baseline: String?

    @Option(
        help: """
            Percent that the median may be above the baseline's, besides 5 ms; the 99th percentile may be twice as \
            many above it, besides 20 ms.
            """)
    var tolerance = 25.0

    func validate() throws {
        // Further limits are the probe's own.
        guard interval > 0 && interval <= 60_000 else { throw ValidationError("--interval: above 0, up to 60000") }
        guard (1...100_000).contains(queues) else { throw ValidationError("--queues: 1 to 100000") }
        guard tolerance >= 0 && tolerance <= 1_000 else { throw ValidationError("--tolerance: 0 to 1000") }
    }

    func measure() async throws -> Bool {
        var options = FailoverOptions(
            addresses: amqp.addresses, leaderCommand: leaderCommand, restartCommand: restartCommand)
        options.fault = fault
        options.clients = clients
        options.trials = trials
        options.idleQueues = queues - 1
        options.faultCommand = faultCommand
        options.hold = hold ?? (fault == .stall ? 3 : 0)
        options.patience = patience
        options.observer = nodes.map {
            FailoverObserver(addresses: $0.addresses, user: user, password: password)
        }
        let earlier = try baseline.map(FailoverCommand.baseline)
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
        guard let earlier else { return report.isClean }
        let comparison = try FailoverComparison(
            report, with: earlier, tolerance: FailoverComparison.Tolerance(percent: tolerance))
        print("\n" + comparison.text)
        return report.isClean && comparison.isFine
    }

    private static func baseline(_ path: String) throws -> FailoverBaseline {
        do {
            return try JSONDecoder().decode(FailoverBaseline.self, from: Data(contentsOf: URL(filePath: path)))
        } catch is DecodingError {
            throw BenchError.invalidOption("\(path) is no report of 'warren failover --json'")
        } catch {
            throw BenchError.invalidOption("\(path) cannot be read")
        }
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
