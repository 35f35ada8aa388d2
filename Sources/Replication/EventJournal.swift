public import PeerLink
public import Primitives

/// Something that decides who leads, as this node learned of it.
public enum JournalEvent: Hashable, Sendable {
    /// The node is heard: for the first time, again, or as a new process.
    case nodeUp(NodeID, Incarnation)
    /// The node is given up: the groups that it led are to elect.
    case nodeSuspected(NodeID, SuspicionReason)
    /// This node stood still for so long.
    case stoodStill(Interval)
    /// This node asks for votes in this term.
    case campaigned(GroupID, Term)
    /// This node leads the group.
    case elected(GroupID, Term)
    /// The first entry of this leadership is committed: what clients send is confirmed from here on.
    case committed(GroupID, Term)
    /// This node does not lead the group any more.
    case steppedDown(GroupID, Term)
    /// All groups that were without a leader know one again, or are gone: how many there were, and the time since the
    /// first of them lost its own.
    case allLed(groups: Int, after: Interval)
}

/// What lately became of a node's peers and leaderships. It is bounded: the newest events push the oldest out. An
/// election makes two or three of them, a message none.
public struct EventJournal: Sendable {
    /// An event with its time.
    public struct Record: Hashable, Sendable {
        /// Counts from 1 since the node's start.
        public let sequence: UInt64
        /// The tick in which the node learned of it.
        public let at: Instant
        /// What happened.
        public let event: JournalEvent
    }

    /// Events kept, each of 48 bytes; the memory is taken as they come. Room for the elections of five thousand groups.
    public static let capacity = 16_384

    private var records = Ring<Record>()
    /// The number of the event that comes next.
    public private(set) var next: UInt64 = 1

    /// Without events.
    public init() {}

    /// The number of the oldest event that is still here; `next` when there is none.
    public var first: UInt64 { next - UInt64(records.count) }

    /// Adds an event.
    public mutating func note(_ event: JournalEvent, at now: Instant) {
        if records.count == EventJournal.capacity { records.popFirst() }
        records.append(Record(sequence: next, at: now, event: event))
        next += 1
    }

    /// The events behind the one of this number that are still here, oldest first.
    public func records(after sequence: UInt64) -> [Record] {
        guard sequence < next - 1 else { return [] }
        let start = max(first, sequence + 1)
        return (Int(start - first)..<records.count).map { records[$0] }
    }
}

/// Groups of this node that had a leader and know none.
struct LeaderlessGroups {
    private(set) var count = 0
    /// How many it was since there were none.
    private var total = 0
    private var since = Instant.zero

    mutating func add(at now: Instant) {
        if count == 0 {
            since = now
            total = 0
        }
        count += 1
        total += 1
    }

    /// - Returns: what is to be noted when this was the last one.
    mutating func remove(at now: Instant) -> JournalEvent? {
        count -= 1
        return count == 0 ? .allLed(groups: total, after: now - since) : nil
    }
}
