public import Primitives

/// Why an established link is gone.
public enum LinkDownReason: Hashable, Sendable {
    /// The far side's kernel closed or reset the connection without a farewell, as it does for a killed process.
    case reset(String)
    /// The peer's process stops.
    case stopping
    /// The peer lives but gave this connection up.
    case closedByPeer
    /// Bytes that are no frames, or frames out of turn.
    case malformed(PeerFrameFailure)
    /// A message that the caller did not understand: `PeerLinks.reset`.
    case notUnderstood
    /// More than `PeerLinkLimits.outboundBytes` waited for the peer's socket.
    case overflow
    /// A newer connection from the same process took its place.
    case replaced
    /// A newer process of the node proved itself.
    case newIncarnation(Incarnation)
    /// Nothing was heard for `PeerLinkLimits.silentLinkTimeout` after the node was suspected of silence.
    case silent
    /// The caller closed it or removed the peer.
    case closed
    /// This node stops.
    case shutdown
}

/// What happens on the peer links. All calls come on the event loop of the `PeerLinks` and must not block. They never
/// come from inside `send` or `flush`.
public protocol PeerLinksDelegate: AnyObject {
    /// Whether a peer that has proved its identity may connect; nil lets it in. The place to compare the store id with
    /// the membership.
    /// - Returns: `.notAdmitted` or `.retired`.
    func refusal(of peer: PeerIdentity, cluster: ClusterID?) -> PeerRefusal?

    /// A peer refused this node by its own `refusal(of:cluster:)`.
    func notAdmitted(_ refusal: PeerRefusal)

    /// Messages can be sent to the node from now on. `bootstrap` is what the peer's `PeerLinks.bootstrap` was.
    func linkUp(_ peer: PeerIdentity, bootstrap: Bytes)

    /// The link is gone, with everything sent and not received; exactly once for each `linkUp`.
    func linkDown(_ node: NodeID, reason: LinkDownReason)

    /// One message, in the order in which the peer sent them. Nothing comes behind one for which the delegate calls
    /// `PeerLinks.reset`.
    func received(_ payload: Bytes, from node: NodeID)

    /// All that a read brought has been handed over: the moment to act on it and flush.
    func receivedAll(from node: NodeID)

    /// No more than half of `PeerLinkLimits.backedUpBytes` waits for the node's socket, after it was more than all of
    /// it.
    func linkDrained(_ node: NodeID)

    /// What the detector believes changed. A killed node is suspected right after its `linkDown`, or before it.
    func livenessChanged(_ verdicts: [LivenessVerdict])
}

extension PeerLinksDelegate {
    /// Lets every peer in.
    public func refusal(of peer: PeerIdentity, cluster: ClusterID?) -> PeerRefusal? { nil }
    /// Does nothing.
    public func notAdmitted(_ refusal: PeerRefusal) {}
    /// Does nothing.
    public func receivedAll(from node: NodeID) {}
    /// Does nothing.
    public func linkDrained(_ node: NodeID) {}
}
