package import Primitives
package import Topology

/// This node's topology commands that its own copy has not applied yet.
///
/// A command is sent to whoever leads the topology group, again after each change of leader or link. Commands are
/// idempotent, and the first time one is applied here answers it.
package struct TopologyRequests {
    private struct Pending {
        var counter: UInt64
        var encoded: Bytes
        var deadline: Instant
    }

    private var pending = Ring<Pending>()
    private var counter: UInt64 = 0

    package init() {}

    package var isEmpty: Bool { pending.isEmpty }
    package var nextDeadline: Instant { pending.first?.deadline ?? .distantFuture }

    package mutating func add(
        _ command: TopologyCommand, node: NodeID, incarnation: Incarnation, deadline: Instant
    ) -> (id: TopologyRequestID, encoded: Bytes) {
        counter += 1
        let id = TopologyRequestID(node: node, incarnation: incarnation, counter: counter)
        var writer = ByteWriter(capacity: 256)
        TopologyRequest(id: id, command: command).encode(into: &writer)
        let encoded = writer.take()
        pending.append(Pending(counter: counter, encoded: encoded, deadline: deadline))
        return (id, encoded)
    }

    /// A request was applied here.
    package mutating func applied(_ counter: UInt64) {
        guard pending.contains(where: { $0.counter == counter }) else { return }
        if pending.first?.counter == counter {
            pending.popFirst()
            return
        }
        let rest = pending.filter { $0.counter != counter }
        pending.removeAll()
        for request in rest { pending.append(request) }
    }

    /// All of them, in order, to be sent again.
    package var encoded: [Bytes] { pending.map(\.encoded) }

    /// Takes one whose time is over.
    package mutating func popExpired(now: Instant) -> UInt64? {
        guard let first = pending.first, first.deadline <= now else { return nil }
        pending.popFirst()
        return first.counter
    }
}
