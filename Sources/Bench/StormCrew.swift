import AMQPClient
import NIOCore
import Primitives

/// What a storm's clients share on their event loop.
final class StormBoard: @unchecked Sendable {
    let queues: [String]
    /// Told apart by their sizes.
    let bodies = [64, 512, 4_096].map { MessageBody(size: $0) }
    var ledger: StormLedger

    init(run: UInt32, queues: [String]) {
        self.queues = queues
        ledger = StormLedger(run: run, queues: queues.count, start: .now())
    }
}

/// All clients of a storm. Its `async` members may be called from anywhere.
final class StormCrew: @unchecked Sendable {
    private let options: StormOptions
    private let board: StormBoard
    private let eventLoop: any EventLoop
    private let publishers: [StormPublisher]
    private let consumers: [StormConsumer]

    init(options: StormOptions, board: StormBoard, eventLoop: any EventLoop) throws(ClientError) {
        self.options = options
        self.board = board
        self.eventLoop = eventLoop
        var publishers: [StormPublisher] = []
        for number in 0..<options.publishers {
            publishers.append(
                try StormPublisher(board: board, number: number, options: options, eventLoop: eventLoop))
        }
        self.publishers = publishers
        consumers = (0..<options.consumers).map {
            StormConsumer(board: board, number: $0, options: options, eventLoop: eventLoop)
        }
    }

    private var links: [StormLink] { publishers.map(\.link) + consumers.map(\.link) }

    /// Connects all, consumers first, and returns once messages pass.
    ///
    /// - Throws: `setupFailed`, `CancellationError`.
    func start() async throws {
        try await eventLoop.submit { for consumer in self.consumers { consumer.link.start() } }.get()
        let consume = try await wait(on: eventLoop, seconds: 30) { self.consumers.allSatisfy(\.isReady) }
        try await eventLoop.submit { for publisher in self.publishers { publisher.link.start() } }.get()
        let flows = try await wait(on: eventLoop, seconds: 30) {
            self.publishers.allSatisfy { $0.count > 10 }
                && self.board.ledger.confirmed > 100 && self.board.ledger.deliveries > 100
        }
        guard consume && flows else {
            let why = try await eventLoop.submit { self.links.compactMap(\.lastError).first }.get()
            throw BenchError.setupFailed("no traffic flows before the storm\(why.map { ": \($0)" } ?? "")")
        }
    }

    /// One client loses its connection.
    func disconnect(_ number: Int) async throws {
        try await eventLoop.submit {
            let links = self.links
            links[number % links.count].drop("dropped by the storm")
        }.get()
    }

    /// Ends a stretch of time: the longest time in it that a queue was without a confirm.
    ///
    /// - Parameter isOver: no more confirms are due.
    func endRound(isOver: Bool = false) async throws -> (queue: Int, gap: GapMeter.Gap) {
        try await eventLoop.submit { self.board.ledger.endRound(at: isOver ? nil : .now()) }.get()
    }

    /// Ends the traffic: no new messages, then everything confirmed, then everything delivered and acked. Gives up what
    /// does not come although nothing else has come for as long as the options say: how many messages is returned.
    func drain() async throws -> UInt64 {
        try await eventLoop.submit { for publisher in self.publishers { publisher.stop() } }.get()
        try await waitWhileItMoves { self.publishers.allSatisfy(\.isSettled) }
        try await waitWhileItMoves { self.board.ledger.owed == 0 }
        // What was sent and never confirmed may come late, and duplicates too.
        try await waitForSilence(seconds: 1)
        let missing = try await eventLoop.submit { self.board.ledger.owed }.get()
        try await close(consumers)
        return missing
    }

    /// Consumes once more whatever is still there: nothing that was acked may be.
    func sweep() async throws {
        let sweepers = (0..<options.queues).map {
            StormConsumer(board: board, number: $0, options: options, eventLoop: eventLoop)
        }
        try await eventLoop.submit { for sweeper in sweepers { sweeper.link.start() } }.get()
        _ = try await wait(on: eventLoop, seconds: 30) { sweepers.allSatisfy(\.isReady) }
        try await waitForSilence(seconds: 1)
        try await close(sweepers)
    }

    private func waitWhileItMoves(until condition: @escaping @Sendable () -> Bool) async throws {
        while true {
            let seen = try await eventLoop.submit { self.progress }.get()
            let moved = try await wait(on: eventLoop, seconds: options.drainTimeout) {
                condition() || self.progress != seen
            }
            let isDone = try await eventLoop.submit(condition).get()
            if isDone || !moved { return }
        }
    }

    private func waitForSilence(seconds: Double) async throws {
        while true {
            let seen = try await eventLoop.submit { self.progress }.get()
            let moved = try await wait(on: eventLoop, seconds: seconds) { self.progress != seen }
            if !moved { return }
        }
    }

    /// Grows with every confirm and delivery.
    private var progress: UInt64 { board.ledger.confirmed + board.ledger.deliveries }

    private func close(_ consumers: [StormConsumer]) async throws {
        for consumer in consumers {
            await withCheckedContinuation { continuation in
                eventLoop.execute { consumer.close { continuation.resume() } }
            }
        }
    }

    /// Takes over what the clients saw.
    func fill(_ report: StormReport) async throws -> StormReport {
        try await eventLoop.submit {
            var report = report
            report.integrity = self.board.ledger.integrity
            report.integrity.resent = self.publishers.reduce(0) { $0 + $1.resends }
            report.messages = self.publishers.reduce(0) { $0 + $1.count }
            report.integrity.unconfirmed = self.publishers.reduce(0) { $0 + UInt64($1.unconfirmedCount) }
            report.redeliveries = self.board.ledger.redeliveries
            report.returned = self.consumers.reduce(0) { $0 + $1.returned }
            report.nacks = self.board.ledger.nacks
            report.undone = self.board.ledger.undone
            report.excess = self.consumers.reduce(0) { $0 + $1.excess }
            report.repeatedConfirms = self.links.reduce(0) { $0 + $1.repeatedConfirms }
            report.connectionsLost = self.links.reduce(0) { $0 + $1.losses }
            report.notes = self.board.ledger.notes + self.board.ledger.lostNames
            report.problems += self.links.compactMap(\.violation)
            return report
        }.get()
    }

    /// Closes what is open; nothing is sent or taken any more.
    func close() async {
        try? await eventLoop.submit { for link in self.links { link.close() } }.get()
    }
}
