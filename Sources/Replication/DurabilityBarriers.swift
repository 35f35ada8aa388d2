package import LogStore
package import Primitives
package import Raft

/// Holds back what may be said only once the node log has made it true.
///
/// Records of a shard reach the log in order, so one ticket a tick is enough: what waits behind a ticket waits for
/// every record of that tick and of all earlier ones.
package struct DurabilityBarriers {
    /// A durable fact to report to a group's core.
    package enum Fact {
        case entries(GroupID, term: Term, through: LogIndex)
        case hardState(GroupID, HardState)
        /// The record is on disk that drops these entries.
        case unneeded([EntryLocation])
        /// The mark of a snapshot that was taken here.
        case snapshot(GroupID)
        /// The mark of a leader's snapshot.
        case installation(GroupID)
        /// Live entries of a snapshot at `index` that is being sent here, up to `through`.
        case snapshotPart(GroupID, index: LogIndex, through: LogIndex)
    }

    private struct Barrier {
        var ticket: UInt64
        var entryBytes = 0
        var facts: [Fact] = []
        var messages: [(group: GroupID, to: NodeID, message: RaftMessage)] = []
    }

    /// Ticket of the tick that is being collected.
    private var current = Barrier(ticket: 1)
    private var waiting = Ring<Barrier>()
    /// Bytes of entries that are not durable yet.
    package private(set) var entryBytes = 0
    private var messageCount = 0

    /// Messages that are held back at most. On a disk that stands still for long, further ones are dropped, as if they
    /// were lost on their way: whoever needs an answer asks again.
    package static let messageLimit = 1 << 17

    package init() {}

    package mutating func add(_ fact: Fact) { current.facts.append(fact) }

    /// Counts an entry of this tick's records.
    package mutating func add(entryBytes count: Int) {
        current.entryBytes += count
        entryBytes += count
    }

    package mutating func add(_ message: RaftMessage, to node: NodeID, group: GroupID) {
        guard messageCount < DurabilityBarriers.messageLimit else { return }
        messageCount += 1
        current.messages.append((group, node, message))
    }

    /// Nothing is being written and nothing waits to be: a message may go at once.
    package var isClear: Bool { waiting.isEmpty }

    /// Ends the tick. Returns the ticket of its records; messages without records of their own wait for the last
    /// ticket that is still open.
    package mutating func close(hasRecords: Bool) -> UInt64 {
        if hasRecords {
            let ticket = current.ticket
            waiting.append(current)
            current = Barrier(ticket: ticket + 1)
            return ticket
        }
        if !current.messages.isEmpty, let last = waiting.popLast() {
            var merged = last
            merged.messages += current.messages
            waiting.append(merged)
            current.messages = []
        }
        return 0
    }

    /// Messages that nothing holds back, at the end of a tick without records.
    package mutating func takeUnblocked(hasRecords: Bool) -> [(group: GroupID, to: NodeID, message: RaftMessage)] {
        guard !hasRecords, isClear else { return [] }
        messageCount -= current.messages.count
        defer { current.messages = [] }
        return current.messages
    }

    /// The records of `ticket`, and of all earlier ones, are durable.
    package mutating func complete(
        through ticket: UInt64
    ) -> (facts: [Fact], messages: [(group: GroupID, to: NodeID, message: RaftMessage)]) {
        var facts: [Fact] = []
        var messages: [(group: GroupID, to: NodeID, message: RaftMessage)] = []
        while let first = waiting.first, first.ticket <= ticket {
            facts += first.facts
            messages += first.messages
            entryBytes -= first.entryBytes
            messageCount -= first.messages.count
            waiting.popFirst()
        }
        return (facts, messages)
    }
}
