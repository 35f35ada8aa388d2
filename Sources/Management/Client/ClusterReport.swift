/// What `warren status` shows: nodes, leaders and queues as one node sees them, and whether all is well.
public struct ClusterReport: Sendable {
    /// `/api/overview`.
    let overview: JSON
    /// `/api/nodes`.
    let nodes: [JSON]
    /// `/api/queues`.
    let queues: [JSON]

    /// - Parameters: the API's answers at these paths.
    package init(overview: JSON, nodes: [JSON], queues: [JSON]) {
        self.overview = overview
        self.nodes = nodes
        self.queues = queues
    }

    /// Asks the API.
    public init(_ client: ManagementClient) async throws(ManagementFailure) {
        overview = try await client.get(["overview"])
        nodes = try await client.get(["nodes"]).array ?? []
        queues = try await client.get(["queues"]).array ?? []
    }

    private var runningNodes: Set<String> {
        Set(nodes.filter { $0["running"]?.bool == true }.compactMap { $0["name"]?.string })
    }

    /// Nodes that do not run.
    public var downNodes: [String] {
        nodes.filter { $0["running"]?.bool != true }.compactMap { $0["name"]?.string }
    }

    /// Replicated queues without a leader that runs.
    public var leaderlessQueues: [String] {
        let running = runningNodes
        return queues.filter { queue in
            guard queue["type"]?.string == "quorum" else { return false }
            return queue["leader"]?.string.map { !running.contains($0) } ?? true
        }.compactMap { $0["name"]?.string }
    }

    /// A node's alarms in words; empty without one.
    private static func alarms(_ node: JSON) -> String {
        var alarms: [String] = []
        if node["mem_alarm"]?.bool == true { alarms.append("memory") }
        if node["disk_free_alarm"]?.bool == true { alarms.append("disk") }
        return alarms.joined(separator: ", ")
    }

    /// Every node is up and every queue has a leader. Alarms make publishers wait, and no more.
    public var isHealthy: Bool { !nodes.isEmpty && downNodes.isEmpty && leaderlessQueues.isEmpty }

    /// One line: what is wrong, or that nothing is.
    public var verdict: String {
        if isHealthy {
            return queues.isEmpty
                ? "\(nodes.count) nodes up, no queues" : "\(nodes.count) nodes up, every queue has a leader"
        }
        var parts: [String] = []
        if !downNodes.isEmpty { parts.append("down: " + downNodes.joined(separator: ", ")) }
        let leaderless = leaderlessQueues
        if !leaderless.isEmpty {
            let named = leaderless.prefix(10).joined(separator: ", ")
            parts.append("\(leaderless.count) without a leader: \(named)" + (leaderless.count > 10 ? ", …" : ""))
        }
        return parts.isEmpty ? "no nodes" : parts.joined(separator: "; ")
    }

    /// The nodes, with the number of queues that each leads.
    public var nodeTable: String {
        var leads: [String: Int] = [:]
        for queue in queues {
            if let leader = queue["leader"]?.string { leads[leader, default: 0] += 1 }
        }
        var table = TextTable(["node", "state", "leads", "AMQP", "HTTP", "peers", "metadata", "alarms"])
        for node in nodes {
            let name = node["name"]?.string ?? ""
            table.append([
                name, node["running"]?.bool == true ? "up" : "down", "\(leads[name] ?? 0)",
                node["client_address"]?.text ?? "", node["management_address"]?.text ?? "",
                node["peer_address"]?.text ?? "", node["cluster_leader"]?.bool == true ? "leader" : "",
                ClusterReport.alarms(node),
            ])
        }
        return table.text
    }

    /// Tables and verdict.
    public var text: String {
        var text = "cluster \(overview["cluster_name"]?.text ?? ""), as \(overview["node"]?.text ?? "") sees it\n\n"
        text += nodeTable + "\n\n"
        if !queues.isEmpty { text += QueueListing.table(queues) + "\n\n" }
        return text + verdict
    }

    /// The nodes for programs.
    public var nodesJSON: JSON { .array(nodes) }

    /// Everything for programs.
    public var json: JSON {
        [
            "cluster_name": overview["cluster_name"] ?? .null, "node": overview["node"] ?? .null,
            "nodes": .array(nodes), "queues": .array(queues), "healthy": .bool(isHealthy), "verdict": .string(verdict),
        ]
    }
}
