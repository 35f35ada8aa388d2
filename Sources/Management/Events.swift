import Broker
import Foundation
import Hummingbird
import PeerLink
package import Primitives
package import Replication
import Topology

/// `/api/warren/events`: what the node that is asked lately learned of its peers and of who leads. `after=N` leaves out
/// the events up to the one of this number.
struct Events {
    let view: NodeView

    /// Events named in one visit to the loop.
    private static let portion = 1_024

    func addRoutes(to group: RouterGroup<ManagementContext>) {
        group.get("warren/events") { request, context in
            try await list(after: request.uri.queryParameters.get("after", as: UInt64.self) ?? 0, context.visitor)
        }
    }

    private func list(after sequence: UInt64, _ visitor: Visitor) async throws -> JournalView {
        var (result, records) = try await view.look { broker in
            let shard = broker.replication.shard
            let result = JournalView(
                node: Nodes.name(of: broker.nodeID, in: broker.topology), shard.journal,
                leaderless: shard.leaderlessGroups)
            return (result, shard.journal.records(after: sequence))
        }
        // Both clocks are read at one moment; the events keep their distance from it.
        let clock = WallClock()
        result.microseconds = clock.microseconds(at: .now)
        for start in stride(from: 0, to: records.count, by: Events.portion) {
            let portion = records[start..<min(start + Events.portion, records.count)]
            result.events += try await view.look { broker in
                portion.compactMap { Events.view(of: $0, clock, broker, visitor) }
            }
        }
        return result
    }

    /// Nil for a queue that the visitor may not see.
    private static func view(
        of record: EventJournal.Record, _ clock: WallClock, _ broker: NodeBroker, _ visitor: Visitor
    ) -> EventView? {
        let topology = broker.topology
        var view = EventView(record, at: clock.microseconds(at: record.at)) { Nodes.name(of: $0, in: topology) }
        guard let group = view.group, group != GroupID.topology.rawValue else { return view }
        guard let queue = topology.queue(group: GroupID(group)) else { return visitor.seesEverything ? view : nil }
        guard visitor.sees(vhost: queue.vhost, in: topology) else { return nil }
        view.queue = queue.name
        view.vhost = queue.vhost
        return view
    }
}

/// A node's events in JSON.
package struct JournalView: ResponseEncodable, Sendable {
    package var node: String
    /// The time of the answer, since 1970.
    package var microseconds: UInt64 = 0
    /// The number of the oldest event that the node still has.
    package var first_sequence: UInt64
    /// The number of the event that comes next.
    package var next_sequence: UInt64
    /// Groups with a replica on this node that have lost their leader and know no other yet.
    package var leaderless_groups: Int
    package var events: [EventView] = []

    package init(node: String, _ journal: EventJournal, leaderless: Int) {
        self.node = node
        first_sequence = journal.first
        next_sequence = journal.next
        leaderless_groups = leaderless
    }
}

/// An event in JSON; members that say nothing of it are left out.
package struct EventView: Encodable, Sendable {
    package var sequence: UInt64
    /// Since 1970.
    package var microseconds: UInt64
    package var event: String
    /// The peer that is up or suspected.
    package var node: String?
    package var incarnation: UInt32?
    /// Why it is suspected.
    package var reason: String?
    /// The queue of a campaign or a leadership; left out for the cluster's metadata.
    package var queue: String?
    package var vhost: String?
    package var group: UInt64?
    package var term: UInt64?
    /// How many groups know a leader again.
    package var groups: Int?
    /// A silence, a reported stall, or the time that something took.
    package var duration_microseconds: UInt64?

    package init(_ record: EventJournal.Record, at microseconds: UInt64, name: (NodeID) -> String) {
        sequence = record.sequence
        self.microseconds = microseconds
        event = ""
        switch record.event {
        case .nodeUp(let id, let number):
            event = "node_up"
            node = name(id)
            incarnation = number.rawValue
        case .nodeSuspected(let id, let why):
            event = "node_suspected"
            node = name(id)
            (reason, duration_microseconds) = EventView.words(for: why)
        case .stoodStill(let time):
            event = "stood_still"
            duration_microseconds = time.nanoseconds / 1_000
        case .campaigned(let id, let number): lead("campaigned", id, number)
        case .elected(let id, let number): lead("elected", id, number)
        case .committed(let id, let number): lead("committed", id, number)
        case .steppedDown(let id, let number): lead("stepped_down", id, number)
        case .allLed(let count, let time):
            event = "all_led"
            groups = count
            duration_microseconds = time.nanoseconds / 1_000
        }
    }

    private mutating func lead(_ event: String, _ id: GroupID, _ number: Term) {
        self.event = event
        group = id.rawValue
        term = number.rawValue
    }

    private static func words(for reason: SuspicionReason) -> (String, UInt64?) {
        switch reason {
        case .neverHeard: ("never_heard", nil)
        case .linkReset: ("link_reset", nil)
        case .newIncarnation: ("new_incarnation", nil)
        case .silence(let time): ("silence", time.nanoseconds / 1_000)
        case .diskStall(let time): ("disk_stall", time.nanoseconds / 1_000)
        case .loopStall(let time): ("loop_stall", time.nanoseconds / 1_000)
        case .stopping: ("stopping", nil)
        }
    }
}
