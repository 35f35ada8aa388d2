/// A broker that is measured beside another.
public struct ComparedBroker: Sendable {
    /// Its nodes' AMQP addresses.
    public let addresses: [BrokerAddress]
    /// Its processes.
    public let processes: [Int32]

    /// A broker; without processes nothing is said of CPU and memory.
    public init(addresses: [BrokerAddress], processes: [Int32] = []) {
        self.addresses = addresses
        self.processes = processes
    }
}

/// Runs loads several times against one broker, or against two in turn, so that whatever else the machine does
/// meanwhile meets both.
public struct LoadComparison: Sendable {
    private let brokers: [ComparedBroker]
    private let scenarios: [LoadScenario]
    private let runs: Int
    private let seconds: Double?

    /// - Parameters:
    ///   - other: what ratios refer to.
    ///   - seconds: how long each load is measured; nil leaves it to the scenario.
    /// - Throws: as `LoadOptions.validate`.
    public init(
        _ broker: ComparedBroker, with other: ComparedBroker? = nil, scenarios: [LoadScenario], runs: Int,
        seconds: Double? = nil
    ) throws(BenchError) {
        guard (1...100).contains(runs) else { throw .invalidOption("runs: 1 to 100") }
        brokers = [broker] + (other.map { [$0] } ?? [])
        self.scenarios = scenarios
        self.runs = runs
        self.seconds = seconds
        for broker in brokers { for scenario in scenarios { try options(scenario, broker).validate() } }
    }

    private func options(_ scenario: LoadScenario, _ broker: ComparedBroker) -> LoadOptions {
        var options = scenario.options(for: broker)
        if let seconds { options.seconds = seconds }
        return options
    }

    /// Runs all of it.
    ///
    /// - Parameter progress: is told of each run.
    /// - Throws: as `LoadBench.run`.
    public func run(progress: @Sendable (LoadReport) -> Void) async throws -> ComparisonReport {
        var rows: [ComparisonRow] = []
        for scenario in scenarios {
            var reports = brokers.map { _ in [LoadReport]() }
            for _ in 0..<runs {
                for (position, broker) in brokers.enumerated() {
                    let report = try await LoadBench(options: options(scenario, broker)).run()
                    progress(report)
                    reports[position].append(report)
                }
            }
            rows.append(ComparisonRow(scenario: scenario, reports: reports))
        }
        return ComparisonReport(rows: rows)
    }
}
