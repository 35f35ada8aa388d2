/// A load with a name.
public struct LoadScenario: Sendable {
    /// One word.
    public let name: String
    /// What it is, in a table.
    public let title: String
    private let change: @Sendable (inout LoadOptions) -> Void

    init(_ name: String, _ title: String, _ change: @escaping @Sendable (inout LoadOptions) -> Void) {
        self.name = name
        self.title = title
        self.change = change
    }

    /// The load as these options say, and no other.
    public init(_ options: LoadOptions) {
        self.init("load", options.summary) {
            let (addresses, processes) = ($0.addresses, $0.processes)
            $0 = options
            $0.addresses = addresses
            $0.processes = processes
        }
    }

    /// The load against one broker.
    func options(for broker: ComparedBroker) -> LoadOptions {
        var options = LoadOptions(addresses: broker.addresses)
        options.processes = broker.processes
        change(&options)
        options.label = name
        return options
    }

    /// The names of the suite's loads.
    public static var names: String { suite.map(\.name).joined(separator: ", ") }

    /// One queue and many, small and large windows and bodies, clients elsewhere than the leader, an open loop, a
    /// backlog, declarations.
    public static let suite = [
        LoadScenario("w1000", "1 queue, 1 publisher, 1 consumer, 1 KiB, window 1,000") { $0.confirmWindow = 1_000 },
        LoadScenario("w100", "the same, window 100") { $0.confirmWindow = 100 },
        LoadScenario("followers", "window 100, clients on followers") {
            $0.confirmWindow = 100
            let addresses = $0.addresses
            $0.publisherAddresses = [addresses[1 % addresses.count]]
            $0.consumerAddresses = [addresses[2 % addresses.count]]
        },
        LoadScenario("small", "window 1,000, 16 octets") {
            $0.confirmWindow = 1_000
            $0.bodySize = 16
        },
        LoadScenario("queues", "10 queues, 10 publishers, 10 consumers, window 100") {
            $0.queues = 10
            $0.publishers = 10
            $0.consumers = 10
        },
        LoadScenario("w1", "window 1") { $0.confirmWindow = 1 },
        LoadScenario("open", "open loop, 2,000 a second") {
            $0.confirmWindow = 2_000
            $0.rate = 2_000
        },
        LoadScenario("backlog", "publish 500,000, window 1,000; then drain") {
            $0.confirmWindow = 1_000
            $0.backlog = 500_000
        },
        LoadScenario("declare", "1,000 queues declared one by one; memory half a minute later") {
            $0.queues = 1_000
            $0.declaresOnly = true
        },
    ]
}
