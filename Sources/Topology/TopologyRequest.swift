public import Primitives

/// Names one proposal of a node, so that the node finds the outcome when its own copy applies the command.
public struct TopologyRequestID: Hashable, Sendable {
    /// The proposer.
    public var node: NodeID
    /// The proposer's, so that counters may start again.
    public var incarnation: Incarnation
    /// Counts the node's proposals in this incarnation.
    public var counter: UInt64

    /// Nobody's: of changes that no request brought.
    public static let none = TopologyRequestID(node: NodeID(0), incarnation: Incarnation(0), counter: 0)

    /// Names a proposal.
    public init(node: NodeID, incarnation: Incarnation, counter: UInt64) {
        self.node = node
        self.incarnation = incarnation
        self.counter = counter
    }
}

/// A command and who waits for it: the unit of the topology's log. The command headers of an entry are requests one
/// after another, so a leader concatenates them without decoding.
///
/// Layout, little-endian, version 1: varint length of what follows; u8 version, u16 node, u32 incarnation, u64 counter,
/// u8 command, its fields.
public struct TopologyRequest: Hashable, Sendable {
    /// Most bytes of one request.
    public static let sizeLimit = 1 << 19
    static let version: UInt8 = 1

    /// Who waits.
    public var id: TopologyRequestID
    /// What to do.
    public var command: TopologyCommand

    /// Pairs them.
    public init(id: TopologyRequestID, command: TopologyCommand) {
        self.id = id
        self.command = command
    }

    /// Appends the encoding. What a client made larger than `sizeLimit` fails `validate` at the leader.
    public func encode(into writer: inout ByteWriter) {
        var payload = ByteWriter(capacity: 128)
        payload.write(TopologyRequest.version)
        payload.write(id.node.rawValue)
        payload.write(id.incarnation.rawValue)
        payload.write(id.counter)
        command.encode(into: &payload)
        writer.writeLengthPrefixed(payload.take())
    }

    /// Reads one request. Throws `DecodingFailure` for anything that is not exactly one.
    public init(decoding reader: inout ByteReader) throws(DecodingFailure) {
        var payload = ByteReader(try reader.readLengthPrefixed(limit: TopologyRequest.sizeLimit))
        self = try TopologyRequest.parse(&payload).get()
    }

    /// Checks untrusted requests, as a leader must before it proposes them, and returns how many there are.
    /// Throws `DecodingFailure` unless all parse.
    public static func validate(_ headers: UnsafeRawBufferPointer) throws(DecodingFailure) -> Int {
        var reader = ByteReader(headers)
        var count = 0
        while !reader.isAtEnd {
            _ = try TopologyRequest(decoding: &reader)
            count += 1
            guard count <= EntryHeader.commandLimit else { throw .invalid("request count") }
        }
        return count
    }

    /// A request read from a log, or who sent one that this version does not know.
    enum Parsed {
        case known(TopologyRequest)
        case unknown(TopologyRequestID)

        func get() throws(DecodingFailure) -> TopologyRequest {
            switch self {
            case .known(let request): return request
            case .unknown: throw .invalid("command")
            }
        }
    }
}

extension TopologyRequest {
    /// Reads the payload of a request; a command that does not parse is `unknown`.
    static func parse(_ reader: inout ByteReader) throws(DecodingFailure) -> Parsed {
        guard try reader.read(UInt8.self) == version else { throw .invalid("request version") }
        let id = TopologyRequestID(
            node: NodeID(try reader.read()), incarnation: Incarnation(try reader.read()), counter: try reader.read())
        guard let command = try? TopologyCommand(decoding: &reader), reader.isAtEnd else { return .unknown(id) }
        return .known(TopologyRequest(id: id, command: command))
    }
}
