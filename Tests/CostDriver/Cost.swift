import AMQP
import Glibc
import Primitives
import Topology

/// Runs one scenario of so many messages, for a tool that counts instructions or allocations: the difference between
/// two counts of messages is what one message costs.
@main struct Cost {
    /// A load.
    struct Scenario {
        var queues = 1
        var window = 1_000
        var size = 1_024
        /// Where the clients are: at the leader, or at followers of it.
        var publisher = 0
        var consumer = 0
    }

    static let scenarios: [String: Scenario] = [
        "window-1000": Scenario(),
        "small": Scenario(size: 16),
        "followers": Scenario(window: 100, publisher: 1, consumer: 2),
        "ten-queues": Scenario(queues: 10, window: 100),
        "one-by-one": Scenario(window: 1),
    ]

    static func main() {
        let arguments = CommandLine.arguments
        guard arguments.count == 4, let count = Int(arguments[2]) else {
            print("usage: cost SCENARIO MESSAGES DIRECTORY")
            exit(2)
        }
        do {
            if let core = PureCore(rawValue: arguments[1]) {
                try core.run(count)
            } else if let scenario = scenarios[arguments[1]] {
                try run(scenario, count: count, directory: arguments[3])
            } else {
                throw CostFailure("no scenario '\(arguments[1])'")
            }
        } catch {
            print("cost: \(error)")
            exit(1)
        }
    }

    private static func run(_ scenario: Scenario, count: Int, directory: String) throws {
        let cluster = try CostCluster(directory: directory)
        let names = (1...scenario.queues).map { "queue\($0)" }
        let admin = try CostClient(of: cluster, at: cluster[NodeID(1)])
        var publishers: [CostPublisher] = []
        var consumers: [CostConsumer] = []
        for name in names {
            try admin.ask(.queueDeclare(QueueDeclare(queue: name, durable: true)), "queue.declare-ok")
            guard case .quorum(let group)? = cluster[NodeID(1)].topology.queue(name, vhost: "/")?.target else {
                throw CostFailure("no queue \(name)")
            }
            let publishing = try cluster.node(scenario.publisher, of: group)
            let consuming = try cluster.node(scenario.consumer, of: group)
            publishers.append(
                try CostPublisher(
                    of: cluster, at: publishing, to: name, window: scenario.window, size: scenario.size))
            consumers.append(try CostConsumer(of: cluster, at: consuming, from: name, prefetch: 2_000))
        }
        let share = count / scenario.queues
        try cluster.run("all messages") {
            for publisher in publishers { try publisher.publish(upTo: share) }
            for consumer in consumers { try consumer.acknowledge() }
            return publishers.allSatisfy { $0.confirmed == share } && consumers.allSatisfy { $0.received == share }
        }
        print("\(share * scenario.queues) messages")
    }
}
