public import LogStore
public import Logging
public import NIOCore
import NIOPosix
import PeerLink
public import Primitives
import Synchronization

/// Why a node cannot start.
public enum NodeStartFailure: Error, CustomStringConvertible {
    case store(directory: String, LogStoreFailure)
    case peers(String)
    /// The store held records, but not the one that names the cluster's members. What is missing never means that it
    /// never was: such a node may not found a cluster.
    case clusterUnknown(directory: String)

    /// For the operator.
    public var description: String {
        switch self {
        case .store(let directory, let failure): "the store in \(directory) cannot be used: \(failure)"
        case .peers(let reason): "peers cannot be listened for: \(reason)"
        case .clusterUnknown(let directory):
            "the store in \(directory) has lost the record of its cluster; delete the directory and start the node: it "
                + "comes back empty and gets everything from the others"
        }
    }
}

/// What opening a store took.
public struct StoreOpening: Sendable {
    /// When it began.
    public let startedAt: WallTime
    /// How long it took.
    public let duration: Interval
    /// The number of this start.
    public let incarnation: Incarnation
    /// What was read and met.
    public let report: RecoveryReport

    package init(startedAt: WallTime, duration: Interval, incarnation: Incarnation, report: RecoveryReport) {
        self.startedAt = startedAt
        self.duration = duration
        self.incarnation = incarnation
        self.report = report
    }
}

/// What was read from the data directory, on its way to the node's loop.
public struct OpenedStore: Sendable {
    let configuration: NodeConfiguration
    let log: NodeLog<FileDisk>
    let recovered: RecoveredStore
    let opening: StoreOpening

    /// Opens the data directory and recovers the log; `logger` is told how far it has come, each second, and what it
    /// found. Blocks; not for an event loop.
    ///
    /// - Throws: `NodeStartFailure.store`.
    public init(configuration: NodeConfiguration, logger: Logger) throws(NodeStartFailure) {
        self.configuration = configuration
        let startedAt = WallTime.now
        let began = Instant.now
        var nextLine = began + OpenedStore.progressInterval
        do throws(LogStoreFailure) {
            let disk: FileDisk
            do throws(DiskFailure) { disk = try FileDisk(path: configuration.directory) } catch { throw .disk(error) }
            var randomness = SystemRandomNumberGenerator()
            (log, recovered) = try NodeLog.open(
                disk: disk, configuration: configuration.log, firstIncarnation: OpenedStore.firstIncarnation(startedAt),
                randomness: &randomness
            ) { progress in
                guard Instant.now >= nextLine else { return }
                nextLine = .now + OpenedStore.progressInterval
                logger.info("opening the store", metadata: OpenedStore.metadata(progress))
            }
        } catch {
            throw .store(directory: configuration.directory, error)
        }
        opening = StoreOpening(
            startedAt: startedAt, duration: .now - began, incarnation: recovered.incarnation, report: recovered.report)
        logger.info("store opened", metadata: OpenedStore.metadata(opening, directory: configuration.directory))
    }

    /// Incarnations of a node grow from one data directory to the next, as those of one directory do. Nothing may be
    /// left of the old one to count on from, so a new one begins with the seconds of the clock: a node does not start
    /// more than once a second for years.
    private static func firstIncarnation(_ now: WallTime) -> Incarnation {
        Incarnation(UInt32(clamping: max(1, now.milliseconds / 1_000)))
    }

    private static let progressInterval = Interval.seconds(1)

    private static func metadata(_ progress: OpeningProgress) -> Logger.Metadata {
        ["segments": "\(progress.segments) of \(progress.of)", "bytes": "\(progress.bytesRead)"]
    }

    private static func metadata(_ opening: StoreOpening, directory: String) -> Logger.Metadata {
        let report = opening.report
        return [
            "directory": "\(directory)", "incarnation": "\(opening.incarnation)", "segments": "\(report.segments)",
            "sealed": "\(report.sealedSegments)", "frames": "\(report.frames)", "records": "\(report.records)",
            "bytes_read": "\(report.bytesRead)", "torn_bytes": "\(report.tornBytes)",
            "damaged": "\(report.damagedRecords)", "lost_frames": "\(report.lostFrames)",
            "clean_stop": "\(report.cleanStop)", "ms": "\(opening.duration.nanoseconds / 1_000_000)",
        ]
    }
}

extension ReplicationNode {
    /// Puts a node together. Called on the event loop; `start` sets it going.
    public convenience init(store: OpenedStore, eventLoop: any EventLoop, logger: Logger) {
        eventLoop.preconditionInEventLoop()
        let inbox = LogInbox(eventLoop: eventLoop)
        let reader = LogReader(disk: store.log.disk)
        let writer = LogWriter(
            log: store.log, onCompletion: { inbox.completed($0) }, onFailure: { inbox.failed("\($0)") },
            isLive: { inbox.asked($0, answer: $1) }, onRelocation: { inbox.relocated($0) },
            onRetirement: { reader.forget($0) }, onSpaceChange: { inbox.spaceChanged($0) },
            scrub: store.configuration.scrub, onScrub: { inbox.scrubbed($0) })
        self.init(
            configuration: store.configuration, opening: store.opening, recovered: store.recovered, writer: writer,
            reader: reader,
            eventLoop: eventLoop, logger: logger, seed: .random(in: .min ... .max))
        inbox.node.withLock { $0 = UncheckedReference(self) }
    }

    /// Listens for peers, dials them and begins to take part.
    ///
    /// - Throws: `NodeStartFailure.peers` when the peer address cannot be listened on, `.clusterUnknown` when the store
    ///   is damaged where it names the cluster.
    public func start() throws(NodeStartFailure) {
        guard !isLost else { throw .clusterUnknown(directory: configuration.directory) }
        reportDamage()
        var link = PeerLinkConfiguration(
            identity: PeerIdentity(node: configuration.node, store: shard.store, incarnation: shard.incarnation),
            cluster: clusterID, listen: configuration.listen, peers: configuration.peers,
            secrets: configuration.secrets)
        link.liveness = configuration.liveness
        let writer = self.writer
        let digests = self.digests
        let links = PeerLinks(
            configuration: link, eventLoop: eventLoop,
            sources: HeartbeatSources(
                diskAge: { writer.oldestUnfinishedSync(at: $0) }, digest: { digests.digest(for: $0) }),
            logger: logger)
        links.bootstrap = StoreReport(members: shard.founders).encoded()
        links.delegate = self
        self.links = links
        do throws(SocketFailure) { try links.start() } catch { throw .peers("\(error)") }
        snapshotThread.start()
        if let decision = formation?.decision { act(on: decision) }
        startTicking()
        flush()
    }

    /// What recovery met that the operator should know.
    private func reportDamage() {
        let recovery = opening.report
        let directory: Logger.MetadataValue = "\(configuration.directory)"
        if recovery.tornBytes > 0 {
            logger.notice(
                "the last write was interrupted and is dropped; it was confirmed to nobody",
                metadata: ["directory": directory, "bytes": "\(recovery.tornBytes)"])
        }
        if recovery.damagedRecords > 0 || recovery.lostFrames > 0 {
            logger.error(
                "the store is damaged; other members are asked for what is needed",
                metadata: [
                    "directory": directory, "damaged_records": "\(recovery.damagedRecords)",
                    "lost_frames": "\(recovery.lostFrames)",
                ])
        }
        guard !shard.mayVote else { return }
        logger.error(
            """
            records of this store are lost, and with them perhaps votes that it gave: the node follows and serves \
            clients, but never votes nor leads again. The cluster needs a majority without it. To cure it, stop the \
            node, delete its data directory, and start it: it comes back empty and gets everything from the others
            """, metadata: ["directory": directory])
    }

    /// All nodes compute it from the members that founded the cluster, so it needs no agreement of its own.
    var clusterID: ClusterID? {
        let members = shard.founders
        guard !members.isEmpty else { return nil }
        var high = SeededRandom(seed: 0)
        var low = SeededRandom(seed: 1)
        for member in members {
            high = SeededRandom(seed: high.next() ^ member.store.high ^ UInt64(member.node.rawValue))
            low = SeededRandom(seed: low.next() ^ member.store.low ^ UInt64(member.node.rawValue))
        }
        return ClusterID(high: high.next(), low: low.next())
    }

    func act(on decision: Formation.Decision) {
        switch decision {
        case .wait: break
        case .refuse(let reason): delegate?.failed(reason)
        case .found(let members):
            logger.info("founding the cluster", metadata: ["members": "\(members.map(\.node))"])
            join(members)
        case .rejoin(let founders):
            let lost = founders.first { $0.node == configuration.node }?.store
            logger.notice(
                "this data directory is empty, and the cluster knows the node with another: it rejoins",
                metadata: [
                    "directory": "\(configuration.directory)", "store": "\(shard.store)",
                    "lost": "\(lost.map { "\($0)" } ?? "")",
                ])
            join(founders)
        }
    }

    private func join(_ founders: [GroupDescriptor.Member]) {
        let waiting = formation?.waiting ?? []
        formation = nil
        shard.found(members: founders, now: .now)
        links?.bootstrap = StoreReport(members: founders).encoded()
        links?.cluster = clusterID
        // Who was told that this store is empty is told anew.
        let unsafe = UncheckedReference(self)
        eventLoop.execute { for peer in waiting { unsafe.value.links?.reset(peer, .closed) } }
        setNeedsFlush()
    }
}

/// Where the log writer's thread puts its news, for the loop to pick up in one piece.
final class LogInbox: Sendable {
    private let eventLoop: any EventLoop
    private let waiting = Mutex<[LogCompletion]>([])
    let node = Mutex<UncheckedReference<ReplicationNode>?>(nil)

    init(eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    func completed(_ completions: [LogCompletion]) {
        let isFirst = waiting.withLock { list in
            defer { list += completions }
            return list.isEmpty
        }
        guard isFirst else { return }
        eventLoop.execute { [self] in
            let completions = waiting.withLock { list in
                defer { list = [] }
                return list
            }
            node.withLock { $0 }?.value.logCompleted(completions)
        }
    }

    func asked(_ locations: [EntryLocation], answer: @escaping @Sendable ([Bool]) -> Void) {
        onNode { node in
            // The records that made an entry dead go ahead of the answer.
            node.flush()
            answer(node.shard.isLive(locations))
        }
    }

    func relocated(_ relocations: [Relocation]) {
        onNode { node in
            node.shard.relocated(relocations, now: .now)
            node.setNeedsFlush()
        }
    }

    func spaceChanged(_ space: LogSpace) { onNode { $0.logSpaceChanged(space) } }

    func scrubbed(_ report: ScrubReport) {
        onNode { node in
            for problem in report.problems {
                node.logger.error(
                    "a sealed segment is damaged; what is live in it is moved",
                    metadata: [
                        "segment": "\(report.segment)", "offset": "\(problem.offset ?? 0)",
                        "problem": "\(problem.what)",
                    ])
            }
            node.shard.scrubbed(report, now: .now)
            node.setNeedsFlush()
        }
    }

    private func onNode(_ body: @escaping @Sendable (ReplicationNode) -> Void) {
        eventLoop.execute { [self] in
            if let node = node.withLock({ $0 })?.value { body(node) }
        }
    }

    func failed(_ reason: String) {
        onNode { node in
            node.delegate?.failed(
                "the node log in \(node.configuration.directory) cannot be written: \(reason). What this disk kept is "
                    + "not known: check it, then start the node again")
        }
    }
}
