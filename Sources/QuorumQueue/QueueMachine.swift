public import Primitives

/// The state machine of one queue: committed entries in, state and effects out.
///
/// The same entries give the same state and effects on every replica: nothing here depends on time, chance, hashing or
/// the machine. `apply` is total: what is malformed in an entry is ignored and counted, never a trap.
///
/// Invariants: a message is ready or held by exactly one consumer; every message that was ever delivered precedes
/// every one that was not; a consumer holds at most its prefetch; a session's commands are applied once each and in
/// order.
public struct QueueMachine: Sendable {
    let settings: QueueSettings
    /// The version of the behaviour in force.
    public internal(set) var version: UInt32
    /// The last entry applied.
    public internal(set) var appliedIndex = LogIndex.zero
    /// The latest timestamp of an entry; never goes back.
    public internal(set) var time = WallTime.zero
    /// Parts of entries that were malformed; 0 unless somebody proposed what was not validated.
    public internal(set) var ignoredCount: UInt64 = 0

    var ready = ReadySet()
    var service = ServiceQueue()
    /// Ascending by id.
    var sessions: [Session] = []
    /// By slot; a slot stays a consumer's as long as it is known. Slots are of this process only, not of the state.
    var consumers: [Consumer] = []
    var freeSlots: [UInt32] = []
    /// What was opened so far, ascending by gateway and by node.
    var gateways: [GatewayRecord] = []
    var nodes: [NodeRecord] = []
    /// Messages held by consumers.
    var unsettledCount = 0
    /// Consumers in slots, number 0 left out.
    var knownConsumers = 0
    var attachedConsumers = 0
    /// The slot of the consumer with exclusive use.
    var exclusiveSlot: Int?

    /// Sessions that the current entry touched, in order of first touch; empty between entries.
    var touched: [(session: SessionID, through: UInt64)] = []
    /// Room for runs on their way back; empty between commands.
    var returning: [ReturnedRun] = []
    /// A bug on purpose; no part of the state.
    package var bug: QueueBug?

    /// The highest session that a gateway opened.
    struct GatewayRecord: Sendable {
        let id: GatewayID
        var incarnation: Incarnation
        var number: UInt64
    }

    /// The newest incarnation of a node that the queue has heard of.
    struct NodeRecord: Sendable {
        let id: NodeID
        var incarnation: Incarnation
    }

    /// The commands behind one session header.
    struct Turn {
        let id: SessionID
        /// Its place in `sessions`; nil until it is opened.
        var place: Int?
        /// The number of the next command.
        var sequence: UInt64
        /// Whether the rest is to be ignored.
        var isRefused = false
    }

    /// The state of a queue that was just created.
    public init(settings: QueueSettings = QueueSettings()) {
        self.settings = settings
        self.version = settings.version
    }

    /// Applies a committed entry; appends what the leader has to do. Entries come in order of their indices.
    ///
    /// Consumers are served at the end of the entry: a get or purge in it acts before them.
    public mutating func apply(_ entry: Entry, into effects: inout [QueueEffect]) {
        guard entry.index > appliedIndex && entry.index.rawValue < Position.indexLimit else {
            ignoredCount += 1
            return
        }
        appliedIndex = entry.index
        time = max(time, entry.header.timestamp)
        guard entry.header.kind == .commands else { return }
        entry.headers.withUnsafeBytes { headers in
            apply(headers, bodiesLength: entry.header.bodiesLength, into: &effects)
        }
        for touch in touched { effects.append(.applied(touch.session, through: touch.through)) }
        touched.removeAll(keepingCapacity: touched.capacity <= 64)
        serve(into: &effects)
    }

    private mutating func apply(
        _ headers: UnsafeRawBufferPointer, bodiesLength: Int, into effects: inout [QueueEffect]
    ) {
        var reader = CommandReader(headers)
        var turn: Turn?
        var ordinal = 0
        var bodies = 0
        while true {
            let command: Command
            do {
                guard let next = try reader.next() else { return }
                command = next
            } catch {
                ignoredCount += 1
                return
            }
            if case .session(let id, let first, let lowWater) = command {
                turn = begin(id, first: first, lowWater: lowWater)
            } else if command.isLeaders {
                turn = nil
                apply(leaders: command, into: &effects)
            } else {
                let firstOrdinal = ordinal
                if case .enqueue(let run) = command {
                    ordinal += run.count
                    bodies += run.bodiesLength
                    guard ordinal <= EntryHeader.commandLimit && bodies <= bodiesLength else {
                        ignoredCount += 1
                        return
                    }
                }
                if turn?.apply(command, ordinal: firstOrdinal, to: &self, into: &effects) == nil { ignoredCount += 1 }
            }
        }
    }

    private mutating func begin(_ id: SessionID, first: UInt64, lowWater: UInt64) -> Turn {
        let place = place(of: id)
        let isKnown = place < sessions.count && sessions[place].id == id
        if isKnown { sessions[place].raiseLowWater(to: lowWater) }
        return Turn(id: id, place: isKnown ? place : nil, sequence: first)
    }

    /// The place of a session, or where it belongs.
    func place(of id: SessionID) -> Int {
        var low = 0
        var high = sessions.count
        while low < high {
            let middle = (low + high) / 2
            if sessions[middle].id < id { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Gives messages to consumers, as long as there are both. One that is alone in its priority gets whole runs,
    /// several get one message each in turn.
    mutating func serve(into effects: inout [QueueEffect]) {
        while !ready.isEmpty, let next = service.popFirst(bug) {
            let slot = Int(next.slot)
            guard consumers[slot].isEligible else {
                consumers[slot].isQueued = false
                continue
            }
            assign(to: slot, limit: next.isAlone ? consumers[slot].credit : 1, into: &effects)
            if consumers[slot].credit > 0 {
                service.append(next.slot, priority: consumers[slot].options.priority)
            } else {
                consumers[slot].isQueued = false
            }
        }
    }

    /// Gives up to `limit` messages of one run to a consumer.
    mutating func assign(to slot: Int, limit: Int, into effects: inout [QueueEffect]) {
        guard var run = ready.popFirst(limit: limit) else { return }
        run.number = consumers[slot].nextNumber
        consumers[slot].nextNumber += UInt64(run.count)
        consumers[slot].unsettled.append(run)
        unsettledCount += Int(run.count)
        effects.append(.deliver(consumers[slot].delivery(of: run)))
    }
}
