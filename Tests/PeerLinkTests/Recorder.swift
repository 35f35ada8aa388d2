import NIOCore
import PeerLink
import Primitives
import Synchronization

/// What a `PeerLinks` told its delegate.
enum LinkEvent: Equatable, Sendable {
    case up(PeerIdentity, Bytes)
    case down(NodeID, LinkDownReason)
    case received(Bytes, NodeID)
    case verdict(LivenessVerdict)
    case drained(NodeID)
}

/// A delegate that turns calls into a stream, so that a test can await them in order.
final class Recorder: PeerLinksDelegate, Sendable {
    let events: AsyncStream<LinkEvent>
    private let continuation: AsyncStream<LinkEvent>.Continuation
    /// The stores that are refused.
    let refusedStores = Mutex<[StoreID]>([])

    init() { (events, continuation) = AsyncStream.makeStream() }

    func refusal(of peer: PeerIdentity, cluster: ClusterID?) -> PeerRefusal? {
        refusedStores.withLock { $0.contains(peer.store) } ? PeerRefusal(.notAdmitted, "another store") : nil
    }
    func linkUp(_ peer: PeerIdentity, bootstrap: Bytes) { continuation.yield(.up(peer, bootstrap)) }
    func linkDown(_ node: NodeID, reason: LinkDownReason) { continuation.yield(.down(node, reason)) }
    func received(_ payload: Bytes, from node: NodeID) { continuation.yield(.received(payload, node)) }
    func linkDrained(_ node: NodeID) { continuation.yield(.drained(node)) }
    func livenessChanged(_ verdicts: [LivenessVerdict]) {
        for verdict in verdicts { continuation.yield(.verdict(verdict)) }
    }

    /// Waits until `wanted` has happened; returns everything up to and with it.
    func wait(until wanted: (LinkEvent) -> Bool) async -> [LinkEvent] {
        var seen: [LinkEvent] = []
        for await event in events {
            seen.append(event)
            if wanted(event) { break }
        }
        return seen
    }
}
