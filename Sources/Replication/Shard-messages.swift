public import Primitives
import QueueClient

// What arrives over the peer links.
extension Shard {
    /// A payload of a peer. A malformed message ends the payload; the caller resets the link when false is returned.
    public func receive(_ payload: Bytes, from node: NodeID, now: Instant) -> Bool {
        self.now = now
        guard let peer = peers[node], !peer.isForeign else { return true }
        var reader = PeerPayloadReader(payload)
        do {
            while let message = try reader.next() {
                try receive(message.kind, message.content, group: message.group, from: node)
            }
            return true
        } catch {
            output.events.append(.malformedMessage(from: node, "\(error)"))
            return false
        }
    }

    private func receive(
        _ kind: PeerMessageKind, _ content: Bytes, group: GroupID, from node: NodeID
    ) throws(DecodingFailure) {
        switch kind {
        case .raft: try received(raft: content, group: group, from: node)
        case .client: receive(try ClientMessage(decoding: content, from: node), group: group, from: node)
        case .leader: output.leaderMessages.append((group, node, try LeaderMessage(decoding: content)))
        case .topologyCommands: try received(topologyCommands: content, from: node)
        case .leadershipInquiry: try received(inquiry: content, from: node)
        case .leadershipDenial: try received(denial: content, from: node)
        case .gateway: output.gatewayMessages.append((node, content))
        case .snapshot: try received(snapshot: content, group: group, from: node)
        case .repairRequest: try received(repairRequest: content, group: group, from: node)
        case .repair: try received(repair: content, group: group, from: node)
        }
    }

    /// Sends bytes to another node's broker.
    public func sendToGateway(_ node: NodeID, _ payload: Bytes) {
        outboxes[node]?.outbox.append(.gateway, group: .topology, sizeHint: payload.count) { $0.write(payload) }
    }
}
