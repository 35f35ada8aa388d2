import ArgumentParser
import Bench
import Foundation

/// Kinds of faults, separated by commas.
struct StormFaults: ExpressibleByArgument {
    var kinds: [StormFaultKind]

    init?(argument: String) {
        kinds = []
        for name in argument.split(separator: ",") {
            guard let kind = StormFaultKind(rawValue: String(name)) else { return nil }
            kinds.append(kind)
        }
    }
}

struct StormCommand: MeasuringCommand {
    static let configuration = CommandConfiguration(
        commandName: "storm",
        abstract: "Makes random faults on a cluster under load, and checks every message.",
        discussion: """
            Publishers with confirms and consumers with manual acks on all nodes, which reconnect and send again what \
            was not confirmed. Then everything is healed, restarted and drained. Exit 1 on one confirmed message lost, \
            one delivery too many that was not flagged, one out of the order of its publisher's connection, one back \
            after its ack, or a node that ended by itself. Chaos/storm calls this with a local cluster's addresses.
            """)

    @Option(help: ArgumentHelp("AMQP addresses of the nodes in order of their numbers.", valueName: "url[,url…]"))
    var amqp: AMQPAddresses

    @Option(help: ArgumentHelp("The directory that holds Cluster/ and Chaos/.", valueName: "directory"))
    var scripts: String

    @Option(name: .customLong("for"), help: "Seconds of faults.")
    var seconds = 60.0

    @Option(help: "What the faults are drawn from; random unless given.")
    var seed: UInt64?

    @Option(
        help: ArgumentHelp(
            "Kinds of faults, all unless given: \(StormFaultKind.allCases.map(\.rawValue).joined(separator: ", ")).",
            valueName: "kind[,kind…]"))
    var faults: StormFaults?

    @Option(help: "Queues, declared for the run and deleted after it.")
    var queues = 4

    @Option(help: "Publishers, each with its connection.")
    var publishers = 6

    @Option(help: "Consumers, each with its connection.")
    var consumers = 6

    @Option(help: "Messages a second of all publishers together.")
    var rate = 2_000.0

    @Option(help: ArgumentHelp("Writes everything counted to this file.", valueName: "file"))
    var json: String?

    func measure() async throws -> Bool {
        var options = StormOptions(addresses: amqp.addresses, scripts: scripts)
        options.seconds = seconds
        options.seed = seed ?? UInt64.random(in: 1..<1 << 32)
        if let faults { options.faults = faults.kinds }
        options.queues = queues
        options.publishers = publishers
        options.consumers = consumers
        options.rate = rate
        let storm = try Storm(options: options) { line in
            print(line)
            fflush(nil)
        }
        let report = try await storm.run()
        print(report.text)
        if let json { try ReportFile.write(report.json + "\n", to: json) }
        return report.isClean
    }
}
