import Logging
import NIOCore
import NIOPosix
import Primitives

extension PeerLinks {
    /// Connects to the peer, if that is our part, and there is neither a link nor an attempt.
    func dial(_ index: Int) {
        let endpoint = peers[index].endpoint
        guard !isStopped, configuration.identity.node < endpoint.node else { return }
        guard peers[index].link == nil, peers[index].attempt == nil else { return }
        peers[index].redial?.cancel()
        peers[index].redial = nil
        let handler = makeHandler(target: endpoint.node)
        peers[index].attempt = handler
        let bound = NIOLoopBound((self, handler), eventLoop: eventLoop)
        let limits = configuration.limits
        var bootstrap = ClientBootstrap(group: eventLoop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.writeBufferWaterMark, value: PeerLinks.waterMark(limits))
            .connectTimeout(.nanoseconds(Int64(limits.connectTimeout.nanoseconds)))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(bound.value.1)
                }
            }
        if let local = try? SocketAddress(ipAddress: configuration.listen.host, port: 0),
            !["0.0.0.0", "::"].contains(configuration.listen.host)
        {
            bootstrap = bootstrap.bind(to: local)
        }
        let connected: EventLoopFuture<any Channel>
        if let address = try? SocketAddress(ipAddress: endpoint.address.host, port: Int(endpoint.address.port)) {
            connected = bootstrap.connect(to: address)
        } else {
            connected = bootstrap.connect(host: endpoint.address.host, port: Int(endpoint.address.port))
        }
        connected.whenFailure { error in
            let (links, handler) = bound.value
            links.dialFailed(handler, "\(error)")
        }
    }

    private static func waterMark(_ limits: PeerLinkLimits) -> ChannelOptions.Types.WriteBufferWaterMark {
        ChannelOptions.Types.WriteBufferWaterMark(low: limits.backedUpBytes / 2, high: limits.backedUpBytes)
    }

    private func makeHandler(target: NodeID?) -> PeerChannelHandler {
        attempts += 1
        var nonce = ByteWriter(capacity: PeerHello.nonceSize)
        for _ in 0..<PeerHello.nonceSize / 8 { nonce.write(randomness.next() as UInt64) }
        var parameters = PeerHandshake.Parameters(
            identity: configuration.identity, cluster: cluster, kind: .data, secrets: configuration.secrets,
            peers: peers.map(\.endpoint.node), nonce: nonce.take())
        parameters.features = configuration.features
        parameters.attempt = attempts
        let handshake =
            target.map { PeerHandshake(dialling: $0, parameters) } ?? PeerHandshake(accepting: parameters)
        return PeerChannelHandler(
            owner: self, target: target, handshake: handshake, messageLimit: configuration.limits.messageBytes)
    }

    /// Takes over an accepted data connection.
    func adopt(_ descriptor: CInt) {
        guard !isStopped, strangers.count < configuration.limits.unauthenticatedConnections else {
            return SystemSocket.close(descriptor)
        }
        let handler = makeHandler(target: nil)
        strangers.append(handler)
        let bound = NIOLoopBound((self, handler), eventLoop: eventLoop)
        ClientBootstrap(group: eventLoop)
            .channelOption(.writeBufferWaterMark, value: PeerLinks.waterMark(configuration.limits))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(bound.value.1)
                }
            }
            .withConnectedSocket(descriptor)
            .whenFailure { error in
                let (links, handler) = bound.value
                links.handshakeFailed(handler, "\(error)")
            }
    }

    func dialFailed(_ handler: PeerChannelHandler, _ reason: String) {
        guard let index = peers.firstIndex(where: { $0.attempt === handler }) else { return }
        peers[index].attempt = nil
        if peers[index].trouble != reason {
            peers[index].trouble = reason
            logger.info("No link to \(peers[index].endpoint.node) at \(peers[index].endpoint.address): \(reason)")
        }
        scheduleDial(index)
    }

    func scheduleDial(_ index: Int) {
        guard !isStopped, configuration.identity.node < peers[index].endpoint.node else { return }
        let node = peers[index].endpoint.node
        let pause = peers[index].backoff.pause()
        peers[index].redial?.cancel()
        peers[index].redial = eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(Int64(pause.nanoseconds))) {
            [weak self] in
            guard let self, let index = self.index(of: node) else { return }
            self.dial(index)
        }
    }

    /// The node is known to live: dials it at once. An attempt that is older than the news may hang on its dead
    /// process.
    func kick(_ node: NodeID) {
        guard let index = index(of: node), peers[index].link == nil else { return }
        peers[index].backoff.reset()
        if let attempt = peers[index].attempt, MonotonicClock.now() - attempt.startedAt > .milliseconds(200) {
            peers[index].attempt = nil
            attempt.close(nil)
        }
        dial(index)
    }
}
