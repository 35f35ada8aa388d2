import Glibc
import Logging
import NIOCore
import Primitives

/// The heartbeat thread: polls its sockets, beats every interval, turns the detector. Everything here is confined to
/// it.
final class HeartbeatThread {
    /// What the thread is started with.
    struct Start: Sendable {
        var service: HeartbeatService
        var handlers: HeartbeatService.Handlers
        var listener: CInt
        var wakeUp: WakePipe
    }

    let service: HeartbeatService
    let handlers: HeartbeatService.Handlers
    let listener: CInt
    private let wakeUp: WakePipe
    let configuration: PeerLinkConfiguration
    /// Where dials leave from; nil when this node listens on every address.
    let local: SocketAddressBytes?
    private var watches: [LoopWatch]

    /// Sorted by node.
    var peers: [HeartbeatPeer] = []
    /// Accepted, and not yet open.
    var strangers: [HeartbeatConnection] = []
    var cluster: ClusterID?
    var attempts: UInt64 = 0
    var randomness = SystemRandomNumberGenerator()
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 16 << 10, alignment: 16)

    private var nextBeat: Instant
    private var generation = -1
    /// Until when the listener is left alone, after the system refused a connection for want of resources.
    var listenerMutedUntil = Instant.zero
    private var polls: [pollfd] = []
    private var polled: [HeartbeatConnection] = []

    /// - Returns: 0, or the error number.
    static func spawn(_ start: Start) -> Int32 {
        final class Box { let start: Start; init(_ start: Start) { self.start = start } }
        var thread = pthread_t()
        let box = Unmanaged.passRetained(Box(start))
        let result = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let start = Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().start
                // On Linux this concerns the calling thread only; without the privilege it stays as it is.
                setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, -10)
                HeartbeatThread(start).run()
                return nil
            }, box.toOpaque())
        if result == 0 { pthread_detach(thread) } else { box.release() }
        return result
    }

    private init(_ start: Start) {
        service = start.service
        handlers = start.handlers
        listener = start.listener
        wakeUp = start.wakeUp
        configuration = service.configuration
        watches = service.eventLoops.map { LoopWatch($0) }
        nextBeat = MonotonicClock.now()
        let own = SocketAddressBytes(resolving: configuration.listen, numericOnly: true)?.withPort(0)
        local = ["0.0.0.0", "::"].contains(configuration.listen.host) ? nil : own
    }

    deinit { buffer.deallocate() }

    // MARK: - The loop

    private func run() {
        while update() {
            let now = MonotonicClock.now()
            dialDuePeers(now: now)
            expire(now: now)
            if now >= nextBeat { beat(now: now) }
            let deadline = service.withShared { shared in
                shared.liveness.tick(now: now, into: &shared.verdicts)
                return shared.liveness.nextDeadline(now: now)
            }
            publish()
            wait(until: nextDeadline(deadline))
            serve()
            publish()
        }
        end()
    }

    /// Takes over what callers changed; false when it is time to stop.
    private func update() -> Bool {
        let snapshot = service.withShared { shared in
            let kicked = shared.kicked
            shared.kicked.removeAll()
            return (
                cluster: shared.cluster, peers: shared.peers, hosts: shared.hosts, generation: shared.generation,
                kicked: kicked, isStopping: shared.isStopping
            )
        }
        cluster = snapshot.cluster
        if snapshot.generation != generation {
            generation = snapshot.generation
            setPeers(snapshot.peers, hosts: snapshot.hosts)
        }
        for node in snapshot.kicked { kick(node) }
        return !snapshot.isStopping
    }

    private func setPeers(_ endpoints: [PeerEndpoint], hosts: [NodeID: String]) {
        let now = MonotonicClock.now()
        var updated: [HeartbeatPeer] = []
        for endpoint in endpoints.sorted(by: { $0.node < $1.node }) {
            var address = SocketAddressBytes(resolving: endpoint.address, numericOnly: true)
            // A name is resolved by the data link; this thread must not block.
            if address == nil, let host = hosts[endpoint.node] {
                let seen = PeerAddress(host: host, port: endpoint.address.port)
                address = SocketAddressBytes(resolving: seen, numericOnly: true)
            }
            if let index = peers.firstIndex(where: { $0.node == endpoint.node }) {
                var peer = peers.remove(at: index)
                if peer.endpoint != endpoint { drop(&peer.outbound, .closing) }
                peer.endpoint = endpoint
                peer.address = address
                updated.append(peer)
            } else {
                let limits = configuration.limits
                updated.append(
                    HeartbeatPeer(
                        node: endpoint.node, endpoint: endpoint, address: address,
                        backoff: Backoff(minimum: limits.minimumBackoff, maximum: limits.maximumBackoff), dialAt: now))
            }
        }
        for index in peers.indices {
            drop(&peers[index].outbound, .closing)
            drop(&peers[index].inbound, .closing)
        }
        peers = updated
    }

    /// Sends a heartbeat to every connected peer.
    private func beat(now: Instant) {
        nextBeat = nextBeat + configuration.liveness.interval
        if nextBeat <= now { nextBeat = now + configuration.liveness.interval }
        let diskAge = service.sources.diskAge(now)
        var loopAge = Interval.zero
        for index in watches.indices { loopAge = max(loopAge, watches[index].age(now: now)) }
        for index in peers.indices {
            guard let connection = peers[index].outbound, connection.peer != nil else { continue }
            peers[index].sequence += 1
            let heartbeat = Heartbeat(
                node: configuration.identity.node, incarnation: configuration.identity.incarnation,
                sequence: peers[index].sequence, sentAt: now, diskAge: diskAge, loopAge: loopAge,
                digest: service.sources.digest(peers[index].node))
            var payload = ByteWriter(capacity: 64)
            heartbeat.encode(into: &payload)
            var frame = ByteWriter(capacity: 96)
            PeerFrame(kind: .heartbeat, payload: payload.take()).encode(into: &frame)
            if !connection.send(frame.take(), mayDrop: true) { lost(connection, now: now) }
        }
    }

    /// Tells of new verdicts, once until they are taken.
    private func publish() {
        let isNews = service.withShared { shared in
            guard !shared.verdicts.isEmpty, !shared.isNotified else { return false }
            shared.isNotified = true
            return true
        }
        if isNews { handlers.notify() }
    }

    // MARK: - Waiting

    private func nextDeadline(_ detector: Instant) -> Instant {
        var deadline = min(nextBeat, detector)
        for peer in peers {
            if let connection = peer.outbound {
                if connection.peer == nil { deadline = min(deadline, expiry(of: connection)) }
            } else if peer.address != nil {
                deadline = min(deadline, peer.dialAt)
            }
        }
        for connection in strangers { deadline = min(deadline, expiry(of: connection)) }
        return deadline
    }

    private func wait(until deadline: Instant) {
        polls.removeAll(keepingCapacity: true)
        polled.removeAll(keepingCapacity: true)
        let now = MonotonicClock.now()
        polls.append(pollfd(fd: wakeUp.descriptor, events: Int16(POLLIN), revents: 0))
        polls.append(pollfd(fd: now < listenerMutedUntil ? -1 : listener, events: Int16(POLLIN), revents: 0))
        for peer in peers {
            if let connection = peer.outbound { poll(connection) }
            if let connection = peer.inbound { poll(connection) }
        }
        for connection in strangers { poll(connection) }
        let milliseconds = Int32(clamping: ((deadline - now).nanoseconds + 999_999) / 1_000_000)
        let count = Glibc.poll(&polls, nfds_t(polls.count), milliseconds)
        if count <= 0 { for index in polls.indices { polls[index].revents = 0 } }
    }

    private func poll(_ connection: HeartbeatConnection) {
        var events = Int16(POLLIN)
        if case .connecting = connection.phase { events = Int16(POLLOUT) }
        polls.append(pollfd(fd: connection.descriptor, events: events, revents: 0))
        polled.append(connection)
    }

    private func serve() {
        if polls[0].revents != 0 { wakeUp.drain() }
        for (index, connection) in polled.enumerated() where polls[index + 2].revents != 0 && !connection.isClosed {
            ready(connection)
        }
        if polls[1].revents != 0 { acceptAll() }
        strangers.removeAll { $0.isClosed || $0.peer != nil }
    }

    private func end() {
        for index in peers.indices {
            drop(&peers[index].outbound, .stopping)
            drop(&peers[index].inbound, .stopping)
        }
        for connection in strangers { connection.close() }
        SystemSocket.close(listener)
        service.finished()
    }
}
