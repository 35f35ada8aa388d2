import Bench
import Foundation
import Management

/// Looks into a cluster through its management API.
struct FailoverObserver: ClusterObserver {
    /// In the order of the nodes' numbers.
    private let addresses: [NodeAddress]
    private let user: String
    private let password: String

    init(addresses: [NodeAddress], user: String, password: String) {
        self.addresses = addresses
        self.user = user
        self.password = password
    }

    private func client(_ address: NodeAddress) -> ManagementClient {
        ManagementClient(nodes: [address], user: user, password: password)
    }

    func events(of node: Int, after sequence: UInt64) async throws -> NodeEvents {
        guard addresses.indices.contains(node - 1) else {
            throw BenchError.invalidOption("there is no HTTP address of node \(node)")
        }
        let answer = try await client(addresses[node - 1]).get(["warren", "events"], query: "after=\(sequence)")
        guard let name = answer["node"]?.string, let next = answer["next_sequence"]?.integer,
            let first = answer["first_sequence"]?.integer, let leaderless = answer["leaderless_groups"]?.integer
        else { throw ManagementFailure.malformed("events") }
        let isComplete = sequence >= UInt64(max(0, next)) || UInt64(max(0, first)) <= sequence + 1
        return NodeEvents(
            node: name, lastSequence: UInt64(max(0, next - 1)), leaderless: Int(leaderless), isComplete: isComplete,
            events: (answer["events"]?.array ?? []).compactMap(FailoverObserver.event))
    }

    private static func event(_ json: JSON) -> BrokerEvent? {
        guard let time = json["microseconds"]?.integer, time >= 0 else { return nil }
        let kind: BrokerEvent.Kind
        switch (json["event"]?.string, json["queue"]?.string) {
        case ("node_suspected", _):
            kind = .suspected(node: json["node"]?.text ?? "", reason: json["reason"]?.text ?? "")
        case ("campaigned", let queue?): kind = .campaigned(queue: queue)
        case ("elected", let queue?): kind = .elected(queue: queue)
        case ("committed", let queue?): kind = .committed(queue: queue)
        case ("all_led", _): kind = .allLed(queues: Int(json["groups"]?.integer ?? 0))
        default: return nil
        }
        return BrokerEvent(microseconds: UInt64(time), kind: kind)
    }

    func unheardNodes() async -> [String] {
        var missing: [String] = []
        for address in addresses {
            do {
                let nodes = try await client(address).get(["nodes"]).array ?? []
                for node in nodes where node["running"]?.bool != true {
                    missing.append("\(address) does not hear \(node["name"]?.text ?? "a node")")
                }
            } catch {
                missing.append("\(address): \(error)")
            }
        }
        return missing
    }
}
