package import Primitives

/// All that a storm's clients observed, and the judgement on it: a pure record.
///
/// What is judged is the single send, known by its publisher connection and its place there. A message that a publisher
/// sends again, because its connection was lost before the confirm came, is another send, so the repetitions that this
/// explains are none here. A queue with manual acks keeps its promises when each confirmed send is delivered until it
/// is acked, none comes twice without saying so, first deliveries of one connection's sends come in order, and what was
/// acked for certain stays away.
package struct StormLedger: Sendable {
    /// A send of a publisher connection.
    package struct Send: Hashable, Sendable {
        package var connection: UInt32
        package var sequence: UInt64

        package init(connection: UInt32, sequence: UInt64) {
            self.connection = connection
            self.sequence = sequence
        }
    }

    private struct Connection: Sendable {
        let publisher: Int
        let queue: Int
        let opened: Instant
        var reconciliation = Reconciliation()
        /// Sends that a consumer acked.
        var acknowledged = BitSet()
        /// Those whose ack is certain.
        var settled = BitSet()
    }

    private static let maximumNotes = 20

    private let run: UInt32
    private let start: Instant
    private var connections: [Connection] = []
    private var gaps: [GapMeter]
    private var lastConfirms: [Instant?]

    /// Sends that are confirmed and not acked yet.
    package private(set) var owed: UInt64 = 0
    /// Deliveries of any kind.
    package private(set) var deliveries: UInt64 = 0
    /// Those with the redelivered flag.
    package private(set) var redeliveries: UInt64 = 0
    /// Sends that the broker refused.
    package private(set) var nacks: UInt64 = 0
    /// Deliveries of what had been acked for certain.
    package private(set) var undone: UInt64 = 0
    /// Bodies that nobody sent so.
    package private(set) var corrupt: UInt64 = 0
    /// Messages of another run or queue.
    package private(set) var foreign: UInt64 = 0
    /// The first violations, one line each.
    package private(set) var notes: [String] = []

    /// A storm on so many queues, whose messages carry the number `run`.
    package init(run: UInt32, queues: Int, start: Instant) {
        self.run = run
        self.start = start
        gaps = [GapMeter](repeating: GapMeter(), count: queues)
        lastConfirms = [Instant?](repeating: nil, count: queues)
    }

    // MARK: Publishers

    /// A publisher opened a connection; its number comes back.
    package mutating func open(publisher: Int, queue: Int, at now: Instant) -> UInt32 {
        connections.append(Connection(publisher: publisher, queue: queue, opened: now))
        return UInt32(connections.count - 1)
    }

    /// The connection's next send.
    package mutating func send(on connection: UInt32, at now: Instant) -> MessageStamp {
        let sequence = connections[Int(connection)].reconciliation.publishes.publish()
        return MessageStamp(run: run, publisher: connection, sequence: sequence, time: now)
    }

    /// The broker confirmed a send.
    package mutating func confirm(_ send: Send, at now: Instant) {
        let place = Int(send.connection)
        guard connections[place].reconciliation.publishes.confirm(send.sequence) else { return }
        gaps[connections[place].queue].event(at: now)
        lastConfirms[connections[place].queue] = now
        if !connections[place].acknowledged.contains(send.sequence) { owed += 1 }
    }

    /// The broker refused a send.
    package mutating func refuse(_ send: Send) { nacks += 1 }

    // MARK: Consumers

    /// A body arrived, with its stamp, nil when it is damaged. The send comes back that it is, if it is one.
    package mutating func deliver(
        _ stamp: MessageStamp?, queue: Int, consumer: Int, redelivered: Bool, at now: Instant
    ) -> Send? {
        deliveries += 1
        if redelivered { redeliveries += 1 }
        guard let stamp else {
            corrupt += 1
            note("a damaged body", at: now)
            return nil
        }
        let place = Int(stamp.publisher)
        guard stamp.run == run, place < connections.count, connections[place].queue == queue else {
            foreign += 1
            note("a message of another queue", at: now)
            return nil
        }
        let send = Send(connection: stamp.publisher, sequence: stamp.sequence)
        guard stamp.sequence < connections[place].reconciliation.publishes.count else {
            corrupt += 1
            note("never sent: \(name(send))", at: now)
            return nil
        }
        judge(send, consumer: consumer, redelivered: redelivered, at: now)
        return send
    }

    private mutating func judge(_ send: Send, consumer: Int, redelivered: Bool, at now: Instant) {
        let place = Int(send.connection)
        if connections[place].settled.contains(send.sequence) {
            undone += 1
            note("back after its ack\(redelivered ? "" : ", unflagged"): \(name(send))", at: now)
        }
        let before = connections[place].reconciliation.deliveries.late.count
        if !redelivered && connections[place].reconciliation.deliveries.unflaggedDeliveries(of: send.sequence) > 0 {
            note("delivered again, unflagged: \(name(send))", at: now)
        }
        _ = connections[place].reconciliation.deliveries.deliver(
            send.sequence, redelivered: redelivered, subscription: consumer)
        if connections[place].reconciliation.deliveries.late.count > before {
            note("behind a later one: \(name(send))", at: now)
        }
    }

    /// A consumer acked a send.
    package mutating func acknowledge(_ send: Send) {
        let place = Int(send.connection)
        guard connections[place].acknowledged.insert(send.sequence) else { return }
        if connections[place].reconciliation.publishes.confirmed.contains(send.sequence) { owed -= 1 }
    }

    /// The ack of a send was taken over for certain.
    package mutating func settle(_ send: Send) { _ = connections[Int(send.connection)].settled.insert(send.sequence) }

    // MARK: Judgement

    /// Ends a stretch of time and returns the longest time without a confirm in it, with its queue.
    ///
    /// - Parameter now: a time without a confirm that goes on counts until now, and again when it has ended; nil when
    ///   no more are due.
    package mutating func endRound(at now: Instant?) -> (queue: Int, gap: GapMeter.Gap) {
        var longest = (queue: 0, gap: GapMeter.Gap())
        for queue in gaps.indices {
            var gap = gaps[queue].endPhase()
            if let now, let last = lastConfirms[queue], now - last > gap.length {
                gap.length = now - last
                gap.began = last
            }
            if gap.length > longest.gap.length { longest = (queue, gap) }
        }
        return longest
    }

    /// Sends of all connections that were confirmed.
    package var confirmed: UInt64 { connections.reduce(0) { $0 + $1.reconciliation.publishes.confirmed.count } }

    /// The counts of all connections. Lost is also what was delivered, given back and not delivered again.
    package var integrity: Integrity {
        var sum = connections.reduce(Integrity()) { $0 + $1.reconciliation.integrity() }
        sum.lost = owed
        sum.corrupt += corrupt
        sum.foreign += foreign
        return sum
    }

    /// The first sends that are confirmed and not acked, one line each.
    package var lostNames: [String] {
        var names: [String] = []
        for (place, connection) in connections.enumerated() {
            let publishes = connection.reconciliation.publishes
            guard publishes.confirmed.count > 0 else { continue }
            for sequence in 0..<publishes.count where names.count < Self.maximumNotes {
                guard publishes.confirmed.contains(sequence), !connection.acknowledged.contains(sequence) else {
                    continue
                }
                let wasSeen = connection.reconciliation.deliveries.seen.contains(sequence)
                let send = Send(connection: UInt32(place), sequence: sequence)
                names.append("confirmed, \(wasSeen ? "given back" : "never delivered"): \(name(send))")
            }
        }
        return names
    }

    private func name(_ send: Send) -> String {
        let connection = connections[Int(send.connection)]
        return """
            send \(send.sequence) of connection \(send.connection) (publisher \(connection.publisher), opened at \
            \((connection.opened - start).inSeconds.fixed(1)) s) to queue \(connection.queue)
            """
    }

    private mutating func note(_ what: String, at now: Instant) {
        guard notes.count < Self.maximumNotes else { return }
        notes.append("\((now - start).inSeconds.fixed(2)) s: \(what)")
    }
}
