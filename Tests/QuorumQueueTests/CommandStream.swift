import Primitives
import QuorumQueue

/// Random entries as gateways and leaders would propose them, with repeats, gaps, dead sessions and restarts.
struct CommandStream {
    private var random: SeededRandom
    /// What each session said so far, from number 1; a repeat says the same again.
    private var said: [SessionID: [Command]] = [:]
    /// Sessions, in the order of their making; some are closed or expired.
    private var sessions: [SessionID] = []
    private var incarnations: [UInt32] = [1, 1, 1]
    private var numbers: [UInt64] = [0, 0, 0]
    private var consumers: [SessionID: UInt32] = [:]

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    /// The commands of one entry: several session headers with their commands, and commands of the leader.
    mutating func next() -> [Command] {
        var commands: [Command] = []
        for _ in 0..<1 + random.next(below: 4) {
            if random.oneIn(8) { commands.append(leaders()) } else { commands += turn() }
        }
        return commands
    }

    private mutating func turn() -> [Command] {
        let id = pickSession()
        let known = UInt64(said[id]?.count ?? 0)
        var first = known + 1
        if random.oneIn(5) { first = max(1, first - min(first, random.next(below: 5))) }
        if random.oneIn(20) { first += 1 + random.next(below: 2) }
        let lowWater = random.oneIn(3) ? random.next(below: known + 2) : 0
        var commands: [Command] = [.session(id, firstSequence: first, lowWater: lowWater)]
        var sequence = first
        for _ in 0..<1 + random.next(below: 6) {
            let place = Int(sequence) - 1
            if let old = said[id], place < old.count {
                commands.append(old[place])
            } else {
                let command = sequence == 1 ? .open : sessionCommand(id)
                // What is said behind a gap is refused, and so not part of what was said.
                if place == said[id]?.count ?? 0 {
                    said[id, default: []] += Array(repeating: single(command), count: command.count)
                }
                commands.append(command)
                sequence += UInt64(command.count) - 1
            }
            sequence += 1
        }
        return commands
    }

    /// One of a run.
    private func single(_ command: Command) -> Command {
        guard case .enqueue(var run) = command else { return command }
        run.count = 1
        return .enqueue(run)
    }

    private mutating func pickSession() -> SessionID {
        if sessions.isEmpty || random.oneIn(12) {
            let node = Int(random.next(below: 3))
            numbers[node] += 1 + random.next(below: 2)
            if random.oneIn(15) { incarnations[node] += 1 }
            // Now and then an old incarnation or a number used before.
            let late = random.oneIn(15) ? min(numbers[node] - 1, 1) : 0
            let id = session(
                numbers[node] - late, node: UInt16(node + 1), incarnation: incarnations[node])
            sessions.append(id)
            return id
        }
        let recent = UInt64(min(sessions.count, 6))
        return sessions[sessions.count - 1 - Int(random.next(below: recent))]
    }

    private mutating func numberRange() -> ClosedRange<UInt64> {
        let first = 1 + random.next(below: 60)
        return first...first + random.next(below: random.oneIn(3) ? 60 : 3)
    }

    private mutating func sessionCommand(_ id: SessionID) -> Command {
        let consumer = UInt32(1 + random.next(below: UInt64(consumers[id, default: 0] + 1)))
        switch random.next(below: 30) {
        case 0..<9:
            return .enqueue(Int(random.oneIn(3) ? 1 + random.next(below: 40) : 1), length: Int(random.next(below: 2)))
        case 9..<12:
            consumers[id, default: 0] += random.oneIn(6) ? 0 : 1
            let options = ConsumerOptions(
                prefetch: random.oneIn(4) ? 0 : UInt32(1 + random.next(below: 20)), exclusive: random.oneIn(12),
                priority: random.oneIn(5) ? 1 : 0, tag: "c")
            return .attach(consumer: max(1, consumers[id, default: 0]), options)
        case 12: return .detach(consumer: consumer)
        case 13: return .setPrefetch(consumer: consumer, UInt32(random.next(below: 30)))
        case 14..<20: return .settle(consumer: random.oneIn(6) ? 0 : consumer, numberRange())
        case 20..<24:
            return .return(consumer: random.oneIn(6) ? 0 : consumer, numberRange(), counted: random.oneIn(2))
        case 24: return .discard(consumer: random.oneIn(6) ? 0 : consumer, numberRange())
        case 25..<28: return .get(autoAck: random.oneIn(2))
        case 28: return random.oneIn(3) ? .purge : .get(autoAck: false)
        default: return random.oneIn(3) ? .close : .enqueue(2)
        }
    }

    private mutating func leaders() -> Command {
        let node = Int(random.next(below: 3))
        let id = NodeID(UInt16(node + 1))
        switch random.next(below: 6) {
        case 0, 1: return .gatewayDown(id)
        case 2, 3: return .gatewayUp(id, Incarnation(incarnations[node]))
        case 4: return random.oneIn(3) ? .gatewayExpired(id) : .tick
        default:
            guard let session = sessions.last else { return .tick }
            return .detachUnknown(ConsumerID(session: session, number: UInt32(random.next(below: 4))))
        }
    }
}
