import Logging
import NIOCore
public import Primitives

extension PeerLinks {
    func handshakeFailed(_ handler: PeerChannelHandler, _ reason: String) {
        if handler.target != nil { return dialFailed(handler, reason) }
        strangers.removeAll { $0 === handler }
        logger.warning("A peer connection from \(handler.remoteHost ?? "somewhere") was not opened: \(reason)")
    }

    /// Why an authenticated peer is not let in.
    func refusal(of peer: AuthenticatedPeer, on handler: PeerChannelHandler) -> PeerRefusal? {
        let node = peer.identity.node
        guard !isStopped, let index = index(of: node) else { return PeerRefusal(.unknownNode, "\(node) was removed") }
        // First: a node on another store counts its incarnations anew, and should hear the real reason.
        if let refusal = delegate?.refusal(of: peer.identity, cluster: peer.cluster) { return refusal }
        if let known = heartbeats.incarnation(of: node), known > peer.identity.incarnation {
            return PeerRefusal(.stale, "\(node) has \(known), this is \(peer.identity.incarnation)")
        }
        if handler.target == nil, let current = peers[index].link?.peer,
            current.identity.incarnation == peer.identity.incarnation, current.attempt >= peer.attempt
        {
            return PeerRefusal(.stale, "a newer connection of \(node) is open")
        }
        return nil
    }

    /// A peer does not let this node in, by the decision of its owner.
    func notAdmitted(_ refusal: PeerRefusal) { delegate?.notAdmitted(refusal) }

    func linkOpened(_ handler: PeerChannelHandler, _ peer: AuthenticatedPeer, bootstrap: Bytes) {
        strangers.removeAll { $0 === handler }
        let node = peer.identity.node
        guard let index = index(of: node) else { return handler.close(.closing) }
        if peers[index].attempt === handler { peers[index].attempt = nil }
        if let old = peers[index].link?.peer?.identity {
            let isRestart = old.incarnation < peer.identity.incarnation
            close(index, isRestart ? .newIncarnation(peer.identity.incarnation) : .replaced, farewell: .closing)
        }
        guard let index = self.index(of: node) else { return handler.close(.closing) }
        peers[index].backoff.reset()
        peers[index].trouble = nil
        peers[index].link = handler
        logger.info("Linked to \(peer.identity)")
        // The verdict on the new process precedes its link.
        heartbeats.connected(peer.identity, host: handler.remoteHost)
        deliverVerdicts()
        guard let index = self.index(of: node), peers[index].link === handler else { return }
        delegate?.linkUp(peer.identity, bootstrap: bootstrap)
    }

    /// The far side ended an open connection, or sent what cannot be understood.
    func linkLost(_ handler: PeerChannelHandler, _ peer: AuthenticatedPeer, _ reason: LinkDownReason) {
        let node = peer.identity.node
        switch reason {
        case .reset: heartbeats.linkReset(node, peer.identity.incarnation)
        case .stopping: heartbeats.stopping(node, peer.identity.incarnation)
        default: break
        }
        if let index = index(of: node), peers[index].link === handler {
            close(index, reason, farewell: .closing)
            if let index = self.index(of: node) { scheduleDial(index) }
        }
        deliverVerdicts()
    }

    /// Closes the link to a node, if it is still there, and makes another: it sent what its receiver does not
    /// understand, or a new handshake is to tell what the last one could not. May be called from within
    /// `PeerLinksDelegate.received`.
    public func reset(_ node: NodeID, _ reason: LinkDownReason = .notUnderstood) {
        guard let index = index(of: node), peers[index].link != nil else { return }
        close(index, reason, farewell: .closing)
        if let index = self.index(of: node) { scheduleDial(index) }
    }

    /// Closes the open link, if there is one, and says so.
    func close(_ index: Int, _ reason: LinkDownReason, farewell: PeerFarewell?) {
        guard let link = peers[index].link else { return }
        let node = peers[index].endpoint.node
        peers[index].link = nil
        link.close(farewell)
        logger.info("The link to \(node) is down: \(reason)")
        delegate?.linkDown(node, reason: reason)
    }

    // MARK: - Liveness

    func deliverVerdicts() {
        if isStopped { return }
        let verdicts = heartbeats.takeVerdicts()
        if verdicts.isEmpty { return }
        for verdict in verdicts { logger.info("Liveness: \(verdict)") }
        delegate?.livenessChanged(verdicts)
        for verdict in verdicts {
            switch verdict {
            case .up(let node, let incarnation): nodeIsUp(node, incarnation)
            case .suspected(let node, _): watchSilence(of: node)
            case .stalled: break
            }
        }
    }

    private func nodeIsUp(_ node: NodeID, _ incarnation: Incarnation) {
        if let index = index(of: node), let linked = peers[index].link?.peer?.identity,
            linked.incarnation < incarnation
        {
            close(index, .newIncarnation(incarnation), farewell: nil)
        }
        kick(node)
    }

    /// Gives up the link of a suspected node that stays silent. TCP would keep it, and be slow to use it when the
    /// silence ends.
    private func watchSilence(of node: NodeID) {
        guard let index = index(of: node) else { return }
        let limit = configuration.limits.silentLinkTimeout
        peers[index].watch?.cancel()
        peers[index].watch = eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(Int64(limit.nanoseconds))) {
            [weak self] in
            guard let self, !self.isStopped, let index = self.index(of: node), self.peers[index].link != nil,
                case .suspected = self.heartbeats.status(of: node)
            else { return }
            guard self.heartbeats.silence(of: node) >= limit else { return self.watchSilence(of: node) }
            self.close(index, .silent, farewell: .closing)
            if let index = self.index(of: node) { self.dial(index) }
        }
    }
}
