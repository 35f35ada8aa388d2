import AMQPClient
import NIOCore
import Primitives

/// One trial: a queue of its own, two clients, one fault.
final class FailoverTrial: @unchecked Sendable {
    private struct Leader {
        /// Counted from 1.
        let node: Int
        let process: Int32
    }

    private struct Clients: Sendable {
        let publisher: FailoverPublisher
        let consumer: FailoverConsumer
    }

    private static let connectTimeout: Int64 = 1_000
    private static let wholenessLimit = 30.0

    private let number: Int
    private let options: FailoverOptions
    private let eventLoop: any EventLoop
    private let board: TrialBoard
    private let queue: String
    /// The node that has, or may have, a fault of ours.
    private(set) var downNode: Int?
    private var fault: LeaderFault?
    private var report: FailoverTrialReport

    init(number: Int, run: UInt32, options: FailoverOptions, eventLoop: any EventLoop) {
        self.number = number
        self.options = options
        self.eventLoop = eventLoop
        queue = "failover-\(String(run, radix: 16))-\(number)"
        board = TrialBoard(queue: queue, run: run &+ UInt32(number), bodySize: options.bodySize)
        report = FailoverTrialReport(number: number, queue: queue)
        report.fault = options.fault
    }

    /// Does all of it. Whatever happens, the node is brought back and the queue is deleted.
    func run() async throws -> FailoverTrialReport {
        var clients: Clients?
        do {
            try await declare()
            let leader = try await findLeader()
            report.leader = leader.node
            report.process = leader.process
            // The command may have kept the processors busy.
            try await pause(seconds: 0.5)
            let made = try makeClients(leader)
            clients = made
            let fault = LeaderFault(
                options.fault, node: leader.node, process: leader.process, command: options.faultCommand)
            self.fault = fault
            let watch = options.observer.map {
                EventWatch(observer: $0, leader: leader.node, nodes: options.addresses.count)
            }
            try await measure(made, leader, fault, watch)
            try await finish(made)
        } catch {
            await Task { await self.cleanUp(clients) }.value
            throw error
        }
        await deleteQueue()
        return report
    }

    // MARK: Preparation

    private func declare() async throws {
        // Another node each trial, so that the leaders differ.
        let home = options.addresses[(number - 1) % options.addresses.count]
        let deadline = Instant.now() + .seconds(30)
        while true {
            do {
                report.server = try await QueueSet(names: [queue], addresses: [home]).declare(on: eventLoop)
                return
            } catch let error as BenchError {
                guard Instant.now() < deadline else { throw error }
                try await pause(seconds: 0.2)
            }
        }
    }

    private func findLeader() async throws -> Leader {
        var failure = ""
        let deadline = Instant.now() + .seconds(20)
        repeat {
            let answer = try await ChildCommand.run(options.leaderCommand + [queue])
            if answer.status == 0, let leader = Self.leader(in: answer.output) {
                guard leader.node <= options.addresses.count else {
                    throw BenchError.setupFailed("node \(leader.node) leads, but there is no address for it")
                }
                return leader
            }
            failure = "\(options.leaderCommand[0]) names no leader of \(queue): \(answer.lastLine)"
            try await pause(seconds: 0.2)
        } while Instant.now() < deadline
        throw BenchError.commandFailed(failure)
    }

    /// Reads `N PID`, which may stand behind other lines.
    private static func leader(in output: String) -> Leader? {
        for line in output.split(separator: "\n").reversed() {
            let words = line.split(separator: " ")
            guard words.count == 2, let node = Int(words[0]), let process = Int32(words[1]) else { continue }
            if node >= 1 && process > 1 { return Leader(node: node, process: process) }
        }
        return nil
    }

    private func makeClients(_ leader: Leader) throws(ClientError) -> Clients {
        let count = options.addresses.count
        // Everybody's way round starts at the leader; clients that are to survive it leave it out.
        var way = (0..<count).map { options.addresses[(leader.node - 1 + $0) % count] }
        var consumerWay = way
        if options.clients == .survivor {
            way.removeFirst()
            consumerWay = Array(way.dropFirst()) + way.prefix(1)
        }
        func settings(_ way: [BrokerAddress], _ name: String) -> [ClientSettings] {
            way.map { $0.settings(name: name, connectTimeoutMilliseconds: Self.connectTimeout) }
        }
        return Clients(
            publisher: try FailoverPublisher(
                board: board, addresses: settings(way, "failover publisher"), options: options, eventLoop: eventLoop),
            consumer: FailoverConsumer(
                board: board, addresses: settings(consumerWay, "failover consumer"), options: options,
                eventLoop: eventLoop))
    }

    // MARK: The trial

    private func measure(
        _ clients: Clients, _ leader: Leader, _ fault: LeaderFault, _ watch: EventWatch?
    ) async throws {
        let board = board
        downNode = leader.node
        try await fault.arm()
        try await watch?.begin()
        try await start(clients)
        let lead = min(0.5, options.warmup / 2)
        try await pause(seconds: lead)
        try await eventLoop.submit { board.ledger.enter(.before) }.get()
        try await pause(seconds: options.warmup - lead)
        let faultAt = try await eventLoop.submit {
            let now = Instant.now()
            board.ledger.fault(at: now)
            try fault.strike()
            return now
        }.get()
        try await fault.settle()
        let recovered = try await wait(on: eventLoop, seconds: options.maximumOutage) { board.ledger.isRecovered }
        if recovered {
            try await awaitTakeover(watch, since: faultAt)
        } else {
            report.problems.append("no recovery within \(options.maximumOutage.fixed(0)) s")
        }
        try await awaitLeaders(watch)
        try await pause(seconds: max(0, options.hold - (Instant.now() - faultAt).inSeconds))
        try await pause(seconds: options.tail)
        try await eventLoop.submit { board.ledger.enter(.restored) }.get()
        report.stages = try await watch?.stages(of: queue, fault: WallClock().microseconds(at: faultAt))
        try await restart()
        try await awaitWholeness()
        try await pause(seconds: options.afterRestart)
    }

    /// What is confirmed before the fault shows says nothing of the outage: another node must have led.
    private func awaitTakeover(_ watch: EventWatch?, since faultAt: Instant) async throws {
        guard let watch else { return }
        let fault = WallClock().microseconds(at: faultAt)
        while true {
            let stages = try await watch.stages(of: queue, fault: fault)
            if stages.committed != nil || stages.isIncomplete { return }
            guard (Instant.now() - faultAt).inSeconds < options.maximumOutage else {
                report.problems.append("no other node led the queue within \(options.maximumOutage.fixed(0)) s")
                return
            }
            try await pause(seconds: 0.05)
        }
    }

    /// Many queues take longer than the one that is measured.
    private func awaitLeaders(_ watch: EventWatch?) async throws {
        guard let watch, options.idleQueues > 0 else { return }
        let deadline = Instant.now() + Interval(inSeconds: options.maximumOutage)
        while try await !watch.isAllLed() {
            guard Instant.now() < deadline else {
                report.problems.append("queues without leader after \(options.maximumOutage.fixed(0)) s")
                return
            }
            try await pause(seconds: 0.1)
        }
    }

    /// The next fault would hit a node that a majority needs.
    private func awaitWholeness() async throws {
        guard let observer = options.observer, downNode == nil else { return }
        let deadline = Instant.now() + Interval(inSeconds: Self.wholenessLimit)
        var missing = await observer.unheardNodes()
        while !missing.isEmpty {
            guard Instant.now() < deadline else {
                report.problems.append("the cluster is not whole: " + missing.joined(separator: ", "))
                return
            }
            try await pause(seconds: 0.1)
            missing = await observer.unheardNodes()
        }
    }

    private func start(_ clients: Clients) async throws {
        let board = board
        try await eventLoop.submit {
            clients.consumer.connect()
            clients.publisher.connect()
        }.get()
        let ready = try await wait(on: eventLoop, seconds: 30) {
            clients.consumer.isReady && clients.publisher.isReady
        }
        guard ready else {
            let why = try await eventLoop.submit {
                clients.publisher.lastError ?? clients.consumer.lastError ?? "no answer"
            }.get()
            throw BenchError.setupFailed("the clients cannot connect: \(why)")
        }
        try await eventLoop.submit { clients.publisher.startTraffic() }.get()
        let flows = try await wait(on: eventLoop, seconds: 30) {
            board.ledger.reconciliation.publishes.confirmed.count >= 10
                && board.ledger.reconciliation.deliveries.count >= 10
        }
        guard flows else { throw BenchError.setupFailed("no traffic flows through \(queue) before the fault") }
    }

    private func restart() async throws {
        guard let node = downNode else { return }
        let began = Instant.now()
        // To be finished even if the run is cancelled meanwhile.
        let answer = try await Task { [options, fault] in
            try await fault?.heal()
            return try await ChildCommand.run(options.restartCommand + [String(node), "start"])
        }.value
        guard answer.status == 0 else {
            report.problems.append("node \(node) does not come back: \(answer.lastLine)")
            return
        }
        downNode = nil
        report.restart = Instant.now() - began
    }

    private func finish(_ clients: Clients) async throws {
        let board = board
        try await eventLoop.submit {
            board.ledger.enter(.draining)
            clients.publisher.stop()
        }.get()
        var progress: UInt64 = 0
        repeat {
            let seen = progress
            _ = try await wait(on: eventLoop, seconds: options.drainTimeout) {
                board.ledger.isComplete || board.ledger.progress != seen
            }
            let now = try await eventLoop.submit { board.ledger.progress }.get()
            if now == progress { break }
            progress = now
        } while try await !eventLoop.submit({ board.ledger.isComplete }).get()
        // Duplicates may come late.
        try await pause(seconds: 0.3)
        report.repeatedConfirms = try await eventLoop.submit {
            clients.publisher.close()
            clients.consumer.close()
            return clients.publisher.repeatedConfirms
        }.get()
        let (publisher, consumer, ledger, losses) = try await eventLoop.submit {
            (
                clients.publisher.reconnects, clients.consumer.reconnects, board.ledger,
                [
                    clients.publisher.lastError.map { "the publisher's: \($0)" },
                    clients.consumer.lastError.map { "the consumer's: \($0)" },
                ].compactMap(\.self)
            )
        }.get()
        report.losses = losses
        report.publisherReconnects = publisher
        report.consumerReconnects = consumer
        report.take(ledger)
    }

    // MARK: Afterwards

    private func cleanUp(_ clients: Clients?) async {
        try? await eventLoop.submit {
            clients?.publisher.close()
            clients?.consumer.close()
        }.get()
        try? await restart()
        await deleteQueue()
    }

    private func deleteQueue() async {
        await QueueSet(names: [queue], addresses: options.addresses).delete(on: eventLoop)
    }
}
