public import LogStore
import Logging
public import Primitives
import Topology

/// Memory and disk alarms. An alarm of any node keeps the publishers of all nodes waiting, as in RabbitMQ: what is
/// published here may be stored there.
extension BrokerLoop {
    /// How often the other nodes are told without a change: a message may have been lost with its link.
    private static let reportInterval = Interval.seconds(1)

    /// Takes a measurement of this node, and tells the other nodes. To be called a few times a second.
    public func observe(_ reading: ResourceReading) {
        let changed = monitor.observe(reading)
        if changed.contains(.memory) { logMemory() }
        if changed.contains(.disk) { logDisk() }
        guard !changed.isEmpty || now - lastReport >= BrokerLoop.reportInterval else { return }
        tellResources()
    }

    /// The node log begins or ceases to lack space: the alarm does not wait for the next measurement.
    public func observe(logSpace space: LogSpace) {
        guard !monitor.observe(logSpace: space).isEmpty else { return }
        logDisk()
        tellResources()
    }

    private func tellResources() {
        lastReport = now
        for other in node.topology.nodes.map(\.id).sorted() where other != node.nodeID { reportResources(to: other) }
        applyAlarms()
    }

    /// A node's last measurement and its alarms; nil when it has not told since it could be reached.
    public func resources(of node: NodeID) -> NodeResources? {
        node == self.node.nodeID ? monitor.state : peerResources[node]
    }

    /// Nodes with an alarm, this one among them, in order.
    public var alarmedNodes: [NodeID] {
        let peers = peerResources.filter { !$0.value.alarms.isEmpty }.map(\.key)
        return (monitor.state.alarms.isEmpty ? peers : peers + [node.nodeID]).sorted()
    }

    /// Tells another node of this one's resources, in a payload of its own.
    func reportResources(to other: NodeID) {
        var writer = ByteWriter()
        writer.write(GatewayMessage.version)
        GatewayMessage.resources(monitor.state).encode(into: &writer)
        node.sendToGateway(other, writer.take())
    }

    /// Another node told of its resources.
    func take(_ resources: NodeResources, of sender: NodeID) {
        let known = peerResources.updateValue(resources, forKey: sender)
        // It has only now become reachable, and may not have heard of this node yet.
        if known == nil { reportResources(to: sender) }
        guard known?.alarms ?? [] != resources.alarms else { return }
        logger.warning(
            "alarms of another node changed",
            metadata: ["node": "\(sender)", "alarm": "\(resources.alarms.reason ?? "none")"])
        applyAlarms()
    }

    /// A node is gone, and its alarms with it.
    func forgetResources(of lost: NodeID) {
        guard let known = peerResources.removeValue(forKey: lost), !known.alarms.isEmpty else { return }
        logger.warning("alarms of a lost node are dropped", metadata: ["node": "\(lost)"])
        applyAlarms()
    }

    private func applyAlarms() {
        let alarms = peerResources.values.reduce(monitor.state.alarms) { $0.union($1.alarms) }
        setAlarm(alarms.reason)
    }

    private func logMemory() {
        let state = monitor.state
        logger.warning(
            state.alarms.contains(.memory)
                ? "memory alarm raised: publishers have to wait" : "memory alarm cleared",
            metadata: ["used": "\(state.reading.memoryUsed ?? 0)", "limit": "\(state.limits.memory)"])
    }

    private func logDisk() {
        let state = monitor.state
        logger.warning(
            state.alarms.contains(.disk) ? "disk alarm raised: publishers have to wait" : "disk alarm cleared",
            metadata: ["free": "\(state.reading.diskFree ?? 0)", "limit": "\(state.limits.diskFree)"])
    }
}
