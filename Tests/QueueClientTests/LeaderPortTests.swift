import Primitives
import QueueClient
import QuorumQueue
import Testing

/// A leader of one queue whose every batch is committed at once.
private final class Host {
    var port = LeaderPort()
    var machine = QueueMachine()
    var log: [Entry] = []
    /// Bodies that are to be read first.
    var isCold = false
    var isBackedUp = false
    var byteLimit = Int.max
    private var source = Source()

    private struct Source: MessageBodySource {
        var log: [Entry] = []
        var isCold = false
        /// Entries that were given up.
        var gone: Set<LogIndex> = []
        mutating func bodies(of delivery: Delivery) -> MessageBodies? {
            let entry = log[Int(delivery.index.rawValue) - 1]
            guard !isCold && !gone.contains(delivery.index) else { return nil }
            return MessageBodies(delivery.ordinals, of: MessageTable(entry), in: entry.bodies)
        }
        func isGone(_ delivery: Delivery) -> Bool { gone.contains(delivery.index) }
        mutating func prefetch(_ delivery: Delivery) {}
    }

    func receive(_ message: ClientMessage) -> [String] {
        var out: [(GatewayID, LeaderMessage)] = []
        var words: [String] = []
        if case .propose(let batch) = port.receive(message, machine: machine, into: &out) {
            words.append("propose " + describe(batch))
            commit(batch)
        }
        return out.map { describe($0.1) } + words
    }

    func commit(_ batch: CommandBatch) {
        let entry = batch.headers.withUnsafeBytes { headers in
            batch.bodies.withUnsafeBytes { bodies in
                Entry(
                    kind: .commands, group: group, index: LogIndex(UInt64(log.count + 1)), term: Term(1),
                    timestamp: .zero, headers: headers, bodies: bodies)
            }
        }
        log.append(entry)
        var effects: [QueueEffect] = []
        machine.apply(entry, into: &effects)
        port.perform(effects)
    }

    var gone: Set<LogIndex> = []

    func flush() -> [String] {
        var out: [(GatewayID, LeaderMessage)] = []
        source.log = log
        source.isCold = isCold
        source.gone = gone
        port.flush(from: &source, isBackedUp: { _ in isBackedUp }, byteLimit: byteLimit, into: &out)
        return out.map { describe($0.1) }
    }

    func ownCommands() -> String {
        var encoder = CommandEncoder()
        port.ownCommands(machine: machine, into: &encoder)
        guard !encoder.isEmpty else { return "" }
        let batch = encoder.take()
        commit(batch)
        return describe(batch)
    }
}

private func describe(_ message: LeaderMessage) -> String {
    switch message {
    case .notLeader(let epoch, let term, let hint): return "notLeader \(epoch) \(term) \(hint.map { "\($0)" } ?? "-")"
    case .resumeNeeded(let epoch): return "resumeNeeded \(epoch)"
    case .resumed(let reply):
        func list(_ sessions: [SessionProgress]) -> String {
            sessions.map { "s\($0.number)@\($0.lastApplied.map { "\($0)" } ?? "-")" }.joined(separator: " ")
        }
        return "resumed \(reply.epoch) b\(reply.acceptedThrough) [\(list(reply.sessions))] [\(list(reply.unlisted))]"
    case .events(let stretch):
        return "#\(stretch.number) " + stretch.events.map(describe).joined(separator: ", ")
    case .status(let requestID, let ready, let unacknowledged, let consumers):
        return "status \(requestID): \(ready) \(unacknowledged) \(consumers)"
    case .groupGone: return "gone"
    }
}

private func describe(_ event: LeaderEvent) -> String {
    switch event {
    case .applied(let session, let through): "s\(session) applied \(through)"
    case .outcome(let session, let sequence, let outcome): "s\(session) \(sequence) \(outcome)"
    case .refused(let session, let reason): "s\(session) refused \(reason)"
    case .outOfSequence(let session, let expected): "s\(session) expects \(expected)"
    case .sessionClosed(let session): "s\(session) closed"
    case .deliver(let session, let consumer, let first, _, let redelivered, let bodies):
        "s\(session) c\(consumer) \(first): " + bodies.map { String(decoding: $0) }.joined(separator: " ")
            + (redelivered ? " again" : "")
    }
}

private func resume(_ epoch: UInt64, _ sessions: ResumedSession...) -> ClientMessage {
    .resume(ResumeRequest(gateway: gateway, incarnation: Incarnation(1), epoch: epoch, sessions: sessions))
}

private func session(_ number: UInt64, _ answered: UInt64, _ last: UInt64, received: UInt64...) -> ResumedSession {
    ResumedSession(
        number: number, answered: answered, lastSequence: last,
        consumers: received.enumerated().map { ResumedConsumer(number: UInt32($0.offset), received: $0.element) })
}

private func commands(
    _ epoch: UInt64, _ number: UInt64, batch: UInt64, session: UInt64 = 5, at sequence: UInt64,
    _ body: (inout CommandEncoder) -> Void
) -> ClientMessage {
    var encoder = CommandEncoder()
    let id = SessionID(gateway: gateway, incarnation: Incarnation(1), number: session)
    encoder.session(id, firstSequence: sequence, lowWater: 0)
    body(&encoder)
    return .commands(
        CommandMessage(gateway: gateway, epoch: epoch, number: number, batchID: batch, batch: encoder.take()))
}

extension CommandEncoder {
    fileprivate mutating func enqueue(_ body: String) {
        enqueue(length: body.utf8.count) { $0.copyBytes(from: body.utf8) }
    }
}

@Suite struct LeaderPortTests {
    /// Leading and caught up, session 5 open under epoch 1.
    private func leading() -> Host {
        let host = Host()
        host.port.lead(term: Term(1))
        host.port.caughtUp(machine: host.machine)
        _ = host.receive(resume(1, session(5, 0, 1)))
        _ = host.receive(commands(1, 1, batch: 1, at: 1) { $0.open() })
        _ = host.flush()
        return host
    }

    @Test func attachesTakesBatchesAndAnswers() {
        let host = Host()
        host.port.lead(term: Term(1))
        host.port.caughtUp(machine: host.machine)
        #expect(host.receive(resume(1, session(5, 0, 2))) == [])
        let batch = commands(1, 1, batch: 1, at: 1) {
            $0.open()
            $0.enqueue("a")
        }
        #expect(host.receive(batch) == ["propose s5@1 open enqueue×1"])
        #expect(host.flush() == ["resumed 1 b0 [s5@-] []", "#1 s5 applied 2"])
        #expect(host.flush() == [])
        #expect(!host.port.needsFlush)
    }

    @Test func aBatchIsTakenOnceATermAndOnlyInTurn() {
        let host = leading()
        let second = commands(1, 2, batch: 2, at: 2) { $0.enqueue("a") }
        #expect(host.receive(second) == ["propose s5@2 enqueue×1"])
        #expect(host.receive(second) == [])
        #expect(host.receive(commands(1, 4, batch: 4, at: 4) { $0.enqueue("c") }) == ["resumeNeeded 1"])
        // The lost one comes too late: what follows it would be missing.
        #expect(host.receive(commands(1, 3, batch: 3, at: 3) { $0.enqueue("b") }) == ["resumeNeeded 1"])
        #expect(host.flush() == [])
        #expect(host.receive(resume(2, session(5, 1, 4))) == [])
        #expect(host.receive(commands(2, 1, batch: 2, at: 2) { $0.enqueue("a") }) == [])
        #expect(host.receive(commands(2, 2, batch: 3, at: 3) { $0.enqueue("b") }) == ["propose s5@3 enqueue×1"])
        #expect(host.receive(commands(1, 5, batch: 5, at: 5) { $0.enqueue("d") }) == [])
        #expect(host.flush() == ["resumed 2 b2 [s5@2] []", "#1 s5 applied 2, s5 applied 3"])
        #expect(host.machine.messagesReady == 2)
    }

    @Test func strangersAndOlderEpochsHaveNoEffect() {
        let host = leading()
        let stranger = GatewayID(node: NodeID(3), shard: 0)
        let message = CommandMessage(
            gateway: stranger, epoch: 9, number: 1, batchID: 1,
            batch: CommandBatch(headers: Bytes(), bodies: Bytes(), commandCount: 0))
        #expect(host.receive(.commands(message)) == ["resumeNeeded 9"])
        #expect(host.receive(resume(1, session(5, 0, 1))) == [])
        #expect(host.flush() == [])
        #expect(host.receive(resume(3, session(5, 1, 1))) == [])
        #expect(host.receive(resume(2)) == [])
        #expect(host.flush() == ["resumed 3 b1 [s5@1] []"])
    }

    @Test func theAnswerWaitsForTheMachineToCatchUp() {
        let host = leading()
        host.port.lead(term: Term(2))
        #expect(host.receive(resume(2, session(5, 1, 2))) == [])
        #expect(host.receive(.status(gateway: gateway, requestID: 3)) == [])
        #expect(host.receive(commands(2, 1, batch: 2, at: 2) { $0.enqueue("a") }) == ["propose s5@2 enqueue×1"])
        #expect(host.flush() == [])
        host.port.caughtUp(machine: host.machine)
        #expect(host.flush() == ["status 3: 1 0 0", "resumed 2 b2 [s5@2] []", "#1 s5 applied 2"])
    }

    @Test func aResumeBringsOutcomesDeliveriesAndForgottenSessions() {
        let host = leading()
        let batch = commands(1, 2, batch: 2, at: 2) {
            $0.enqueue("a")
            $0.get(autoAck: false)
            $0.attach(consumer: 1, options: ConsumerOptions())
            for body in ["b", "c", "d"] { $0.enqueue(body) }
        }
        #expect(host.receive(batch).count == 1)
        _ = host.receive(commands(1, 3, batch: 3, session: 8, at: 1) { $0.open() })
        host.port.linkReset(gateway.node)
        #expect(host.flush() == [])
        #expect(host.receive(resume(2, session(5, 1, 7, received: 0, 1))) == [])
        #expect(
            host.flush() == [
                "resumed 2 b3 [s5@7] [s8@1]",
                "#1 s5 3 got(number: 1, remaining: 0), s5 c0 1: a, s5 c1 2: c d, s5 applied 7",
            ])
    }

    @Test func progressWaitsForItsSessionsDeliveries() {
        let host = leading()
        _ = host.receive(commands(1, 2, batch: 2, session: 8, at: 1) { $0.open() })
        _ = host.receive(commands(1, 3, batch: 3, at: 2) { $0.attach(consumer: 1, options: ConsumerOptions()) })
        #expect(host.flush() == ["#2 s8 applied 1, s5 applied 2"])
        host.isCold = true
        _ = host.receive(commands(1, 4, batch: 4, session: 8, at: 2) { $0.enqueue("a") })
        _ = host.receive(commands(1, 5, batch: 5, at: 3) { $0.detach(consumer: 1) })
        #expect(host.flush() == ["#3 s8 applied 2"])
        _ = host.receive(commands(1, 6, batch: 6, session: 8, at: 3) { $0.purge() })
        #expect(host.flush() == ["#4 s8 3 purged(0), s8 applied 3"])
        host.isCold = false
        #expect(host.flush() == ["#5 s5 c1 1: a, s5 applied 3"])
    }

    /// Its session was closed while it waited for the link or the disk, another consumer settled the message, and a
    /// snapshot gave the entry up.
    @Test func aDeliveryWhoseBodyIsGoneHoldsNothingUp() {
        let host = leading()
        _ = host.receive(commands(1, 2, batch: 2, session: 8, at: 1) { $0.open() })
        _ = host.receive(commands(1, 3, batch: 3, at: 2) { $0.attach(consumer: 1, options: ConsumerOptions()) })
        _ = host.flush()
        host.isCold = true
        _ = host.receive(commands(1, 4, batch: 4, session: 8, at: 2) { $0.enqueue("a") })
        _ = host.flush()
        host.gone = [LogIndex(UInt64(host.log.count))]
        host.isCold = false
        _ = host.receive(commands(1, 5, batch: 5, session: 8, at: 3) { $0.enqueue("b") })
        #expect(host.flush() == ["#4 s5 c1 2: b, s8 applied 3"])
    }

    @Test func deliveriesWaitForAFullLinkAndAnswersDoNot() {
        let host = leading()
        _ = host.receive(commands(1, 2, batch: 2, at: 2) { $0.attach(consumer: 1, options: ConsumerOptions()) })
        _ = host.receive(commands(1, 3, batch: 3, session: 8, at: 1) { $0.open() })
        _ = host.flush()
        host.isBackedUp = true
        for sequence in 2...4 as ClosedRange<UInt64> {
            let batch = sequence + 2
            _ = host.receive(commands(1, batch, batch: batch, session: 8, at: sequence) { $0.enqueue("\(sequence)") })
        }
        #expect(host.flush() == ["#3 s8 applied 2, s8 applied 3, s8 applied 4"])
        #expect(host.port.needsFlush)
        host.isBackedUp = false
        #expect(host.flush() == ["#4 s5 c1 1: 2, s5 c1 2: 3, s5 c1 3: 4"])
    }

    @Test func aFlushSendsSoManyBytesAndLeavesTheRestForTheNext() {
        let host = leading()
        _ = host.receive(commands(1, 2, batch: 2, at: 2) { $0.attach(consumer: 1, options: ConsumerOptions()) })
        _ = host.receive(commands(1, 3, batch: 3, session: 8, at: 1) { $0.open() })
        _ = host.flush()
        for sequence in 2...6 as ClosedRange<UInt64> {
            let batch = sequence + 2
            _ = host.receive(commands(1, batch, batch: batch, session: 8, at: sequence) { $0.enqueue("\(sequence)x") })
        }
        host.byteLimit = 3
        #expect(
            host.flush() == [
                "#3 s5 c1 1: 2x, s5 c1 2: 3x, s8 applied 2, s8 applied 3, s8 applied 4, s8 applied 5, s8 applied 6"
            ])
        #expect(host.port.isPostponed)
        #expect(host.flush() == ["#4 s5 c1 3: 4x, s5 c1 4: 5x"])
        #expect(host.port.isPostponed)
        #expect(host.flush() == ["#5 s5 c1 5: 6x"])
        #expect(!host.port.isPostponed && !host.port.needsFlush)
    }

    @Test func aSuspendedNodeThatResumesIsRaisedOnce() {
        let host = leading()
        var down = CommandEncoder()
        down.gatewayDown(gateway.node)
        host.port.linkReset(gateway.node)
        host.commit(down.take())
        #expect(host.ownCommands() == "")
        _ = host.receive(resume(2, session(5, 1, 1)))
        #expect(host.machine.suspendedNodes == [gateway.node])
        #expect(host.ownCommands() == "up n1 inc1")
        #expect(host.machine.suspendedNodes == [])
        _ = host.receive(resume(3, session(5, 1, 1)))
        #expect(host.ownCommands() == "")
        // A new leader learns of it from the machine, once it has caught up.
        down.gatewayDown(gateway.node)
        host.commit(down.take())
        host.port.lead(term: Term(2))
        _ = host.receive(resume(4, session(5, 1, 1)))
        #expect(host.ownCommands() == "")
        host.port.caughtUp(machine: host.machine)
        #expect(host.ownCommands() == "up n1 inc1")
    }

    @Test func aSuspensionStillOnItsWayIsOvertakenByNothing() {
        let host = leading()
        host.port.linkReset(gateway.node)
        // The gatewayDown is proposed here, and not applied when the gateway resumes: the gatewayUp must follow it.
        _ = host.receive(resume(2, session(5, 1, 1)))
        #expect(host.machine.suspendedNodes == [])
        #expect(host.ownCommands() == "up n1 inc1")
        #expect(host.ownCommands() == "")
    }

    @Test func whoStepsDownTellsThoseWhoAreAttached() {
        let host = leading()
        var out: [(GatewayID, LeaderMessage)] = []
        host.port.stepDown(term: Term(4), hint: NodeID(3), into: &out)
        #expect(out.map { describe($0.1) } == ["notLeader 1 t4 n3"])
        #expect(host.receive(resume(2, session(5, 1, 1))) == ["notLeader 2 t0 -"])
        out.removeAll()
        LeaderPort.disown(.status(gateway: gateway, requestID: 1), term: Term(4), hint: NodeID(3), into: &out)
        #expect(out.map { describe($0.1) } == ["notLeader 0 t4 n3"])
    }

    @Test func aNodeThatIsBackIsAskedToResume() {
        let host = leading()
        var out: [(GatewayID, LeaderMessage)] = []
        host.port.nodeUp(gateway.node, into: &out)
        #expect(out.isEmpty)
        host.port.linkReset(gateway.node)
        host.port.nodeUp(gateway.node, into: &out)
        #expect(out.map { describe($0.1) } == ["resumeNeeded 1"])
    }
}
