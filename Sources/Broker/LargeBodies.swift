import Primitives

/// Bounds the memory that large messages take between the clients' sockets and the queues: a connection that begins one
/// is not read any further while those that are being received, and everything published and not answered, leave no
/// room for it.
///
/// One that finds no more than half of the limit in use has room, whatever its size, and none waits for ever: a client
/// that stops in the middle of a message must not hold up the others.
struct LargeBodies {
    /// Bodies of this size and more wait for room; smaller ones are bounded by what their connections are read for.
    static let least = 256 << 10
    /// How long a body waits for room at most.
    static let patience = Interval.seconds(30)
    /// The share of the memory limit, and its bounds.
    private static let share: UInt64 = 8
    private static let bounds: ClosedRange<UInt64> = (16 << 20)...(256 << 20)

    /// Bytes for bodies being received and for commands without an answer.
    let limit: Int
    /// Announced sizes of the bodies being received.
    private(set) var receiving = 0
    /// Bytes of commands that no queue has answered.
    var unanswered = 0
    /// Channels with a body that waits for room, in order.
    private var waiters = Ring<(channel: ClientChannel, since: Instant)>()

    /// - Parameter memory: the node's memory limit, in bytes.
    init(memory: UInt64) {
        let share = memory / LargeBodies.share
        limit = Int(min(max(share, LargeBodies.bounds.lowerBound), LargeBodies.bounds.upperBound))
    }

    private func hasRoom(for size: Int) -> Bool {
        let used = receiving + unanswered
        return used <= limit / 2 || used + size <= limit
    }

    /// Takes `size` bytes, if nobody waits for room and there is some.
    mutating func admit(_ size: Int) -> Bool {
        guard waiters.isEmpty && hasRoom(for: size) else { return false }
        receiving += size
        return true
    }

    /// Takes `size` bytes in any case.
    mutating func force(_ size: Int) { receiving += size }

    mutating func wait(_ channel: ClientChannel, since now: Instant) { waiters.append((channel, now)) }

    /// Gives `size` bytes back.
    mutating func release(_ size: Int) { receiving -= size }

    /// The next channel whose body has room, or has waited long enough; its bytes are taken.
    mutating func nextAdmitted(now: Instant) -> ClientChannel? {
        while let first = waiters.first {
            guard case .waiting(let size) = first.channel.room else {
                waiters.popFirst()
                continue
            }
            guard hasRoom(for: size) || now - first.since > LargeBodies.patience else { return nil }
            waiters.popFirst()
            receiving += size
            return first.channel
        }
        return nil
    }
}

/// Whether a channel's body under way has room.
enum BodyRoom {
    /// There is no large body under way.
    case none
    /// The connection is not read until there is room for this many bytes.
    case waiting(Int)
    case taken(Int)
}

extension ClientChannel {
    /// A body of `size` bytes begins.
    func takeRoom(_ size: Int) {
        guard size >= LargeBodies.least else { return }
        // Under an alarm not even the rest of the message is read.
        if let alarm = broker.alarm { connection.blockForAlarm(alarm) }
        if connection.bodiesWithRoom > 0 {
            // Whoever waits keeps the connection from being read, and the body that has room from being finished.
            broker.largeBodies.force(size)
        } else if !broker.largeBodies.admit(size) {
            room = .waiting(size)
            broker.largeBodies.wait(self, since: broker.now)
            connection.holdReading()
            return
        }
        room = .taken(size)
        connection.bodiesWithRoom += 1
    }

    /// There is room now.
    func roomTaken() {
        guard case .waiting(let size) = room else { return }
        room = .taken(size)
        connection.bodiesWithRoom += 1
        connection.releaseReading()
    }

    /// The body is complete, or will not be.
    func giveRoomBack() {
        switch room {
        case .none: return
        case .waiting: connection.releaseReading()
        case .taken(let size):
            connection.bodiesWithRoom -= 1
            broker.largeBodies.release(size)
        }
        room = .none
        broker.admitBodies()
    }
}

extension BrokerLoop {
    /// Goes on reading large bodies as far as there is room.
    func admitBodies() {
        while let channel = largeBodies.nextAdmitted(now: now) { channel.roomTaken() }
    }
}
