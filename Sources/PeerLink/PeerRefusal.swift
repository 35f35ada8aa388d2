internal import Primitives

/// Why a connection was not established. The codes are part of the protocol.
public enum PeerRefusalCode: UInt8, Hashable, Sendable {
    case malformed = 1
    /// The two sides have no protocol version in common.
    case version = 2
    /// The two sides belong to different clusters.
    case cluster = 3
    /// The dialled node is not the one that was meant.
    case misdirected = 4
    /// The other side is not configured as a peer here.
    case unknownNode = 5
    /// The proof does not hold: different secrets, or a replay.
    case secret = 6
    /// A newer process of that node, or a newer connection from it, is known.
    case stale = 7
    /// The node's store, or something else the caller looks at, was not accepted.
    case notAdmitted = 8
    /// Too many connections that have not proved who they are.
    case busy = 9
    case timeout = 10
    /// Another store has taken the place of the node's: this one never counts again.
    case retired = 11
}

/// A refusal with a sentence for the log.
public struct PeerRefusal: Error, Hashable, Sendable {
    /// Bytes of text that travel at most.
    static let maximumText = 512

    /// Why, for programs.
    public var code: PeerRefusalCode
    /// Why, for people; at most 512 bytes travel.
    public var text: String

    /// A refusal with its sentence.
    public init(_ code: PeerRefusalCode, _ text: String) {
        self.code = code
        self.text = text
    }

    func encode() -> Bytes {
        var writer = ByteWriter()
        writer.write(code.rawValue)
        let utf8 = Array(text.utf8.prefix(PeerRefusal.maximumText))
        writer.writeVarint(UInt64(utf8.count))
        writer.write(utf8)
        return writer.take()
    }

    init(decoding bytes: Bytes) throws(DecodingFailure) {
        self = try bytes.withUnsafeBytes { buffer throws(DecodingFailure) in
            var reader = ByteReader(buffer)
            guard let code = PeerRefusalCode(rawValue: try reader.read()) else { throw .invalid("refusal code") }
            return PeerRefusal(code, try reader.readString(limit: PeerRefusal.maximumText))
        }
    }
}

extension PeerRefusal: CustomStringConvertible {
    /// Code and sentence.
    public var description: String { "\(code): \(text)" }
}

/// The announced end of an established connection. The codes are part of the protocol.
public enum PeerFarewell: UInt8, Hashable, Sendable {
    /// The sender's process stops.
    case stopping = 1
    /// The sender lives on, but not this connection: replaced, silent too long, too much waiting, or not understood.
    case closing = 2

    func encode() -> Bytes { Bytes([rawValue]) }

    init(decoding bytes: Bytes) throws(DecodingFailure) {
        guard bytes.count >= 1 else { throw .truncated }
        guard let value = PeerFarewell(rawValue: bytes[0]) else { throw .invalid("farewell") }
        self = value
    }
}
