internal import Primitives

/// What a connection is for; also the last byte of the preamble.
public enum PeerConnectionKind: UInt8, Sendable {
    case data = 1
    case heartbeat = 2
}

/// The eight bytes that open a connection, from the dialling side: they tell peers from strangers, and say which thread
/// is to serve the connection before anything else is read.
public enum PeerPreamble {
    /// Bytes of the preamble.
    public static let size = 8
    private static let prefix: [UInt8] = Array("WARRENP".utf8)

    /// What a connection of this kind begins with.
    public static func bytes(_ kind: PeerConnectionKind) -> [UInt8] { prefix + [kind.rawValue] }

    /// The kind that `bytes`, exactly `size` of them, open; nil when they are no preamble.
    public static func parse(_ bytes: UnsafeRawBufferPointer) -> PeerConnectionKind? {
        guard bytes.count == size, bytes[0..<7].elementsEqual(prefix) else { return nil }
        return PeerConnectionKind(rawValue: bytes[7])
    }
}

/// The first frame of each side. Later versions append fields; a decoder ignores what follows the ones it knows.
struct PeerHello: Hashable, Sendable {
    static let nonceSize = 32
    static let format: UInt8 = 1

    /// The protocol versions that the sender speaks.
    var protocols: ClosedRange<UInt16>
    var kind: PeerConnectionKind
    /// Which of several data connections between two nodes; 0 as long as there is one.
    var lane: UInt16
    var cluster: ClusterID?
    var identity: PeerIdentity
    /// Whom the sender believes to talk to.
    var to: NodeID
    var features: UInt64
    /// Counts the connections that the sender's process opened, so that a late one does not replace a newer one.
    var attempt: UInt64
    /// Fresh random bytes.
    var nonce: Bytes

    func encode() -> Bytes {
        var writer = ByteWriter(capacity: 128)
        writer.write(PeerHello.format)
        writer.write(protocols.lowerBound)
        writer.write(protocols.upperBound)
        writer.write(kind.rawValue)
        writer.write(lane)
        writer.write(UInt8(cluster == nil ? 0 : 1))
        writer.write(cluster?.high ?? 0)
        writer.write(cluster?.low ?? 0)
        writer.write(identity.node.rawValue)
        writer.write(identity.store.high)
        writer.write(identity.store.low)
        writer.write(identity.incarnation.rawValue)
        writer.write(to.rawValue)
        writer.write(features)
        writer.write(attempt)
        writer.write(nonce)
        return writer.take()
    }

    init(
        protocols: ClosedRange<UInt16>, kind: PeerConnectionKind, lane: UInt16, cluster: ClusterID?,
        identity: PeerIdentity, to: NodeID, features: UInt64, attempt: UInt64, nonce: Bytes
    ) {
        precondition(nonce.count == PeerHello.nonceSize)
        self.protocols = protocols
        self.kind = kind
        self.lane = lane
        self.cluster = cluster
        self.identity = identity
        self.to = to
        self.features = features
        self.attempt = attempt
        self.nonce = nonce
    }

    init(decoding bytes: Bytes) throws(DecodingFailure) {
        self = try bytes.withUnsafeBytes { buffer throws(DecodingFailure) in
            var reader = ByteReader(buffer)
            return try PeerHello(reader: &reader)
        }
    }

    private init(reader: inout ByteReader) throws(DecodingFailure) {
        guard try reader.read(UInt8.self) == PeerHello.format else { throw .invalid("hello format") }
        let lowest: UInt16 = try reader.read()
        let highest: UInt16 = try reader.read()
        guard lowest <= highest else { throw .invalid("protocol range") }
        protocols = lowest...highest
        guard let kind = PeerConnectionKind(rawValue: try reader.read()) else { throw .invalid("connection kind") }
        self.kind = kind
        lane = try reader.read()
        let hasCluster: UInt8 = try reader.read()
        guard hasCluster <= 1 else { throw .invalid("cluster flag") }
        let cluster = ClusterID(high: try reader.read(), low: try reader.read())
        self.cluster = hasCluster == 1 ? cluster : nil
        let node = NodeID(try reader.read())
        let store = StoreID(high: try reader.read(), low: try reader.read())
        identity = PeerIdentity(node: node, store: store, incarnation: Incarnation(try reader.read()))
        to = NodeID(try reader.read())
        features = try reader.read()
        attempt = try reader.read()
        nonce = Bytes(copying: try reader.readBytes(PeerHello.nonceSize))
    }
}
