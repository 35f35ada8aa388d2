public import Primitives

/// The far side of a connection that has proved who it is.
public struct AuthenticatedPeer: Hashable, Sendable {
    /// Who the node is.
    public var identity: PeerIdentity
    /// The cluster it belongs to; nil before it was founded.
    public var cluster: ClusterID?
    /// The highest protocol version that both sides speak.
    public var version: UInt16
    /// What both sides announced.
    public var features: UInt64
    /// Counts the attempts of the dialling process, so that the newer of two connections wins.
    public var attempt: UInt64
    /// The event loop that the connection belongs to.
    public var lane: UInt16
}

/// What the handshake wants done, and how far it is.
public struct HandshakeStep: Sendable {
    /// Where the handshake stands after a step.
    public enum Outcome: Sendable {
        /// More frames are needed.
        case pending
        /// The peer proved who it is; the caller answers with `accept` or `refuse`.
        case authenticated(AuthenticatedPeer)
        /// The connection is open. `bootstrap` is what the peer's caller told us.
        case established(AuthenticatedPeer, bootstrap: Bytes)
        /// We refused; close once `output` is sent.
        case refused(PeerRefusal)
        /// The peer refused us; close.
        case refusedByPeer(PeerRefusal)
    }

    /// Bytes to send, in order, before anything else.
    public var output: Bytes
    /// Where the handshake stands.
    public var outcome: Outcome
}

/// The opening of a connection between two nodes: who they are, that both know the secret, and what they tell first.
///
/// ```
/// dialler                      acceptor
///    ── hello(identity, nonce) ──▶
///    ◀── hello(identity, nonce) ──
///    ── proof ───────────────────▶   HMAC-SHA256(secret, role ‖ both hellos)
///    ◀── proof, welcome ──────────
///    ── welcome ─────────────────▶   (bootstrap bytes of the caller)
/// ```
///
/// A proof covers both nonces and both identities, and the role, so that it can neither be replayed nor reflected. The
/// dialler proves itself first: an acceptor reveals nothing that depends on the secret to a stranger. A refusal says
/// why. What follows the handshake is protected against accidents (CRC-32C), not against an attacker on the path.
public struct PeerHandshake: Sendable {
    /// The protocol versions of this build. In 2 the first chunk of a message tells the length of all.
    public static let protocols: ClosedRange<UInt16> = 1...2

    /// Which side of the connection speaks.
    public enum Role: Sendable { case dialler, acceptor }

    /// What a side brings.
    public struct Parameters: Sendable {
        /// Who the node is.
        public var identity: PeerIdentity
        /// The cluster it belongs to; nil before it was founded.
        public var cluster: ClusterID?
        /// What the connection is for.
        public var kind: PeerConnectionKind
        /// The event loop that the connection belongs to.
        public var lane: UInt16 = 0
        /// Optional abilities, as bits.
        public var features: UInt64 = 0
        /// The protocol versions spoken.
        public var protocols = PeerHandshake.protocols
        /// The first proves who we are; any proves a peer.
        public var secrets: [PeerSecret]
        /// The nodes that may connect.
        public var peers: [NodeID]
        /// Counts the attempts of the dialling process, so that the newer of two connections wins.
        public var attempt: UInt64 = 0
        /// 32 fresh random bytes.
        public var nonce: Bytes

        /// Collects what this side says of itself.
        public init(
            identity: PeerIdentity, cluster: ClusterID?, kind: PeerConnectionKind, secrets: [PeerSecret],
            peers: [NodeID], nonce: Bytes
        ) {
            self.identity = identity
            self.cluster = cluster
            self.kind = kind
            self.secrets = secrets
            self.peers = peers
            self.nonce = nonce
        }
    }

    private enum State {
        case start, hello, proof
        case decision(AuthenticatedPeer)
        case welcome(AuthenticatedPeer)
        case done
    }

    private let role: Role
    private let parameters: Parameters
    /// Whom the dialler wants.
    private let target: NodeID?
    private var state = State.start
    private var ownHello = Bytes()
    private var peerHello = Bytes()
    private var peer: AuthenticatedPeer?

    /// The dialling side; `target` is whom it wants to reach.
    public init(dialling target: NodeID, _ parameters: Parameters) {
        role = .dialler
        self.parameters = parameters
        self.target = target
    }

    /// The accepting side.
    public init(accepting parameters: Parameters) {
        role = .acceptor
        self.parameters = parameters
        target = nil
    }

    /// The longest payload acceptable now; to be asked after each frame.
    public var frameLimit: Int {
        if case .welcome = state { return PeerFrame.maximumWelcomePayload }
        return PeerFrame.maximumUnauthenticatedPayload
    }

    /// Begins: the dialler speaks first.
    public mutating func start() -> HandshakeStep {
        precondition(parameters.nonce.count == PeerHello.nonceSize && !parameters.secrets.isEmpty)
        guard case .start = state else { preconditionFailure("started twice") }
        state = .hello
        guard let target else { return HandshakeStep(output: Bytes(), outcome: .pending) }
        return HandshakeStep(output: makeHello(to: target), outcome: .pending)
    }

    /// Takes a frame of the peer.
    public mutating func receive(_ frame: PeerFrame) -> HandshakeStep {
        if frame.isContinued { return refuse(PeerRefusal(.malformed, "a handshake frame in chunks")) }
        if frame.kind == .refusal {
            state = .done
            let reason = (try? PeerRefusal(decoding: frame.payload)) ?? PeerRefusal(.malformed, "an unreadable refusal")
            return HandshakeStep(output: Bytes(), outcome: .refusedByPeer(reason))
        }
        do throws(PeerRefusal) {
            switch (state, frame.kind) {
            case (.hello, .hello): return try receiveHello(frame.payload)
            case (.proof, .proof): return try receiveProof(frame.payload)
            case (.welcome(let peer), .welcome):
                state = .done
                return HandshakeStep(output: Bytes(), outcome: .established(peer, bootstrap: frame.payload))
            default: throw PeerRefusal(.malformed, "a \(frame.kind) frame out of turn")
            }
        } catch {
            return refuse(error)
        }
    }

    /// Lets the authenticated peer in, telling it `bootstrap` (at most 64 KiB).
    public mutating func accept(bootstrap: Bytes) -> HandshakeStep {
        guard case .decision(let peer) = state else { preconditionFailure("nothing to accept") }
        precondition(bootstrap.count <= PeerFrame.maximumWelcomePayload)
        var writer = ByteWriter()
        if role == .acceptor { writeProof(into: &writer) }
        PeerFrame(kind: .welcome, payload: bootstrap).encode(into: &writer)
        state = .welcome(peer)
        return HandshakeStep(output: writer.take(), outcome: .pending)
    }

    /// Ends the handshake for a reason of the caller's or our own.
    public mutating func refuse(_ reason: PeerRefusal) -> HandshakeStep {
        state = .done
        var writer = ByteWriter()
        PeerFrame(kind: .refusal, payload: reason.encode()).encode(into: &writer)
        return HandshakeStep(output: writer.take(), outcome: .refused(reason))
    }

    // MARK: - Steps

    private mutating func receiveHello(_ payload: Bytes) throws(PeerRefusal) -> HandshakeStep {
        let hello: PeerHello
        do throws(DecodingFailure) {
            hello = try PeerHello(decoding: payload)
        } catch {
            throw PeerRefusal(.malformed, "hello: \(error)")
        }
        try check(hello)
        peerHello = payload
        peer = AuthenticatedPeer(
            identity: hello.identity, cluster: hello.cluster,
            version: min(hello.protocols.upperBound, parameters.protocols.upperBound),
            features: hello.features & parameters.features, attempt: hello.attempt, lane: hello.lane)
        state = .proof
        if role == .acceptor {
            return HandshakeStep(output: makeHello(to: hello.identity.node), outcome: .pending)
        }
        var writer = ByteWriter()
        writeProof(into: &writer)
        return HandshakeStep(output: writer.take(), outcome: .pending)
    }

    private func check(_ hello: PeerHello) throws(PeerRefusal) {
        let mine = parameters.protocols
        let theirs = hello.protocols
        guard mine.overlaps(theirs) else {
            throw PeerRefusal(
                .version, "\(parameters.identity.node) speaks protocol \(mine), \(hello.identity.node) \(theirs)")
        }
        guard hello.kind == parameters.kind else { throw PeerRefusal(.malformed, "hello of another connection kind") }
        guard hello.to == parameters.identity.node else {
            throw PeerRefusal(.misdirected, "this is \(parameters.identity.node), not \(hello.to)")
        }
        let node = hello.identity.node
        if let target, node != target { throw PeerRefusal(.misdirected, "\(node) answered in place of \(target)") }
        guard node != parameters.identity.node, parameters.peers.contains(node) else {
            throw PeerRefusal(.unknownNode, "\(node) is not a peer of \(parameters.identity.node)")
        }
        if let ours = parameters.cluster, let other = hello.cluster, ours != other {
            throw PeerRefusal(.cluster, "\(parameters.identity.node) is in cluster \(ours), \(node) in \(other)")
        }
        if hello.nonce == parameters.nonce { throw PeerRefusal(.secret, "our own nonce came back") }
    }

    private mutating func receiveProof(_ payload: Bytes) throws(PeerRefusal) -> HandshakeStep {
        guard let peer else { preconditionFailure("a proof is awaited only after a hello") }
        let statement = statement(of: role == .dialler ? .acceptor : .dialler)
        guard parameters.secrets.contains(where: { $0.authenticates(statement, code: payload) }) else {
            throw PeerRefusal(.secret, "\(peer.identity.node) does not share a secret with \(parameters.identity.node)")
        }
        state = .decision(peer)
        return HandshakeStep(output: Bytes(), outcome: .authenticated(peer))
    }

    private mutating func makeHello(to node: NodeID) -> Bytes {
        let hello = PeerHello(
            protocols: parameters.protocols, kind: parameters.kind, lane: parameters.lane, cluster: parameters.cluster,
            identity: parameters.identity, to: node, features: parameters.features, attempt: parameters.attempt,
            nonce: parameters.nonce)
        ownHello = hello.encode()
        var writer = ByteWriter()
        PeerFrame(kind: .hello, payload: ownHello).encode(into: &writer)
        return writer.take()
    }

    private func writeProof(into writer: inout ByteWriter) {
        let code = parameters.secrets[0].authenticationCode(of: statement(of: role))
        PeerFrame(kind: .proof, payload: code).encode(into: &writer)
    }

    /// What the proof of `side` covers.
    private func statement(of side: Role) -> Bytes {
        let (dialler, acceptor) = role == .dialler ? (ownHello, peerHello) : (peerHello, ownHello)
        var writer = ByteWriter()
        writer.writeLengthPrefixed(side == .dialler ? "warren peer dialler" : "warren peer acceptor")
        writer.writeLengthPrefixed(dialler)
        writer.writeLengthPrefixed(acceptor)
        return writer.take()
    }
}
