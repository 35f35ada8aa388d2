import Primitives
import QueueClient
import QuorumQueue
import Replication
import Topology

/// The clients of one process: production's queue clients, one per queue, and sessions that publish and consume.
final class SimulatedGateway {
    unowned let process: SimulatedProcess
    private var simulation: Simulation { process.simulation }
    /// Ascending by group.
    private var uses: [QueueUse] = []
    private var generation: UInt32 = 0
    private var nextSession: UInt64 = 1
    private var nextRequest: UInt64 = 1
    private var random: SeededRandom
    /// Requests for changes of the metadata under way.
    private var requests: Set<UInt64> = []
    private var ticks: UInt64 = 0

    init(_ process: SimulatedProcess, random: SeededRandom) {
        self.process = process
        self.random = random
    }

    func start() { scheduleOperation() }

    func crash() {
        for use in uses { for session in use.sessions { simulation.checker.ended(session) } }
        uses = []
    }

    var needsFlush: Bool { uses.contains { $0.isDirty } }
    /// Whether every publish was answered, and every request.
    var isSettled: Bool { requests.isEmpty && uses.allSatisfy(\.isSettled) }
    /// What is not settled, in words.
    var unsettled: String {
        let changes = requests.isEmpty ? [] : ["\(requests.count) changes of the metadata"]
        let waiting = uses.filter { !$0.isSettled }
            .map { "\($0.group) of \($0.client.leader?.description ?? "nobody")" }
        return (changes + waiting).joined(separator: ", ")
    }
    /// Deliveries that no client has answered yet.
    var isIdle: Bool {
        uses.allSatisfy { $0.sessions.allSatisfy { $0.consumers.allSatisfy { $0.unanswered.isEmpty } } }
    }

    // MARK: The shell around the queue clients

    private func use(of group: GroupID) -> QueueUse {
        let place = uses.firstIndex { $0.group >= group } ?? uses.count
        if place < uses.count && uses[place].group == group { return uses[place] }
        generation += 1
        let use = QueueUse(
            group,
            QueueClient(
                group: group, gateway: GatewayID(node: process.node, shard: 0),
                incarnation: process.shard.incarnation, generation: generation))
        let (leader, term) = process.shard.leader(of: group)
        use.client.leaderChanged(to: leader, term: term)
        uses.insert(use, at: place)
        return use
    }

    func leaderChanged(_ group: GroupID, to leader: NodeID?, term: Term) {
        guard let use = uses.first(where: { $0.group == group }) else { return }
        use.client.leaderChanged(to: leader, term: term)
        use.isDirty = true
    }

    func linkReset(_ node: NodeID) {
        for use in uses {
            use.client.linkReset(node)
            askAnother(use)
            use.isDirty = true
        }
    }

    func nodeUp(_ node: NodeID) {
        for use in uses {
            use.client.nodeUp(node)
            askAnother(use)
            use.isDirty = true
        }
    }

    /// As `BrokerLoop` does it.
    private func askAnother(_ use: QueueUse) {
        guard use.client.mustAskAnother(isUp: process.shard.isUp) else { return }
        let (member, term) = process.shard.leader(of: use.group)
        if term == .zero, let member { use.client.turn(to: member) }
    }

    func flush() {
        for use in uses where use.isDirty {
            use.isDirty = false
            guard let leader = use.client.leader else { continue }
            let room = process.shard.commandRoom(to: leader)
            var messages: [(NodeID, ClientMessage)] = []
            let isPatient = !use.areSettlementsDue
            use.client.flush(room: room ?? 0, isPatient: isPatient, into: &messages)
            use.areSettlementsDue = false
            for (node, message) in messages { process.send(message, group: use.group, to: node) }
            guard use.client.needsFlush else { continue }
            if isPatient && use.client.defersSettlements {
                deferSettlements(of: use)
            } else if room == nil {
                use.isHeldUp = true
            } else {
                use.isDirty = true
            }
        }
    }

    private func deferSettlements(of use: QueueUse) {
        guard !use.isDeferring else { return }
        use.isDeferring = true
        process.loop(after: QueueClient.settlementDelay) { [unowned self] in
            use.isDeferring = false
            guard use.client.defersSettlements else { return }
            use.areSettlementsDue = true
            touch(use)
        }
    }

    func linkDrained() {
        for use in uses where use.isHeldUp {
            use.isHeldUp = false
            use.isDirty = true
        }
    }

    func tick() {
        ticks += 1
        for use in uses {
            if use.client.needsTick {
                use.client.tick(now: process.now)
                askAnother(use)
                use.isDirty = true
            }
        }
        uses.removeAll { $0.client.isIdle || $0.client.isGone }
        if ticks % 5 == 1 { declareQueues() }
    }

    func received(_ message: LeaderMessage, group: GroupID, from node: NodeID) {
        guard let use = uses.first(where: { $0.group == group }) else { return }
        var events: [QueueClientEvent] = []
        use.client.receive(message, from: node, into: &events)
        for event in events { handle(event, use) }
        use.isDirty = true
    }

    // MARK: Metadata

    /// Declares what is missing; the last queue only in the middle of the run.
    private func declareQueues() {
        guard process.shard.topology.isBootstrapped, requests.isEmpty else { return }
        let members = [process.node] + process.peers
        for number in 1...simulation.plan.queues {
            let name = "q\(number)"
            guard process.shard.topology.queue(name, vhost: "/") == nil else { continue }
            if number == simulation.plan.queues && number > 1 && !simulation.isHalfway { continue }
            declare(name, among: members)
        }
        guard simulation.hasFaults, random.oneIn(20) else { return }
        // A queue that comes and goes: its group is created and removed again and again.
        if let record = process.shard.topology.queue("passing", vhost: "/") {
            requests.insert(process.propose(.deleteQueue(vhost: "/", name: "passing", expected: record.id)))
        } else {
            declare("passing", among: members)
        }
        simulation.countOperation()
    }

    private func declare(_ name: String, among nodes: [NodeID]) {
        let plan = simulation.plan
        var members = nodes
        if plan.hasSmallGroups && (!plan.hasLargeGroups || random.oneIn(2)) {
            while members.count > 3 { members.remove(at: Int(random.next(below: UInt64(members.count)))) }
        }
        let leader = members[Int(random.next(below: UInt64(members.count)))]
        members.sort()
        let declaration = QueueDeclaration(
            vhost: "/", name: name, durable: true, autoDelete: false,
            placement: .quorum(members: members, preferredLeader: leader))
        requests.insert(process.propose(.declareQueue(declaration)))
        simulation.countOperation()
    }

    func topologyAnswered(_ counter: UInt64) { requests.remove(counter) }

    // MARK: Load

    private func scheduleOperation() {
        let mean = simulation.plan.operation.nanoseconds
        process.loop(after: Interval(nanoseconds: mean / 4 + random.next(below: mean * 3 / 2))) { [unowned self] in
            if simulation.isDraining {
                drain()
            } else {
                for _ in 0...random.next(below: simulation.plan.burst) { operate() }
            }
            scheduleOperation()
        }
    }

    private func operate() {
        let queues = process.shard.topology.queues(vhost: "/").filter { $0.name != "passing" }
        guard !queues.isEmpty, let group = queues[Int(random.next(below: UInt64(queues.count)))].group else { return }
        let use = use(of: group)
        simulation.countOperation()
        if use.sessions.count < 3 {
            open(use)
        } else {
            operate(use, use.sessions[Int(random.next(below: UInt64(use.sessions.count)))])
        }
        touch(use)
    }

    private func touch(_ use: QueueUse) {
        use.isDirty = true
        process.setNeedsFlush()
    }

    private func open(_ use: QueueUse) {
        let number = nextSession
        nextSession += 1
        let session = ClientSession(
            use, id: use.client.openSession(number: number), publisher: simulation.checker.newPublisher(of: use.group))
        use.sessions.append(session)
    }

    private func readCounts(_ use: QueueUse) {
        let request = nextRequest
        nextRequest += 1
        use.statuses[request] = simulation.checker.applied(of: use.group)
        use.client.status(requestID: request)
    }

    private func operate(_ use: QueueUse, _ session: ClientSession) {
        guard random.next(below: 1_000) >= simulation.plan.reads else { return readCounts(use) }
        switch random.next(below: 1_000) {
        case 0..<600: publish(use, session)
        case 600..<700:
            if session.consumers.count(where: { $0.number != 0 && !$0.isDetached }) < 2 {
                attach(use, session)
            } else {
                publish(use, session)
            }
        case 700..<760:
            let autoAck = random.oneIn(2)
            session.consumer(0).isAutoAck = autoAck
            use.client.get(session.id, autoAck: autoAck)
        case 760..<775:
            guard let consumer = session.consumers.last(where: { $0.number != 0 && !$0.isDetached }) else { return }
            consumer.isDetached = true
            use.client.detach(session.id, consumer: consumer.number)
        case 775..<790:
            guard let consumer = session.consumers.last(where: { $0.number != 0 && !$0.isDetached }) else { return }
            let prefetch = UInt32(1 + random.next(below: 30))
            consumer.prefetch = max(consumer.prefetch, prefetch)
            use.client.setPrefetch(session.id, consumer: consumer.number, prefetch)
        case 790..<800:
            use.client.closeSession(session.id)
            end(session)
        case 800..<802: use.client.purge(session.id)
        default: publish(use, session)
        }
    }

    private func publish(_ use: QueueUse, _ session: ClientSession) {
        guard !use.client.isBlocked, session.outstanding.count < 64 else { return }
        for place in 0..<1 + random.next(below: 3) {
            if place > 0 { simulation.countOperation() }
            let stamp = simulation.checker.newMessage(session.publisher)
            let limit = random.oneIn(8) ? simulation.plan.largestPadding : 64
            let length = MessageStamp.size + Int(random.next(below: limit))
            let sequence = use.client.publish(session.id, length: length) { stamp.write(to: $0) }
            guard sequence != 0 else { return simulation.fail("sessions", "an open session took no publish") }
            session.outstanding.append((sequence, stamp.message))
        }
    }

    private func attach(_ use: QueueUse, _ session: ClientSession) {
        let consumer = ClientConsumer(session.nextConsumer)
        session.nextConsumer += 1
        consumer.prefetch = UInt32(1 + random.next(below: 20))
        session.consumers.append(consumer)
        use.client.attach(
            session.id, consumer: consumer.number,
            options: ConsumerOptions(
                prefetch: consumer.prefetch, priority: random.oneIn(8) ? 1 : 0, tag: "c\(consumer.number)"))
    }

    /// The final phase: every queue gets a consumer here that takes all there is.
    private func drain() {
        for record in process.shard.topology.queues(vhost: "/") where record.name != "passing" {
            guard let group = record.group else { continue }
            let use = use(of: group)
            if use.sessions.isEmpty { open(use) }
            guard let session = use.sessions.first,
                !session.consumers.contains(where: { $0.number != 0 && !$0.isDetached })
            else { continue }
            attach(use, session)
            touch(use)
        }
    }

    private func end(_ session: ClientSession) {
        simulation.checker.ended(session)
        session.use.sessions.removeAll { $0 === session }
        session.isOpen = false
    }

    // MARK: Events

    private func handle(_ event: QueueClientEvent, _ use: QueueUse) {
        switch event {
        case .applied(let id, let through):
            guard let session = use.session(id) else { return }
            while let first = session.outstanding.first, first.sequence <= through {
                session.outstanding.removeFirst()
                simulation.checker.confirmed(first.message, of: use.group)
            }
        case .outcome(let id, _, let outcome):
            if case .consumerRefused(let reason) = outcome {
                simulation.fail("outcomes", "a consumer of \(id) was refused: \(reason)")
            }
        case .delivered(let id, let consumer, let first, let count, let redelivered, let bodies):
            delivered(use, id, consumer, first, count, redelivered, bodies)
        case .sessionLost(let id, let loss):
            simulation.trace.tell("\(process.node) lost session \(id): \(loss)")
            guard let session = use.session(id) else { return }
            end(session)
        case .status(let request, let ready, let held, _):
            guard let since = use.statuses.removeValue(forKey: request) else {
                return simulation.fail("status", "an answer to a request that was not made")
            }
            simulation.checker.read(use.group, since: since, ready: ready, held: held)
        case .queueGone:
            simulation.fail("queue deletion", "\(use.group) is gone and was never deleted")
        }
    }

    private func delivered(
        _ use: QueueUse, _ id: SessionID, _ number: UInt32, _ first: UInt64, _ count: UInt32, _ redelivered: Bool,
        _ bodies: MessageBodies
    ) {
        guard let session = use.session(id) else { return }
        let consumer = session.consumer(number)
        for place in 0..<bodies.count {
            simulation.checker.delivered(
                use.group, session, consumer, number: first + UInt64(place), count: count, redelivered: redelivered,
                body: bodies[place])
            consumer.unanswered.insert(first + UInt64(place))
        }
        let numbers = first...first + UInt64(bodies.count) - 1
        if number != 0 && consumer.unanswered.count > Int(consumer.prefetch) {
            simulation.fail("credit", "\(id)/c\(number) holds \(consumer.unanswered.count), may \(consumer.prefetch)")
        }
        if number == 0 && consumer.isAutoAck {
            answer(session, consumer, numbers, .settle)
        } else {
            switch random.next(below: 3) {
            case 0: answerLater(session, consumer, [numbers])
            case 1: answerLater(session, consumer, numbers.map { $0...$0 })
            default: for one in numbers { answerLater(session, consumer, [one...one]) }
            }
        }
    }

    private enum Answer { case settle, giveBack(counted: Bool), discard }

    private func answerLater(_ session: ClientSession, _ consumer: ClientConsumer, _ ranges: [ClosedRange<UInt64>]) {
        var wait = random.next(below: random.oneIn(20) ? 1_500_000_000 : 30_000_000)
        if simulation.isDraining { wait /= 16 }
        let choices = ranges.map { _ in random.next(below: 100) }
        process.loop(after: Interval(nanoseconds: wait)) { [unowned self] in
            for (numbers, choice) in zip(ranges, choices) {
                let answer: Answer =
                    switch choice {
                    case 0..<6 where !simulation.isDraining: .giveBack(counted: true)
                    case 6..<9 where !simulation.isDraining: .giveBack(counted: false)
                    case 9..<11: .discard
                    default: .settle
                    }
                self.answer(session, consumer, numbers, answer)
            }
        }
    }

    private func answer(
        _ session: ClientSession, _ consumer: ClientConsumer, _ numbers: ClosedRange<UInt64>, _ answer: Answer
    ) {
        guard session.isOpen else { return }
        for number in numbers { consumer.unanswered.remove(number) }
        simulation.countOperation()
        switch answer {
        case .settle: session.use.client.settle(session.id, consumer: consumer.number, numbers)
        case .giveBack(let counted):
            session.use.client.return(session.id, consumer: consumer.number, numbers, counted: counted)
        case .discard: session.use.client.discard(session.id, consumer: consumer.number, numbers)
        }
        touch(session.use)
    }
}
