import Logging
import Primitives

extension HeartbeatThread {
    // MARK: - Opening

    func expiry(of connection: HeartbeatConnection) -> Instant {
        if case .connecting = connection.phase { return connection.since + configuration.limits.connectTimeout }
        return connection.since + configuration.limits.handshakeTimeout
    }

    /// Dials every peer whose time has come, and anew the ones that have been silent too long: TCP's own repetition
    /// backs off for seconds, so that an old connection learns late that a partition has healed.
    func dialDuePeers(now: Instant) {
        for index in peers.indices {
            if let connection = peers[index].outbound, connection.peer != nil {
                let timeout = configuration.limits.silentLinkTimeout
                guard now - connection.since >= timeout, silence(of: peers[index].node, now: now) >= timeout else {
                    continue
                }
                drop(&peers[index].outbound, .closing)
                peers[index].dialAt = now
            }
            guard peers[index].outbound == nil, now >= peers[index].dialAt, let address = peers[index].address else {
                continue
            }
            do throws(SocketFailure) {
                let descriptor = try SystemSocket.connect(to: address, from: local)
                peers[index].outbound = HeartbeatConnection(
                    descriptor: descriptor, target: peers[index].node, phase: .connecting, since: now)
            } catch {
                failed(index, error.description, now: now)
            }
        }
    }

    private func silence(of node: NodeID, now: Instant) -> Interval {
        service.withShared { $0.liveness.silence(of: node, now: now) }
    }

    /// The peer is known to live: no reason to wait with dialling it.
    func kick(_ node: NodeID) {
        guard let index = peers.firstIndex(where: { $0.node == node }), peers[index].outbound == nil else { return }
        peers[index].backoff.reset()
        peers[index].dialAt = MonotonicClock.now()
    }

    func expire(now: Instant) {
        for index in peers.indices {
            guard let connection = peers[index].outbound, connection.peer == nil else { continue }
            if now >= expiry(of: connection) {
                connection.trouble = "no answer"
                lost(connection, now: now)
            }
        }
        for connection in strangers where now >= expiry(of: connection) { connection.close() }
        strangers.removeAll { $0.isClosed }
    }

    func acceptAll() {
        do throws(SocketFailure) {
            while let descriptor = try SystemSocket.accept(listener) {
                if strangers.count >= configuration.limits.unauthenticatedConnections {
                    SystemSocket.close(descriptor)
                    continue
                }
                strangers.append(
                    HeartbeatConnection(
                        descriptor: descriptor, target: nil, phase: .preamble([]), since: MonotonicClock.now()))
            }
        } catch {
            // Out of descriptors or memory: the connection stays in the queue, to be taken when there are some.
            listenerMutedUntil = MonotonicClock.now() + .milliseconds(100)
            service.logger.error("Peer connections cannot be accepted: \(error)")
        }
    }

    private func parameters() -> PeerHandshake.Parameters {
        attempts += 1
        var nonce = ByteWriter(capacity: PeerHello.nonceSize)
        for _ in 0..<PeerHello.nonceSize / 8 { nonce.write(randomness.next() as UInt64) }
        var parameters = PeerHandshake.Parameters(
            identity: configuration.identity, cluster: cluster, kind: .heartbeat, secrets: configuration.secrets,
            peers: peers.map(\.node), nonce: nonce.take())
        parameters.features = configuration.features
        parameters.attempt = attempts
        return parameters
    }

    // MARK: - Events

    /// The socket has something to say.
    func ready(_ connection: HeartbeatConnection) {
        switch connection.phase {
        case .connecting: finishConnect(connection)
        case .preamble(let bytes): readPreamble(connection, bytes)
        case .handshake, .open: readFrames(connection)
        case .closed: break
        }
    }

    private func finishConnect(_ connection: HeartbeatConnection) {
        guard let target = connection.target else { return }
        let now = MonotonicClock.now()
        if let failure = SystemSocket.connectFailure(connection.descriptor) {
            connection.trouble = failure.description
            return lost(connection, now: now)
        }
        var handshake = PeerHandshake(dialling: target, parameters())
        let step = handshake.start()
        connection.phase = .handshake(handshake)
        connection.since = now
        guard connection.send(Bytes(PeerPreamble.bytes(.heartbeat))), connection.send(step.output) else {
            return lost(connection, now: now)
        }
    }

    private func readPreamble(_ connection: HeartbeatConnection, _ bytes: [UInt8]) {
        let wanted = PeerPreamble.size - bytes.count
        let result = SystemSocket.read(
            connection.descriptor, into: UnsafeMutableRawBufferPointer(rebasing: buffer[0..<wanted]))
        guard case .bytes(let count) = result else {
            if case .wouldBlock = result { return }
            return connection.close()
        }
        let all = bytes + buffer[0..<count]
        guard all.count == PeerPreamble.size else {
            connection.phase = .preamble(all)
            return
        }
        switch all.withUnsafeBytes({ PeerPreamble.parse($0) }) {
        case .data:
            connection.phase = .closed
            handlers.dataConnection(connection.descriptor)
        case .heartbeat:
            var handshake = PeerHandshake(accepting: parameters())
            _ = handshake.start()
            connection.phase = .handshake(handshake)
        case nil:
            service.logger.warning("A connection to the peer port did not open with the peer protocol; closed.")
            connection.close()
        }
    }

    private func readFrames(_ connection: HeartbeatConnection) {
        // Bounded, so that one peer cannot keep the thread.
        for _ in 0..<16 {
            switch SystemSocket.read(connection.descriptor, into: buffer) {
            case .wouldBlock: return
            case .end:
                connection.trouble = "closed by the peer"
                return lost(connection, now: MonotonicClock.now())
            case .failed(let failure):
                connection.trouble = failure.description
                return lost(connection, now: MonotonicClock.now())
            case .bytes(let count):
                process(connection, UnsafeRawBufferPointer(rebasing: buffer[0..<count]))
                if connection.isClosed { return }
            }
        }
    }

    private func process(_ connection: HeartbeatConnection, _ input: UnsafeRawBufferPointer) {
        do throws(PeerFrameFailure) {
            var offset = 0
            while !connection.isClosed, let frame = try connection.reader.next(input, at: &offset) {
                switch connection.phase {
                case .handshake(var handshake):
                    let step = handshake.receive(frame)
                    connection.phase = .handshake(handshake)
                    advance(connection, step)
                case .open(let peer):
                    try receive(frame, from: peer, connection)
                case .connecting, .preamble, .closed:
                    return
                }
            }
        } catch {
            service.logger.warning("A heartbeat connection is closed: \(error)")
            connection.sayFarewell(.closing)
            dropLocally(connection, "\(error)")
        }
    }

    private func receive(
        _ frame: PeerFrame, from peer: AuthenticatedPeer, _ connection: HeartbeatConnection
    ) throws(PeerFrameFailure) {
        switch frame.kind {
        case .heartbeat where connection.target == nil:
            let heartbeat: Heartbeat
            do throws(DecodingFailure) {
                heartbeat = try frame.payload.withUnsafeBytes { buffer throws(DecodingFailure) in
                    var reader = ByteReader(buffer)
                    return try Heartbeat(decoding: &reader)
                }
            } catch {
                throw .payload(error)
            }
            guard heartbeat.node == peer.identity.node, heartbeat.incarnation == peer.identity.incarnation else {
                throw .payload(.invalid("heartbeat of another process"))
            }
            let now = MonotonicClock.now()
            service.withShared { $0.liveness.heartbeat(heartbeat, now: now, into: &$0.verdicts) }
        case .farewell:
            let farewell: PeerFarewell
            do throws(DecodingFailure) {
                farewell = try PeerFarewell(decoding: frame.payload)
            } catch {
                throw .payload(error)
            }
            if farewell == .stopping { service.stopping(peer.identity.node, peer.identity.incarnation) }
            dropLocally(connection, "the peer said farewell: \(farewell)")
        default:
            throw .unexpected(frame.kind)
        }
    }

    // MARK: - Handshake

    private func advance(_ connection: HeartbeatConnection, _ step: HandshakeStep) {
        var step = step
        if case .authenticated(let peer) = step.outcome, case .handshake(var handshake) = connection.phase {
            if let refusal = staleness(of: peer, connection) {
                step = handshake.refuse(refusal)
            } else {
                step = handshake.accept(bootstrap: Bytes())
                connection.reader.limit = handshake.frameLimit
            }
            connection.phase = .handshake(handshake)
        }
        let isSent = connection.send(step.output)
        switch step.outcome {
        case .pending, .authenticated:
            if !isSent { lost(connection, now: MonotonicClock.now()) }
        case .established(let peer, _): opened(connection, peer)
        case .refused(let refusal): dropLocally(connection, "refused: \(refusal)")
        case .refusedByPeer(let refusal): dropLocally(connection, "refused by the peer: \(refusal)")
        }
    }

    /// Why an authenticated connection comes too late to count.
    private func staleness(of peer: AuthenticatedPeer, _ connection: HeartbeatConnection) -> PeerRefusal? {
        let node = peer.identity.node
        if let known = service.incarnation(of: node), known > peer.identity.incarnation {
            return PeerRefusal(.stale, "\(node) has \(known), this is \(peer.identity.incarnation)")
        }
        guard connection.target == nil, let index = peers.firstIndex(where: { $0.node == node }) else { return nil }
        if let current = peers[index].inbound?.peer, current.identity.incarnation == peer.identity.incarnation,
            current.attempt >= peer.attempt
        {
            return PeerRefusal(.stale, "a newer connection of \(node) is open")
        }
        return nil
    }

    private func opened(_ connection: HeartbeatConnection, _ peer: AuthenticatedPeer) {
        let now = MonotonicClock.now()
        let node = peer.identity.node
        guard let index = peers.firstIndex(where: { $0.node == node }) else { return connection.close() }
        connection.phase = .open(peer)
        connection.since = now
        connection.reader.limit = PeerFrame.maximumUnauthenticatedPayload
        if connection.target == nil {
            drop(&peers[index].inbound, .closing)
            peers[index].inbound = connection
            kick(node)
        } else {
            peers[index].backoff.reset()
            peers[index].lastTrouble = nil
        }
        service.withShared {
            $0.liveness.connected(node, peer.identity.incarnation, now: now, into: &$0.verdicts)
        }
    }

    // MARK: - Closing

    /// The far side ended the connection: evidence against its process if it was open.
    func lost(_ connection: HeartbeatConnection, now: Instant) {
        if let peer = connection.peer {
            service.withShared {
                $0.liveness.linkReset(peer.identity.node, peer.identity.incarnation, now: now, into: &$0.verdicts)
            }
        }
        dropLocally(connection, connection.trouble ?? "lost")
    }

    /// We end the connection, or it was ended with notice: no evidence.
    private func dropLocally(_ connection: HeartbeatConnection, _ reason: String) {
        connection.close()
        for index in peers.indices {
            if peers[index].inbound === connection { peers[index].inbound = nil }
            if peers[index].outbound === connection {
                peers[index].outbound = nil
                failed(index, reason, now: MonotonicClock.now())
            }
        }
    }

    /// Schedules the next dial; logs a reason once.
    private func failed(_ index: Int, _ reason: String, now: Instant) {
        peers[index].dialAt = now + peers[index].backoff.pause()
        guard peers[index].lastTrouble != reason else { return }
        peers[index].lastTrouble = reason
        service.logger.info("Heartbeats to \(peers[index].node) at \(peers[index].endpoint.address): \(reason)")
    }

    func drop(_ connection: inout HeartbeatConnection?, _ farewell: PeerFarewell) {
        connection?.sayFarewell(farewell)
        connection?.close()
        connection = nil
    }
}
