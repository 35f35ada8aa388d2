import Primitives
import Synchronization

/// The digests that heartbeats carry: written by the loop, read by the heartbeat thread.
final class DigestBoard: Sendable {
    private let digests: Mutex<[NodeID: UInt64]>

    init() { digests = Mutex([:]) }

    func publish(_ new: [NodeID: UInt64]) { digests.withLock { $0 = new } }

    func digest(for peer: NodeID) -> UInt64 { digests.withLock { $0[peer] ?? 0 } }
}
