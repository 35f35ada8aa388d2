public import Primitives

/// Where a node listens for its peers: a numeric IPv4 or IPv6 address, or a host name, and a TCP port.
public struct PeerAddress: Hashable, Sendable {
    /// Numeric, or a name to resolve.
    public var host: String
    /// 0 lets the system choose; only for a listener.
    public var port: UInt16

    /// Names a place.
    public init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }
}

extension PeerAddress: CustomStringConvertible {
    /// `host:port`, an IPv6 host in brackets.
    public var description: String { host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// A configured peer.
public struct PeerEndpoint: Hashable, Sendable {
    /// The configured number.
    public var node: NodeID
    /// Where it listens.
    public var address: PeerAddress

    /// Names a peer.
    public init(node: NodeID, address: PeerAddress) {
        self.node = node
        self.address = address
    }
}
