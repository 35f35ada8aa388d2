package import Broker
package import Hummingbird
import Primitives
import Replication
package import Topology

/// RabbitMQ's health checks: 200 `{"status":"ok"}`, or 503 with the reason.
struct HealthChecks {
    let view: NodeView
    /// The HTTP port.
    let managementPort: Int

    /// The checks that tell nothing but whether all is well: load balancers and probes need no password.
    func addOpenRoutes(to group: RouterGroup<ManagementContext>) {
        let checks = group.group("health/checks")
        checks.get("is-in-service") { _, _ in HealthVerdict() }
        checks.get("ready-to-serve-clients") { _, _ in
            try await view.look { broker in
                HealthVerdict(broker.isReady ? nil : "the node has not caught up with the cluster's metadata")
            }
        }
        checks.get("metadata-store/initialized") { _, _ in
            try await view.look { broker in
                HealthVerdict(broker.topology.isBootstrapped ? nil : "the cluster's metadata is not here yet")
            }
        }
        checks.get("virtual-hosts") { _, _ in HealthVerdict() }
        checks.get("alarms") { _, _ in
            try await view.look { HealthVerdict(alarms: HealthChecks.alarms($0), in: "cluster") }
        }
        checks.get("local-alarms") { _, _ in
            try await view.look { broker in
                let own = Nodes.name(of: broker.nodeID, in: broker.topology)
                return HealthVerdict(alarms: HealthChecks.alarms(broker).filter { $0.node == own }, in: "node")
            }
        }
        checks.get("port-listener/:port") { _, context in
            guard let port = Int(try context.part("port")) else {
                throw HTTPError(.badRequest, message: "Invalid port")
            }
            let ports = try await view.look { $0.loop?.listenAddresses.map(\.port) ?? [] } + [managementPort]
            return HealthVerdict(port: port, ports: ports)
        }
    }

    /// The checks that name queues.
    func addRoutes(to group: RouterGroup<ManagementContext>) {
        let checks = group.group("health/checks")
        checks.get("node-is-quorum-critical") { _, _ in
            try await view.look { HealthChecks.quorum($0) }
        }
        let elected = checks.group("quorum-queues-without-elected-leaders")
        elected.get("all-vhosts") { _, context in
            let visitor = context.visitor
            return try await view.look { broker in
                HealthChecks.leaders(
                    broker, broker.topology.queues.filter { visitor.sees(vhost: $0.vhost, in: broker.topology) })
            }
        }
        elected.get("vhost/:vhost") { _, context in
            let vhost = try context.part("vhost")
            let visitor = context.visitor
            return try await view.look { broker in
                _ = try VirtualHosts.find(vhost, visitor, broker)
                return HealthChecks.leaders(broker, broker.topology.queues(vhost: vhost))
            }
        }
    }

    /// The alarms of all nodes that can be reached.
    private static func alarms(_ broker: NodeBroker) -> [HealthVerdict.Alarm] {
        guard let loop = broker.loop else { return [] }
        return loop.alarmedNodes.flatMap { node in
            HealthVerdict.Alarm.list(
                loop.resources(of: node)?.alarms ?? [], node: Nodes.name(of: node, in: broker.topology))
        }
    }

    private static func leaders(_ broker: NodeBroker, _ queues: [QueueRecord]) -> HealthVerdict {
        let leaderless = queues.filter { queue in
            guard let group = queue.group else { return false }
            return broker.leader(of: group).node.map { !broker.isUp($0) } ?? true
        }
        guard !leaderless.isEmpty else { return HealthVerdict() }
        var verdict = HealthVerdict("\(leaderless.count) quorum queues have no leader")
        verdict.queues = leaderless.map { HealthVerdict.Component($0) }
        return verdict
    }

    /// What would lose its majority if this node stopped.
    private static func quorum(_ broker: NodeBroker) -> HealthVerdict {
        let topology = broker.topology
        let members = broker.replication.shard.status(of: .topology)?.members ?? topology.nodes.map(\.id)
        if members.count <= 1 {
            var verdict = HealthVerdict()
            verdict.reason = "single node cluster"
            return verdict
        }
        let groups = Set(broker.replication.shard.groupsThatNeedThisNode)
        var endangered: [HealthVerdict.Component] = []
        if groups.contains(.topology) { endangered.append(.metadataStore) }
        endangered += topology.queues.filter { $0.group.map(groups.contains) ?? false }.map {
            HealthVerdict.Component($0)
        }
        guard !endangered.isEmpty else { return HealthVerdict() }
        var verdict = HealthVerdict(
            "There are quorum queues that would lose their quorum if the target node is shut down")
        verdict.queues = endangered
        return verdict
    }
}

/// What a health check says, in RabbitMQ's JSON.
package struct HealthVerdict: Encodable, ResponseGenerator, Sendable {
    /// Something that a check names.
    package struct Component: Codable, Hashable, Sendable {
        package var readable_name: String
        package var name: String
        package var virtual_host: String
        package var type: String

        package init(_ queue: QueueRecord) {
            readable_name = "queue '\(queue.name)' in vhost '\(queue.vhost)'"
            name = queue.name
            virtual_host = queue.vhost
            type = "rabbit_quorum_queue"
        }

        private init(_ name: String) {
            readable_name = name
            self.name = name
            virtual_host = ""
            type = "metadata_store"
        }

        static let metadataStore = Component("the cluster's metadata")
    }

    package struct Alarm: Codable, Hashable, Sendable {
        package var node: String
        package var resource: String

        /// A node's alarms with RabbitMQ's words.
        package static func list(_ alarms: ResourceAlarms, node: String) -> [Alarm] {
            var list: [Alarm] = []
            if alarms.contains(.memory) { list.append(Alarm(node: node, resource: "memory")) }
            if alarms.contains(.disk) { list.append(Alarm(node: node, resource: "disk space")) }
            return list
        }
    }

    package var status: String
    package var reason: String?
    package var queues: [Component]?
    package var alarms: [Alarm]?
    package var port: Int?
    package var missing: Int?
    package var ports: [Int]?

    /// - Parameter failure: nil when the check passes.
    package init(_ failure: String? = nil) {
        status = failure == nil ? "ok" : "failed"
        reason = failure
    }

    /// Fails when there are alarms; `place` is where they were looked for.
    package init(alarms: [Alarm], in place: String) {
        self.init(alarms.isEmpty ? nil : "There are alarms in effect in the \(place)")
        if !alarms.isEmpty { self.alarms = alarms }
    }

    /// Whether `port` is among those listened at.
    package init(port: Int, ports: [Int]) {
        if ports.contains(port) {
            self.init()
            self.port = port
        } else {
            self.init("No active listener")
            missing = port
            self.ports = ports
        }
    }

    package func response(from request: Request, context: some RequestContext) throws -> Response {
        var response = try context.responseEncoder.encode(self, from: request, context: context)
        response.status = status == "ok" ? .ok : .serviceUnavailable
        return response
    }
}
