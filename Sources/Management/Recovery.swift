import Broker
import Hummingbird
package import LogStore
import Primitives
package import Replication
import Topology

/// `/api/nodes/NAME/recovery`: what the node's last start read and how long it took, and what the scrub found since.
/// Each node knows its own only.
struct Recovery {
    let view: NodeView

    func addRoutes(to group: RouterGroup<ManagementContext>) {
        group.get("nodes/:name/recovery") { _, context in
            let name = try context.part("name")
            let visitor = context.visitor
            return try await view.look { broker in
                let own = Nodes.name(of: broker.replication.shard.node, in: broker.topology)
                guard name == own else {
                    throw HTTPError(.notFound, message: "this is \(own); ask \(name) itself")
                }
                return NodeRecovery(broker, name: own, visitor)
            }
        }
    }
}

/// A node's recovery in JSON.
package struct NodeRecovery: ResponseEncodable {
    package var node: String
    package var incarnation: UInt32
    /// Milliseconds since 1970.
    package var started_at: UInt64
    package var open_milliseconds: UInt64
    package var store: StoreRecovery
    package var scrub: ScrubView
    /// The cluster's metadata; nil when this start did not find any.
    package var metadata: QueueRecovery?
    package var queues: [QueueRecovery]

    init(_ broker: NodeBroker, name: String, _ visitor: Visitor) {
        let replication = broker.replication
        let ledger = replication.shard.recovery
        let topology = broker.topology
        func row(_ name: String, _ vhost: String, _ group: GroupID) -> QueueRecovery? {
            ledger[group].map { found in
                QueueRecovery(
                    name: name, vhost: vhost, found, leader: found.leader.map { Nodes.name(of: $0, in: topology) })
            }
        }
        self.init(
            node: name, replication.opening, scrub: ScrubView(replication.scrubTotals, replication.shard.repairs),
            metadata: row("", "", .topology),
            queues: topology.queues.filter { visitor.sees(vhost: $0.vhost, in: topology) }.compactMap { queue in
                queue.group.flatMap { row(queue.name, queue.vhost, $0) }
            })
    }

    package init(
        node: String, _ opening: StoreOpening, scrub: ScrubView, metadata: QueueRecovery?, queues: [QueueRecovery]
    ) {
        self.node = node
        incarnation = opening.incarnation.rawValue
        started_at = opening.startedAt.milliseconds
        open_milliseconds = opening.duration.nanoseconds / 1_000_000
        store = StoreRecovery(opening.report)
        self.scrub = scrub
        self.metadata = metadata
        self.queues = queues
    }
}

/// What opening the store read.
package struct StoreRecovery: Encodable, Sendable {
    package var segments: Int
    package var sealed_segments: Int
    package var frames: Int
    package var records: Int
    package var bytes_read: Int
    package var torn_bytes: Int
    package var damaged_records: Int
    package var lost_frames: Int
    package var clean_stop: Bool

    package init(_ report: RecoveryReport) {
        segments = report.segments
        sealed_segments = report.sealedSegments
        frames = report.frames
        records = report.records
        bytes_read = report.bytesRead
        torn_bytes = report.tornBytes
        damaged_records = report.damagedRecords
        lost_frames = report.lostFrames
        clean_stop = report.cleanStop
    }
}

/// What the scrub has read, and damage that it, recovery or a read has met.
package struct ScrubView: Encodable, Sendable {
    package var passes: Int
    package var segments: Int
    package var bytes: Int
    package var damaged_segments: Int
    package var damaged_entries: Int
    package var repaired_entries: Int
    package var rewritten_records: Int

    package init(_ totals: ScrubTotals, _ repairs: RepairTotals) {
        passes = totals.passes
        segments = totals.segments
        bytes = totals.bytes
        damaged_segments = totals.damagedSegments
        damaged_entries = repairs.found
        repaired_entries = repairs.repaired
        rewritten_records = repairs.rewritten
    }
}

/// What was read for one queue.
package struct QueueRecovery: Encodable, Sendable {
    package var name: String
    package var vhost: String
    package var entries: UInt32
    package var entry_bytes: UInt64
    package var snapshot_index: UInt64
    package var snapshot_bytes: UInt32
    package var last_index: UInt64
    package var missing: UInt32
    package var damaged: UInt32
    package var repaired: UInt32
    package var replayed: UInt32
    package var caught_up: Bool
    /// Behind the opening of the store; left out before.
    package var caught_up_milliseconds: UInt64?
    /// Who led then; left out when nothing had to be applied.
    package var leader: String?

    package init(name: String, vhost: String, _ found: GroupRecovery, leader: String?) {
        self.name = name
        self.vhost = vhost
        entries = found.entries
        entry_bytes = found.entryBytes
        snapshot_index = found.snapshotIndex.rawValue
        snapshot_bytes = found.snapshotBytes
        last_index = found.lastIndex.rawValue
        missing = found.missing
        damaged = found.damaged
        repaired = found.repaired
        replayed = found.replayed
        caught_up = found.isCaughtUp
        caught_up_milliseconds = found.caughtUpAfter.map { $0.nanoseconds / 1_000_000 }
        self.leader = leader
    }
}
