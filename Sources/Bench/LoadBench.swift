import AMQPClient
import NIOCore
import NIOPosix
import Primitives

/// Drives a broker with publishers and consumers and measures rates, latencies and the server's CPU. All publishers
/// share one event loop, all consumers another.
public struct LoadBench: Sendable {
    private let options: LoadOptions

    /// A load.
    ///
    /// - Throws: as `LoadOptions.validate`.
    public init(options: LoadOptions) throws(BenchError) {
        try options.validate()
        self.options = options
    }

    /// Runs it once. The queues are deleted before this returns, also when the task is cancelled.
    ///
    /// - Throws: `BenchError` when it cannot be prepared, `CancellationError`. What the load showed is in the report.
    public func run() async throws -> LoadReport {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let run = LoadRun(options: options, publisherLoop: group.next(), consumerLoop: group.next())
        let result: Result<LoadReport, any Error>
        do {
            result = .success(try await run.measure())
        } catch {
            result = .failure(error)
        }
        await Task { await run.cleanUp() }.value
        try? await group.shutdownGracefully()
        return try result.get()
    }
}

/// One run of a load.
private final class LoadRun: @unchecked Sendable {
    /// What is read of both sides at one time.
    private struct Counts: Sendable {
        var published: UInt64 = 0
        var confirmed: UInt64 = 0
        var nacked: UInt64 = 0
        var delivered: UInt64 = 0
        var distinct: UInt64 = 0
        var arePublishersDone = false
        var failure: String?

        /// What rates are told of.
        func accepted(_ options: LoadOptions) -> UInt64 { options.confirmWindow == 0 ? published : confirmed }
    }

    private let options: LoadOptions
    private let publisherLoop: any EventLoop
    private let consumerLoop: any EventLoop
    private let publisherSide = PublisherSide()
    private let consumerSide: ConsumerSide
    private let run: UInt32
    private let queues: [String]
    private var publishers: [LoadPublisher] = []
    private var consumers: [LoadConsumer] = []
    private var acknowledging: RepeatedTask?
    private var report: LoadReport

    init(options: LoadOptions, publisherLoop: any EventLoop, consumerLoop: any EventLoop) {
        self.options = options
        self.publisherLoop = publisherLoop
        self.consumerLoop = consumerLoop
        let body = MessageBody(size: options.bodySize)
        run = .random(in: 0...body.highestRun)
        let prefix = "bench-\(String(run, radix: 16))"
        queues = (0..<options.queues).map { "\(prefix)-\($0)" }
        consumerSide = ConsumerSide(
            run: run, body: body, publishers: options.publishers)
        report = LoadReport(options: options)
    }

    func measure() async throws -> LoadReport {
        let idle = ProcessUsage.total(options.processes)
        guard options.processes.isEmpty || idle != nil else {
            throw BenchError.setupFailed("no such process among \(options.processes)")
        }
        report.idleResidentBytes = idle?.residentBytes
        if options.declaresOnly {
            try await declare()
            return report
        }
        do {
            report.server = try await queueSet.declare(on: publisherLoop)
            if options.backlog == 0 { try await connectConsumers() }
            try await connectPublishers()
        } catch let error as ClientError {
            throw BenchError.setupFailed("\(error)")
        }
        if options.backlog == 0 { try await drive() } else { try await fillAndDrain() }
        await judge()
        return report
    }

    /// How long after the last declaration memory is looked at, in seconds.
    private static let settling = 30.0

    private func declare() async throws {
        let began = Instant.now()
        report.server = try await queueSet.declareOneByOne(on: publisherLoop)
        report.measured = Instant.now() - began
        report.declareMilliseconds = report.measured.inMilliseconds / Double(queues.count)
        guard let before = report.idleResidentBytes else { return }
        try await pause(seconds: LoadRun.settling)
        guard let after = ProcessUsage.total(options.processes) else { return }
        report.serverResidentBytes = after.residentBytes
        report.residentBytesPerQueue =
            (Double(after.residentBytes) - Double(before)) / Double(queues.count * options.processes.count)
    }

    // MARK: Preparation

    /// The queues of one of `count`: every queue has one, and everybody has one, so that some are shared.
    private func share(of index: Int, among count: Int) -> [String] {
        count >= queues.count
            ? [queues[index % queues.count]] : stride(from: index, to: queues.count, by: count).map { queues[$0] }
    }

    private func connectConsumers() async throws {
        let addresses = options.consumerAddresses.isEmpty ? options.addresses : options.consumerAddresses
        for number in 0..<options.consumers {
            let connection = try await AMQPConnection.connect(
                addresses[number % addresses.count].settings(name: "bench consumer \(number)"), on: consumerLoop)
            let channel = try await connection.openChannel()
            if !options.noAck { try await channel.qos(prefetchCount: options.prefetch) }
            let consumer = LoadConsumer(
                side: consumerSide, number: number, connection: connection, channel: channel, options: options)
            consumers.append(consumer)
            try await consumer.consume(share(of: number, among: options.consumers))
        }
        guard options.acknowledgeEvery > 1, !options.noAck else { return }
        let all = consumers
        acknowledging = consumerLoop.scheduleRepeatedTask(initialDelay: .milliseconds(50), delay: .milliseconds(50)) {
            _ in
            for consumer in all { consumer.acknowledge() }
        }
    }

    private func connectPublishers() async throws {
        let addresses = options.publisherAddresses.isEmpty ? options.addresses : options.publisherAddresses
        for number in 0..<options.publishers {
            let connection = try await AMQPConnection.connect(
                addresses[number % addresses.count].settings(name: "bench publisher \(number)"), on: publisherLoop)
            let channel = try await connection.openChannel()
            if options.confirmWindow > 0 { try await channel.confirmSelect() }
            publishers.append(
                try LoadPublisher(
                    side: publisherSide, run: run, number: number, connection: connection, channel: channel,
                    queues: share(of: number, among: options.publishers), options: options))
        }
    }

    // MARK: Load

    private func drive() async throws {
        let (publisherSide, consumerSide, all) = (publisherSide, consumerSide, publishers)
        try await publisherLoop.submit {
            publisherSide.start = .now()
            for publisher in all { publisher.begin() }
        }.get()
        guard try await pass(options.warmup) else { return }
        let cpuBefore = (server: ProcessUsage.total(options.processes), own: ProcessUsage.ownCPUSeconds)
        let began = Instant.now()
        try await publisherLoop.submit { publisherSide.isMeasuring = true }.get()
        try await consumerLoop.submit { consumerSide.isMeasuring = true }.get()
        let first = try await counts()
        _ = try await pass(options.seconds, sampling: first)
        let last = try await counts()
        report.measured = Instant.now() - began
        rates(from: first, to: last)
        try await publisherLoop.submit { publisherSide.isStopped = true }.get()
        let end = try await drain()
        let cpuAfter = ProcessUsage.total(options.processes)
        report.clientCPUSeconds = ProcessUsage.ownCPUSeconds - cpuBefore.own
        guard let before = cpuBefore.server, let cpuAfter else { return }
        report.serverCPUSeconds = cpuAfter.cpuSeconds - before.cpuSeconds
        report.serverResidentBytes = cpuAfter.residentBytes
        let messages = end.accepted(options) - first.accepted(options)
        if messages > 0 {
            report.serverCPUPerMillion = (cpuAfter.cpuSeconds - before.cpuSeconds) * 1e6 / Double(messages)
        }
    }

    /// Publishes a backlog, then consumes it.
    private func fillAndDrain() async throws {
        let (publisherSide, consumerSide, all) = (publisherSide, consumerSide, publishers)
        let before = ProcessUsage.total(options.processes)
        let began = Instant.now()
        try await publisherLoop.submit {
            publisherSide.start = .now()
            publisherSide.isMeasuring = true
            for publisher in all { publisher.begin() }
        }.get()
        let options = options
        let filled = try await progress(until: { $0.arePublishersDone }, of: { $0.accepted(options) })
        report.measured = Instant.now() - began
        rates(from: Counts(), to: filled)
        let after = ProcessUsage.total(options.processes)
        report.serverResidentBytes = after?.residentBytes
        if let before, let after, filled.published > 0 {
            report.serverCPUSeconds = after.cpuSeconds - before.cpuSeconds
            report.serverCPUPerMillion = (after.cpuSeconds - before.cpuSeconds) * 1e6 / Double(filled.published)
        }
        guard filled.failure == nil, options.consumers > 0 else { return }
        try await consumerLoop.submit { consumerSide.isMeasuring = true }.get()
        let drained = Instant.now()
        do {
            try await connectConsumers()
        } catch let error as ClientError {
            throw BenchError.setupFailed("\(error)")
        }
        let end = try await progress(until: { $0.distinct >= filled.accepted(options) }, of: { $0.delivered })
        report.drainRate = Double(end.distinct) / max((Instant.now() - drained).inSeconds, 1e-9)
    }

    /// Waits until something is so, a client has failed, or nothing has come for long.
    private func progress(
        until isDone: (Counts) -> Bool, of figure: (Counts) -> UInt64
    ) async throws -> Counts {
        var last: UInt64 = 0
        var quietSince = Instant.now()
        while true {
            let now = try await counts()
            if now.failure != nil || isDone(now) { return now }
            if figure(now) != last {
                last = figure(now)
                quietSince = .now()
            } else if Instant.now() - quietSince > Interval(inSeconds: options.drainTimeout) {
                return now
            }
            try await pause(seconds: 0.003)
        }
    }

    /// Lets time pass; false when a client failed meanwhile. With a start, what every second brought is noted.
    private func pass(_ seconds: Double, sampling start: Counts? = nil) async throws -> Bool {
        let end = Instant.now() + Interval(inSeconds: seconds)
        var previous = start
        var nextSample = Instant.now() + .seconds(1)
        while Instant.now() < end {
            let wake = start == nil ? end : min(end, nextSample)
            try await pause(seconds: min(0.1, (wake - .now()).inSeconds))
            let now = try await counts()
            if now.failure != nil { return false }
            guard let before = previous, Instant.now() >= nextSample else { continue }
            report.confirmedPerSecond.append(now.accepted(options) - before.accepted(options))
            report.deliveredPerSecond.append(now.delivered - before.delivered)
            previous = now
            nextSample = nextSample + .seconds(1)
        }
        return true
    }

    private func rates(from first: Counts, to last: Counts) {
        let seconds = max(report.measured.inSeconds, 1e-9)
        report.publishRate = Double(last.published - first.published) / seconds
        report.confirmRate = Double(last.confirmed - first.confirmed) / seconds
        report.deliverRate = Double(last.delivered - first.delivered) / seconds
    }

    /// Waits for what is under way, as long as something comes.
    private func drain() async throws -> Counts {
        let options = options
        return try await progress(
            until: { $0.arePublishersDone && (options.consumers == 0 || $0.distinct >= $0.accepted(options)) },
            of: { $0.published + $0.confirmed + $0.delivered })
    }

    private func counts() async throws -> Counts {
        let (publisherSide, consumerSide, publishers) = (publisherSide, consumerSide, publishers)
        var counts = try await publisherLoop.submit {
            Counts(
                published: publisherSide.published, confirmed: publisherSide.confirmed, nacked: publisherSide.nacked,
                arePublishersDone: publishers.allSatisfy(\.isDone), failure: publisherSide.failure)
        }.get()
        let consumed = try await consumerLoop.submit {
            Counts(
                delivered: consumerSide.delivered, distinct: consumerSide.distinct, failure: consumerSide.failure)
        }.get()
        counts.delivered = consumed.delivered
        counts.distinct = consumed.distinct
        counts.failure = counts.failure ?? consumed.failure
        return counts
    }

    // MARK: Afterwards

    private func judge() async {
        let (publisherSide, consumerSide, publishers) = (publisherSide, consumerSide, publishers)
        try? await publisherLoop.submit {
            self.report.confirmLatency = publisherSide.latencies.summary
            self.report.longestConfirmGap = publisherSide.gaps.longest.length
            self.report.worstLag = publisherSide.worstLag
            self.report.nacked = publisherSide.nacked
            self.report.blockedCount = publisherSide.blockedCount
        }.get()
        let sent = (try? await publisherLoop.submit { publishers.map(\.log) }.get()) ?? []
        try? await consumerLoop.submit {
            self.report.deliveryLatency = consumerSide.latencies.summary
            self.report.longestDeliveryGap = consumerSide.gaps.longest.length
        }.get()
        let received = (try? await consumerLoop.submit { consumerSide.logs }.get()) ?? []
        let withoutConfirms = options.confirmWindow == 0
        for (publishes, deliveries) in zip(sent, received) {
            var counts = Reconciliation(publishes: publishes, deliveries: deliveries)
                .integrity(withoutConfirms: withoutConfirms)
            if options.consumers == 0 {
                counts.lost = 0
                counts.firstLost = nil
            }
            report.integrity = report.integrity + counts
        }
        let (corrupt, foreign) =
            (try? await consumerLoop.submit { (consumerSide.corrupt, consumerSide.foreign) }.get()) ?? (0, 0)
        report.integrity.corrupt = corrupt
        report.integrity.foreign = foreign
        report.failure = (try? await counts())?.failure
    }

    func cleanUp() async {
        acknowledging?.cancel()
        for publisher in publishers { await publisher.close() }
        for consumer in consumers { await consumer.close() }
        await queueSet.delete(on: publisherLoop)
    }

    private var queueSet: QueueSet {
        QueueSet(names: queues, addresses: options.addresses, type: options.queueType)
    }
}
