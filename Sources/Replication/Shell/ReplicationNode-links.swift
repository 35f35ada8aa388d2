import Logging
public import PeerLink
public import Primitives
import Topology

extension ReplicationNode: PeerLinksDelegate {
    /// A data directory that was replaced does not come back. One that the cluster does not know may be that of a node
    /// that lost its own: it is let in, and counts for nothing before it is taken in.
    public func refusal(of peer: PeerIdentity, cluster: ClusterID?) -> PeerRefusal? {
        let founders = shard.founders
        guard !founders.isEmpty else { return nil }
        guard founders.contains(where: { $0.node == peer.node }) else {
            return PeerRefusal(.notAdmitted, "node \(peer.node.rawValue) is not a member of the cluster")
        }
        guard shard.topology.isRetired(peer.store, of: peer.node),
            let current = shard.topology.store(of: peer.node)
        else { return nil }
        return PeerRefusal(
            .retired,
            "another data directory has taken this one's place: node \(peer.node.rawValue) has store \(current) now, "
                + "this is store \(peer.store). Start the node with that directory, or with an empty one")
    }

    /// A peer refuses this node.
    public func notAdmitted(_ refusal: PeerRefusal) {
        // A member that some stranger refuses goes on; a node that is no member yet has nothing to go on with, and one
        // on a directory that was replaced must not.
        guard formation != nil || refusal.code == .retired else {
            logger.error("a peer refuses this node: \(refusal.text)")
            return
        }
        delegate?.failed(refusal.text)
    }

    /// The data connection to a peer stands; `bootstrap` says what its store knows.
    public func linkUp(_ peer: PeerIdentity, bootstrap: Bytes) {
        if formation != nil {
            do throws(DecodingFailure) {
                let report = try StoreReport(decoding: bootstrap)
                if let decision = formation?.reported(by: peer.node, store: peer.store, report: report) {
                    act(on: decision)
                }
            } catch {
                logger.error("unreadable store report", metadata: ["node": "\(peer.node)", "reason": "\(error)"])
            }
        }
        shard.linkUp(peer, now: .now)
        setNeedsFlush()
    }

    /// The data connection to a peer is gone.
    public func linkDown(_ node: NodeID, reason: LinkDownReason) {
        formation?.forget(node)
        shard.linkDown(node, now: .now)
        delegate?.linkReset(node)
        setNeedsFlush()
    }

    /// A payload of a peer.
    public func received(_ payload: Bytes, from node: NodeID) {
        if !shard.receive(payload, from: node, now: .now) { links?.reset(node) }
        setNeedsFlush()
    }

    /// A link that had too much to send can take more.
    public func linkDrained(_ node: NodeID) {
        shard.setBackedUp(node, false, now: .now)
        delegate?.linkDrained(node)
        setNeedsFlush()
    }

    /// Nodes are heard, suspected, or this one stood still.
    public func livenessChanged(_ verdicts: [LivenessVerdict]) {
        for verdict in verdicts {
            switch verdict {
            case .up(let node, let incarnation):
                shard.journal.note(.nodeUp(node, incarnation), at: .now)
                shard.nodeUp(node, incarnation, now: .now)
                delegate?.nodeUp(node, incarnation)
            case .suspected(let node, let reason):
                shard.journal.note(.nodeSuspected(node, reason), at: .now)
                shard.nodeSuspected(node, now: .now)
                delegate?.nodeDown(node)
            case .stalled(let time):
                shard.journal.note(.stoodStill(time), at: .now)
                shard.nodeStalled(now: .now)
            }
        }
        setNeedsFlush()
    }

    func noteBackedUpLinks() {
        for peer in configuration.peers where links?.isBackedUp(peer.node) ?? false {
            shard.setBackedUp(peer.node, true, now: .now)
        }
    }

    /// Lets the heartbeat thread have the digests of this moment.
    func publishDigests() {
        guard shard.digestsChanged else { return }
        shard.digestsChanged = false
        var digests: [NodeID: UInt64] = [:]
        for peer in configuration.peers { digests[peer.node] = shard.ledDigest(for: peer.node) }
        self.digests.publish(digests)
    }

    /// Compares what the peers' heartbeats say they lead with what is believed here.
    func receiveDigests() {
        for peer in configuration.peers {
            guard case .up = links?.liveness(of: peer.node), let heartbeat = links?.lastHeartbeat(of: peer.node) else {
                continue
            }
            shard.received(digest: heartbeat.digest, from: peer.node, now: .now)
        }
    }
}
