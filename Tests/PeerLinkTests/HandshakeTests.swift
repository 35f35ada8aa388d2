import PeerLink
import Primitives
import Testing

/// One side of a handshake, with its reader: bytes in, bytes out.
struct Side {
    var handshake: PeerHandshake
    var bootstrap: Bytes
    private(set) var established: (peer: AuthenticatedPeer, bootstrap: Bytes)?
    private(set) var refused: PeerRefusal?
    private(set) var refusedByPeer: PeerRefusal?
    /// Frames received, for replays.
    private(set) var sent: [Bytes] = []

    init(_ handshake: PeerHandshake, bootstrap: String = "") {
        self.handshake = handshake
        self.bootstrap = Bytes(bootstrap)
    }

    mutating func start() -> Bytes { note(handshake.start()) }

    mutating func receive(_ bytes: Bytes) throws -> Bytes {
        var reader = PeerFrameReader(limit: PeerFrame.maximumWelcomePayload)
        var output = ByteWriter()
        for frame in try read(bytes.toArray(), step: max(bytes.count, 1), with: &reader) {
            #expect(frame.payload.count <= handshake.frameLimit)
            output.write(note(handshake.receive(frame)))
        }
        return output.take()
    }

    private mutating func note(_ first: HandshakeStep) -> Bytes {
        var output = ByteWriter()
        var step = first
        output.write(step.output)
        if case .authenticated = step.outcome {
            step = handshake.accept(bootstrap: bootstrap)
            output.write(step.output)
        }
        switch step.outcome {
        case .established(let peer, let bootstrap): established = (peer, bootstrap)
        case .refused(let refusal): refused = refused ?? refusal
        case .refusedByPeer(let refusal): refusedByPeer = refusal
        case .pending, .authenticated: break
        }
        let bytes = output.take()
        sent.append(bytes)
        return bytes
    }
}

func secret(_ text: String) throws -> PeerSecret { try #require(PeerSecret(text)) }

func parameters(
    _ node: UInt16, nonce: UInt8, secrets: [String] = ["sesame"], kind: PeerConnectionKind = .data
) throws -> PeerHandshake.Parameters {
    PeerHandshake.Parameters(
        identity: PeerIdentity(
            node: NodeID(node), store: StoreID(high: 1, low: UInt64(node)), incarnation: Incarnation(4)),
        cluster: nil, kind: kind, secrets: try secrets.map(secret), peers: [NodeID(1), NodeID(2), NodeID(3)],
        nonce: Bytes([UInt8](repeating: nonce, count: 32)))
}

/// Lets both sides talk until both are silent.
func converse(_ dialler: inout Side, _ acceptor: inout Side) throws {
    _ = acceptor.start()
    var toAcceptor = dialler.start()
    for _ in 0..<10 where !toAcceptor.isEmpty {
        let toDialler = try acceptor.receive(toAcceptor)
        toAcceptor = try dialler.receive(toDialler)
    }
}

@Suite struct HandshakeTests {
    private func pair(
        _ change: (inout PeerHandshake.Parameters, inout PeerHandshake.Parameters) throws -> Void = { _, _ in }
    ) throws -> (dialler: Side, acceptor: Side) {
        var first = try parameters(1, nonce: 0xa)
        var second = try parameters(2, nonce: 0xb)
        try change(&first, &second)
        var dialler = Side(PeerHandshake(dialling: NodeID(2), first), bootstrap: "from 1")
        var acceptor = Side(PeerHandshake(accepting: second), bootstrap: "from 2")
        try converse(&dialler, &acceptor)
        return (dialler, acceptor)
    }

    @Test("both sides learn who the other is and what it told")
    func agreement() throws {
        let (dialler, acceptor) = try pair { first, second in
            first.features = 0b0110
            second.features = 0b0011
            first.attempt = 12
            first.cluster = ClusterID(high: 5, low: 6)
        }
        #expect(dialler.established?.peer.identity.node == NodeID(2))
        #expect(dialler.established?.bootstrap == Bytes("from 2"))
        #expect(acceptor.established?.peer.identity == (try parameters(1, nonce: 0)).identity)
        #expect(acceptor.established?.bootstrap == Bytes("from 1"))
        #expect(acceptor.established?.peer.features == 0b0010)
        #expect(acceptor.established?.peer.attempt == 12)
        #expect(acceptor.established?.peer.cluster == ClusterID(high: 5, low: 6))
        #expect(acceptor.established?.peer.version == PeerHandshake.protocols.upperBound)
    }

    @Test("another secret is refused, and both sides know why")
    func wrongSecret() throws {
        let (dialler, acceptor) = try pair { first, _ in first.secrets = [try secret("open")] }
        #expect(acceptor.refused?.code == .secret)
        #expect(dialler.refusedByPeer?.code == .secret)
        #expect(dialler.established == nil && acceptor.established == nil)
    }

    @Test("an acceptor that does not know the secret is refused by the dialler")
    func falseAcceptor() throws {
        // It lets anybody in, as an impostor would, and still cannot prove itself.
        var dialler = Side(PeerHandshake(dialling: NodeID(2), try parameters(1, nonce: 1)))
        let impostor = try parameters(2, nonce: 2, secrets: ["guess"])
        var helper = Side(PeerHandshake(accepting: impostor))
        _ = helper.start()
        let hello = try helper.receive(dialler.start())
        _ = try dialler.receive(hello)
        var writer = ByteWriter()
        PeerFrame(kind: .proof, payload: Bytes([UInt8](repeating: 0, count: 32))).encode(into: &writer)
        PeerFrame(kind: .welcome, payload: Bytes("trust me")).encode(into: &writer)
        _ = try dialler.receive(writer.take())
        #expect(dialler.refused?.code == .secret)
        #expect(dialler.established == nil)
    }

    @Test("a secret can be changed step by step")
    func rotation() throws {
        let (dialler, acceptor) = try pair { first, second in
            first.secrets = [try secret("new"), try secret("old")]
            second.secrets = [try secret("old"), try secret("new")]
        }
        #expect(dialler.established != nil && acceptor.established != nil)
    }

    @Test("what was recorded does not open a second connection")
    func replay() throws {
        let (recorded, _) = try pair()
        var fresh = Side(PeerHandshake(accepting: try parameters(2, nonce: 0xc)))
        _ = fresh.start()
        for bytes in recorded.sent where fresh.refused == nil { _ = try fresh.receive(bytes) }
        #expect(fresh.refused?.code == .secret)
        #expect(fresh.established == nil)
    }

    @Test("a proof sent back to its author proves nothing")
    func reflection() throws {
        // The attacker answers the dialler with the dialler's own frames.
        var victim = Side(PeerHandshake(dialling: NodeID(2), try parameters(1, nonce: 1)))
        let hello = victim.start()
        _ = try victim.receive(hello)
        #expect(victim.refused?.code == .misdirected)

        // An attacker that borrows another node's name and the victim's nonce is not believed either.
        var second = Side(PeerHandshake(dialling: NodeID(2), try parameters(1, nonce: 1)))
        var mirror = Side(PeerHandshake(accepting: try parameters(2, nonce: 9, secrets: ["unknown"])))
        _ = mirror.start()
        let proof = try second.receive(try mirror.receive(second.start()))
        _ = try second.receive(proof)
        #expect(second.refused?.code == .secret)

        // A nonce that is our own is refused before anything is proved.
        var third = Side(PeerHandshake(dialling: NodeID(2), try parameters(1, nonce: 1)))
        var echo = Side(PeerHandshake(accepting: try parameters(2, nonce: 1)))
        _ = echo.start()
        _ = try echo.receive(third.start())
        #expect(echo.refused?.code == .secret)
    }

    @Test("versions without an overlap are refused with both ranges")
    func version() throws {
        let (dialler, acceptor) = try pair { first, second in
            first.protocols = 1...2
            second.protocols = 3...4
        }
        #expect(acceptor.refused?.code == .version)
        #expect(dialler.refusedByPeer?.text.contains("3...4") == true)
        #expect(dialler.refusedByPeer?.text.contains("1...2") == true)
        let (_, newer) = try pair { first, second in
            first.protocols = 1...5
            second.protocols = 2...3
        }
        #expect(newer.established?.peer.version == 3)
    }

    @Test("identities that do not fit are refused")
    func identities() throws {
        let (_, cluster) = try pair { first, second in
            first.cluster = ClusterID(high: 0, low: 1)
            second.cluster = ClusterID(high: 0, low: 2)
        }
        #expect(cluster.refused?.code == .cluster)
        let (_, unknown) = try pair { _, second in second.peers = [NodeID(3)] }
        #expect(unknown.refused?.code == .unknownNode)
        let (_, misdirected) = try pair { _, second in second.identity.node = NodeID(3) }
        #expect(misdirected.refused?.code == .misdirected)
        let (_, itself) = try pair { first, second in first.identity.node = second.identity.node }
        #expect(itself.refused?.code == .unknownNode)
        let (_, kind) = try pair { first, _ in first.kind = .heartbeat }
        #expect(kind.refused?.code == .malformed)
    }

    @Test("the caller may refuse an authenticated peer")
    func admission() throws {
        var dialler = Side(PeerHandshake(dialling: NodeID(2), try parameters(1, nonce: 1)))
        var acceptor = PeerHandshake(accepting: try parameters(2, nonce: 2))
        _ = acceptor.start()
        var reader = PeerFrameReader(limit: 4_096)
        func frame(_ bytes: Bytes) throws -> PeerFrame {
            try #require(try read(bytes.toArray(), step: bytes.count, with: &reader).first)
        }
        let proof = try dialler.receive(acceptor.receive(try frame(dialler.start())).output)
        guard case .authenticated(let peer) = acceptor.receive(try frame(proof)).outcome else {
            Issue.record("the proof did not convince")
            return
        }
        #expect(peer.identity.node == NodeID(1))
        let step = acceptor.refuse(PeerRefusal(.notAdmitted, "another store"))
        _ = try dialler.receive(step.output)
        #expect(dialler.refusedByPeer == PeerRefusal(.notAdmitted, "another store"))
    }

    @Test("frames out of turn, in chunks or cut are refused, whatever they hold")
    func garbage() throws {
        var recorded = Side(PeerHandshake(dialling: NodeID(2), try parameters(1, nonce: 1)))
        var reader = PeerFrameReader(limit: 4_096)
        let bytes = recorded.start()
        let hello = try #require(try read(bytes.toArray(), step: bytes.count, with: &reader).first)
        func refusal(of frame: PeerFrame) throws -> PeerRefusal? {
            var acceptor = PeerHandshake(accepting: try parameters(2, nonce: 2))
            _ = acceptor.start()
            if case .refused(let refusal) = acceptor.receive(frame).outcome { return refusal }
            return nil
        }
        #expect(try refusal(of: hello) == nil)
        for kind in [PeerFrameKind.proof, .welcome, .message, .farewell, .heartbeat] {
            #expect(try refusal(of: PeerFrame(kind: kind, payload: hello.payload))?.code == .malformed)
        }
        #expect(
            try refusal(of: PeerFrame(kind: .hello, isContinued: true, payload: hello.payload))?.code == .malformed)
        for count in 0..<hello.payload.count {
            let cut = PeerFrame(kind: .hello, payload: hello.payload[0..<count])
            #expect(try refusal(of: cut)?.code == .malformed)
        }
        var random = SeededRandom(seed: 5)
        for _ in 0..<1_000 {
            var damaged = hello.payload.toArray()
            damaged[Int(random.next(below: UInt64(damaged.count)))] ^= UInt8(random.next(below: 255) + 1)
            var acceptor = PeerHandshake(accepting: try parameters(2, nonce: 2))
            _ = acceptor.start()
            if case .established = acceptor.receive(PeerFrame(kind: .hello, payload: Bytes(damaged))).outcome {
                Issue.record("established by a hello")
            }
        }
    }

    @Test("a secret does not show, and an empty one is none")
    func secrecy() throws {
        #expect(PeerSecret("") == nil)
        let value = try secret("sesame")
        var dumped = ""
        dump(value, to: &dumped)
        #expect(!"\(value)".contains("sesame") && !dumped.contains("sesame"))
    }
}
