import Primitives

/// One heartbeat connection, or an accepted one whose kind is not known yet. Confined to the heartbeat thread.
final class HeartbeatConnection {
    enum Phase {
        /// Dialled, and the system has not answered yet.
        case connecting
        /// Accepted; the preamble's bytes that came so far.
        case preamble([UInt8])
        case handshake(PeerHandshake)
        case open(AuthenticatedPeer)
        case closed
    }

    let descriptor: CInt
    /// Whom we dialled; nil for an accepted connection.
    let target: NodeID?
    var phase: Phase
    var reader = PeerFrameReader(limit: PeerFrame.maximumUnauthenticatedPayload)
    /// When an unfinished handshake is given up; when an open connection was opened.
    var since: Instant
    /// The last thing that went wrong, for the log.
    var trouble: String?

    init(descriptor: CInt, target: NodeID?, phase: Phase, since: Instant) {
        self.descriptor = descriptor
        self.target = target
        self.phase = phase
        self.since = since
    }

    var peer: AuthenticatedPeer? {
        if case .open(let peer) = phase { return peer }
        return nil
    }

    var isClosed: Bool {
        if case .closed = phase { return true }
        return false
    }

    /// Sends a few bytes whole. Not all fit only when the peer has stopped reading for a long time.
    ///
    /// - Returns: false when the connection is of no use any more; nothing was sent, and it is still usable, when
    /// `bytes`   may be dropped.
    func send(_ bytes: Bytes, mayDrop: Bool = false) -> Bool {
        if bytes.isEmpty { return true }
        do throws(SocketFailure) {
            let sent = try bytes.withUnsafeBytes { buffer throws(SocketFailure) in
                try SystemSocket.write(descriptor, buffer)
            }
            if sent == bytes.count || (sent == 0 && mayDrop) { return true }
            trouble = "its socket is full"
        } catch {
            trouble = error.description
        }
        return false
    }

    func sayFarewell(_ farewell: PeerFarewell) {
        guard peer != nil else { return }
        var writer = ByteWriter()
        PeerFrame(kind: .farewell, payload: farewell.encode()).encode(into: &writer)
        _ = send(writer.take(), mayDrop: true)
    }

    func close() {
        if isClosed { return }
        phase = .closed
        SystemSocket.close(descriptor)
    }
}

/// The heartbeats to one peer and the ones from it.
struct HeartbeatPeer {
    let node: NodeID
    /// The configured address; the system's form is nil while a name could not be resolved.
    var endpoint: PeerEndpoint
    var address: SocketAddressBytes?
    var backoff: Backoff
    /// When to dial, unless `outbound` is there.
    var dialAt: Instant
    var outbound: HeartbeatConnection?
    var inbound: HeartbeatConnection?
    /// Counts the heartbeats sent by this process.
    var sequence: UInt64 = 0
    /// The last failure logged, so that a dead peer fills no log.
    var lastTrouble: String?
}
