import Primitives
import QuorumQueue
import Testing

/// An entry of a queue's log with these commands; the bodies of enqueues are filled with their ordinal.
func entry(_ index: UInt64, _ commands: [Command]) -> Entry {
    var encoder = CommandEncoder()
    for command in commands { encoder.add(command) }
    return entry(index, encoder.take())
}

func entry(_ index: UInt64, _ batch: CommandBatch) -> Entry {
    batch.headers.withUnsafeBytes { headers in
        batch.bodies.withUnsafeBytes { bodies in
            Entry(
                kind: .commands, group: GroupID(7), index: LogIndex(index), term: Term(1),
                timestamp: WallTime(milliseconds: index), headers: headers, bodies: bodies)
        }
    }
}

extension CommandEncoder {
    mutating func add(_ command: Command) {
        switch command {
        case .session(let id, let first, let lowWater): session(id, firstSequence: first, lowWater: lowWater)
        case .open: open()
        case .close: close()
        case .enqueue(let run):
            for _ in 0..<run.count {
                let ordinal = UInt8(truncatingIfNeeded: commandCount)
                enqueue(priority: run.priority, expiration: run.expiration, length: run.length) { body in
                    for at in body.indices { body[at] = ordinal }
                }
            }
        case .attach(let consumer, let options): attach(consumer: consumer, options: options)
        case .detach(let consumer): detach(consumer: consumer)
        case .setPrefetch(let consumer, let prefetch): setPrefetch(consumer: consumer, prefetch)
        case .settle(let consumer, let numbers): settle(consumer: consumer, numbers)
        case .return(let consumer, let numbers, let counted): self.return(consumer: consumer, numbers, counted: counted)
        case .discard(let consumer, let numbers): discard(consumer: consumer, numbers)
        case .get(let autoAck): get(autoAck: autoAck)
        case .purge: purge()
        case .gatewayDown(let node): gatewayDown(node)
        case .gatewayUp(let node, let incarnation): gatewayUp(node, incarnation)
        case .gatewayExpired(let node): gatewayExpired(node)
        case .detachUnknown(let consumer): detachUnknown(consumer)
        case .tick: tick()
        }
    }
}

extension Command {
    static func enqueue(_ count: Int, length: Int = 3) -> Command {
        .enqueue(EnqueueRun(count: count, length: length, checksumsOffset: 0))
    }
    static func session(_ id: SessionID, _ first: UInt64) -> Command { .session(id, firstSequence: first, lowWater: 0) }
}

func session(_ number: UInt64, node: UInt16 = 1, shard: UInt16 = 0, incarnation: UInt32 = 1) -> SessionID {
    SessionID(
        gateway: GatewayID(node: NodeID(node), shard: shard), incarnation: Incarnation(incarnation), number: number)
}

/// A queue spoken to in dialogue: each call is one entry and returns its effects.
struct Dialogue {
    var machine: QueueMachine
    var index: UInt64 = 0

    init(settings: QueueSettings = QueueSettings()) { machine = QueueMachine(settings: settings) }

    mutating func say(_ commands: Command...) -> [QueueEffect] {
        index += 1
        var effects: [QueueEffect] = []
        machine.apply(entry(index, commands), into: &effects)
        return effects
    }

    /// The delivery of messages `ordinals` of entry `index`.
    static func delivery(
        _ consumer: ConsumerID, _ number: UInt64, index: UInt64, _ ordinals: ClosedRange<UInt16>,
        returned deliveryCount: UInt32? = nil
    ) -> QueueEffect {
        .deliver(
            Delivery(
                consumer: consumer, firstNumber: number, index: LogIndex(index), firstOrdinal: ordinals.lowerBound,
                count: UInt16(ordinals.count), deliveryCount: deliveryCount ?? 0, redelivered: deliveryCount != nil))
    }
}
