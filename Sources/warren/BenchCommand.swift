import ArgumentParser
import Bench
import Foundation

struct BenchCommand: MeasuringCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Drives a broker with publishers and consumers and measures rates, latencies and CPU.",
        discussion: """
            Exit 1 on one lost, duplicated or reordered message.

            With --compare the same load runs against another broker in turn, --runs times, and the table tells \
            medians and ratios. --suite runs a set of loads: one queue and ten, windows, sizes, clients on \
            followers, an open loop, a backlog, declarations.
            """)

    @Option(
        help: ArgumentHelp(
            "AMQP addresses; queue, publisher and consumer i use the i-th, round and round.", valueName: "url[,url…]"))
    var amqp = AMQPAddresses.local

    @Option(help: ArgumentHelp("Where publishers connect, if elsewhere.", valueName: "url[,url…]"))
    var publishTo: AMQPAddresses?

    @Option(help: ArgumentHelp("Where consumers connect, if elsewhere.", valueName: "url[,url…]"))
    var consumeFrom: AMQPAddresses?

    @Option(help: "Queues, declared for the run and deleted after it.")
    var queues = 1

    @Option(help: "Their x-queue-type; empty for none.")
    var queueType = "quorum"

    @Option(help: "Publishers, each with its connection.")
    var publishers = 1

    @Option(help: "Consumers, each with its connection.")
    var consumers = 1

    @Option(help: "Octets of a body.")
    var size = 1024

    @Flag(inversion: .prefixedNo, help: "delivery_mode 2.")
    var persistent = true

    @Option(help: "Unconfirmed messages of a publisher; 0 is no confirms at all.")
    var window = 100

    @Option(help: "Messages a second of all publishers together; 0 is as fast as the window allows.")
    var rate = 0.0

    @Option(help: "Unacknowledged messages of a consumer; 0 is no limit.")
    var prefetch: UInt16 = 1_000

    @Option(help: "Deliveries per acknowledgement.")
    var ackEvery = 1

    @Flag(help: "The server takes deliveries as acknowledged.")
    var noAck = false

    @Option(help: "Messages published before consumers come and drain them; 0 is both at the same time.")
    var backlog: UInt64 = 0

    @Flag(help: "Only declares the queues, one after the other, and looks at memory half a minute later.")
    var declareOnly = false

    @Option(help: "Measured seconds. (default: 10)")
    var seconds: Double?

    @Option(help: "Seconds before them that do not count.")
    var warmup = 2.0

    @Option(
        name: .customLong("pid"), parsing: .upToNextOption,
        help: "Server processes whose CPU and memory are measured.")
    var processes: [Int32] = []

    @Flag(help: "A set of loads instead of the one that the options describe.")
    var suite = false

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "Loads of the suite to run: \(LoadScenario.names).",
            valueName: "load"))
    var only: [String] = []

    @Option(help: ArgumentHelp("Another broker that the same runs against, in turn.", valueName: "url[,url…]"))
    var compare: AMQPAddresses?

    @Option(
        name: .customLong("compare-pid"), parsing: .upToNextOption,
        help: "The other broker's server processes.")
    var comparedProcesses: [Int32] = []

    @Option(help: "How often each load runs against each broker.")
    var runs = 1

    @Option(help: "Said again in the report.")
    var label = ""

    @Option(help: ArgumentHelp("Writes everything measured to this file.", valueName: "file"))
    var json: String?

    @Option(help: ArgumentHelp("Draws the rates of a comparison into this file.", valueName: "file"))
    var svg: String?

    private var isSingle: Bool { !suite && compare == nil && runs == 1 }

    func validate() throws {
        if suite && isDescribingLoad {
            throw ValidationError("--suite has its own loads; of the options of a load it takes --seconds.")
        }
        if !only.isEmpty && !suite { throw ValidationError("--only goes with --suite.") }
        if !comparedProcesses.isEmpty && compare == nil { throw ValidationError("--compare-pid goes with --compare.") }
        if svg != nil && isSingle { throw ValidationError("--svg goes with --suite, --compare or --runs.") }
        if !label.isEmpty && !isSingle { throw ValidationError("--label goes with a single run.") }
    }

    func measure() async throws -> Bool {
        guard isSingle else { return try await measureSeveral() }
        let report = try await LoadBench(options: options).run()
        print(report.text)
        if let json { try ReportFile.write(report.json + "\n", to: json) }
        return report.isClean
    }

    private func measureSeveral() async throws -> Bool {
        let known = LoadScenario.suite
        for name in only where !known.contains(where: { $0.name == name }) {
            throw BenchError.invalidOption("--only: no load '\(name)'; the loads are \(LoadScenario.names)")
        }
        let scenarios = suite ? known.filter { only.isEmpty || only.contains($0.name) } : [LoadScenario(options)]
        let comparison = try LoadComparison(
            ComparedBroker(addresses: amqp.addresses, processes: processes),
            with: compare.map { ComparedBroker(addresses: $0.addresses, processes: comparedProcesses) },
            scenarios: scenarios, runs: runs, seconds: seconds)
        let report = try await comparison.run { print($0.text + "\n") }
        print(report.text)
        if let json { try ReportFile.write(report.json + "\n", to: json) }
        if let svg { try ReportFile.write(report.svg, to: svg) }
        return report.isClean
    }

    /// An option differs from what it is when nothing is said.
    private var isDescribingLoad: Bool {
        var plain = LoadOptions(addresses: amqp.addresses)
        plain.processes = processes
        plain.label = label
        if let seconds { plain.seconds = seconds }
        return options != plain
    }

    private var options: LoadOptions {
        var options = LoadOptions(addresses: amqp.addresses)
        options.publisherAddresses = publishTo?.addresses ?? []
        options.consumerAddresses = consumeFrom?.addresses ?? []
        options.queues = queues
        options.queueType = queueType
        options.publishers = publishers
        options.consumers = consumers
        options.bodySize = size
        options.isPersistent = persistent
        options.confirmWindow = window
        options.rate = rate
        options.prefetch = prefetch
        options.acknowledgeEvery = ackEvery
        options.noAck = noAck
        options.backlog = backlog
        options.declaresOnly = declareOnly
        if let seconds { options.seconds = seconds }
        options.warmup = warmup
        options.processes = processes
        options.label = label
        return options
    }
}
