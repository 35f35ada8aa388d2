public import Primitives

/// One event loop of one node, as the side that speaks to clients.
public struct GatewayID: Hashable, Comparable, Sendable {
    /// The node. 0 is no node's number; it is kept for sessions that belong to a queue instead of to a client.
    public var node: NodeID
    /// The event loop's number within the node.
    public var shard: UInt16

    /// The gateway of a node's shard.
    @inlinable public init(node: NodeID, shard: UInt16) {
        self.node = node
        self.shard = shard
    }

    /// By node, then shard.
    @inlinable public static func < (a: GatewayID, b: GatewayID) -> Bool {
        (a.node.rawValue, a.shard) < (b.node.rawValue, b.shard)
    }
}

/// One client's dialogue with a queue: the unit of numbering and deduplication (Raft dissertation, section 6.3).
///
/// A gateway gives increasing numbers within an incarnation of its node; an id is never used twice.
public struct SessionID: Hashable, Comparable, Sendable {
    /// Who opened it.
    public var gateway: GatewayID
    /// The gateway's, so that numbers may start again.
    public var incarnation: Incarnation
    /// Increases per gateway and incarnation; at most 2⁶² - 1.
    public var number: UInt64

    /// The session with this number.
    @inlinable public init(gateway: GatewayID, incarnation: Incarnation, number: UInt64) {
        self.gateway = gateway
        self.incarnation = incarnation
        self.number = number
    }

    /// By gateway, incarnation and number: the order in which a gateway opened them.
    @inlinable public static func < (a: SessionID, b: SessionID) -> Bool {
        if a.gateway != b.gateway { return a.gateway < b.gateway }
        return (a.incarnation.rawValue, a.number) < (b.incarnation.rawValue, b.number)
    }
}

/// A consumer of a session. Number 0 holds what the session took with `get`.
public struct ConsumerID: Hashable, Comparable, Sendable {
    /// The session that attached it.
    public var session: SessionID
    /// Chosen by the gateway, used once in the session.
    public var number: UInt32

    /// The consumer with this number.
    @inlinable public init(session: SessionID, number: UInt32) {
        self.session = session
        self.number = number
    }

    /// By session, then number.
    @inlinable public static func < (a: ConsumerID, b: ConsumerID) -> Bool {
        a.session == b.session ? a.number < b.number : a.session < b.session
    }
}

extension SessionID {
    /// Writes node (u16), shard (u16), incarnation (u32) and number (varint).
    public func encode(into writer: inout ByteWriter) {
        writer.write(gateway.node.rawValue)
        writer.write(gateway.shard)
        writer.write(incarnation.rawValue)
        writer.writeVarint(number)
    }

    /// - Throws: when the bytes end early or the number is out of bounds.
    public init(decoding reader: inout ByteReader) throws(DecodingFailure) {
        let node = NodeID(try reader.read())
        let shard = try reader.read(UInt16.self)
        let incarnation = Incarnation(try reader.read())
        let number = try reader.readVarint()
        guard number <= CommandLimits.number else { throw .invalid("session number") }
        self.init(gateway: GatewayID(node: node, shard: shard), incarnation: incarnation, number: number)
    }
}

extension ConsumerID {
    /// Writes the session and the number (varint).
    public func encode(into writer: inout ByteWriter) {
        session.encode(into: &writer)
        writer.writeVarint(UInt64(number))
    }

    /// - Throws: when the bytes end early or a number is out of bounds.
    public init(decoding reader: inout ByteReader) throws(DecodingFailure) {
        let session = try SessionID(decoding: &reader)
        self.init(session: session, number: try reader.readVarint32("consumer number"))
    }
}

extension ByteReader {
    /// A varint that must fit 32 bits.
    mutating func readVarint32(_ field: String) throws(DecodingFailure) -> UInt32 {
        guard let value = UInt32(exactly: try readVarint()) else { throw .invalid(field) }
        return value
    }
}

extension GatewayID: CustomStringConvertible {
    /// Such as `n1.0`.
    public var description: String { "\(node).\(shard)" }
}
extension SessionID: CustomStringConvertible {
    /// Such as `n1.0/inc1/s1`.
    public var description: String { "\(gateway)/\(incarnation)/s\(number)" }
}
extension ConsumerID: CustomStringConvertible {
    /// Such as `n1.0/inc1/s1/c1`.
    public var description: String { "\(session)/c\(number)" }
}
