public import Primitives

/// What a frame carries.
public enum PeerFrameKind: UInt8, Sendable {
    /// Who a side is and its nonce: the first frame in each direction.
    case hello = 1
    /// The proof of knowing the secret.
    case proof = 2
    /// The end of the handshake, with what the caller tells every peer first.
    case welcome = 3
    /// The end of the connection before it was established, with the reason.
    case refusal = 4
    /// The announced end of an established connection, with the reason.
    case farewell = 5
    /// A message of the caller, or a chunk of one.
    case message = 6
    case heartbeat = 7
}

/// Why bytes from a peer are not frames. Such a link is closed; nothing can be trusted behind the first bad byte.
public enum PeerFrameFailure: Error, Hashable, Sendable {
    /// A payload longer than allowed at this point of the connection.
    case tooLong(length: Int, limit: Int)
    case checksum
    case unknownKind(UInt8)
    /// Bits that no version gives a meaning are set.
    case reserved
    /// A message, or what its first chunk says of it, exceeds what a message may have.
    case messageTooLong(limit: Int)
    /// The chunks of a message do not add up to what the first one said, or do not follow each other.
    case chunks
    /// A frame that does not belong here.
    case unexpected(PeerFrameKind)
    /// A payload that does not decode.
    case payload(DecodingFailure)
}

/// One unit on a peer connection: a header of 12 bytes and a payload.
///
/// The header is, little-endian, the payload's length (u32), a CRC-32C (u32) over everything but itself, the kind (u8),
/// flags (u8) and 16 zero bits. Flags: bit 0, more chunks of this message follow; bit 1, from protocol 2 on, this is
/// the first of them, and its payload begins with the whole message's length (u32).
public struct PeerFrame: Sendable {
    /// Bytes of the header.
    public static let headerSize = 12
    /// The longest payload on an established connection: 4 MiB.
    public static let maximumPayload = 4 << 20
    /// The longest payload before the peer has proved who it is.
    public static let maximumUnauthenticatedPayload = 4 << 10
    /// The longest payload of the welcome.
    public static let maximumWelcomePayload = 64 << 10
    /// The longest message that travels in one frame: more than what a tick gathers of small ones.
    public static let wholeMessage = 2 << 20
    /// The payload of each chunk of a longer message.
    public static let chunkSize = 256 << 10

    /// What the payload is.
    public var kind: PeerFrameKind
    /// Whether the message goes on in the next frame.
    public var isContinued: Bool
    /// Whether the payload begins with the length of the whole message.
    public var hasTotal: Bool
    /// At most `maximumPayload` bytes.
    public var payload: Bytes

    /// A frame; the checksum is made when it is encoded.
    public init(kind: PeerFrameKind, isContinued: Bool = false, hasTotal: Bool = false, payload: Bytes) {
        self.kind = kind
        self.isContinued = isContinued
        self.hasTotal = hasTotal
        self.payload = payload
    }

    /// Fills in the header of `frame`, whose payload is already in place behind room for the header.
    public static func seal(
        _ frame: UnsafeMutableRawBufferPointer, kind: PeerFrameKind, isContinued: Bool = false, hasTotal: Bool = false
    ) {
        precondition(frame.count >= headerSize && frame.count - headerSize <= maximumPayload)
        frame.storeBytes(of: UInt32(frame.count - headerSize).littleEndian, toByteOffset: 0, as: UInt32.self)
        frame.storeBytes(of: kind.rawValue, toByteOffset: 8, as: UInt8.self)
        frame.storeBytes(of: (isContinued ? 1 : 0) | (hasTotal ? 2 : 0), toByteOffset: 9, as: UInt8.self)
        frame.storeBytes(of: 0, toByteOffset: 10, as: UInt16.self)
        let bytes = UnsafeRawBufferPointer(frame)
        let length = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[0..<4]))
        let checksum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[8...]), seed: length)
        frame.storeBytes(of: checksum.littleEndian, toByteOffset: 4, as: UInt32.self)
    }

    /// Appends head, checksum and payload.
    public func encode(into writer: inout ByteWriter) {
        let size = PeerFrame.headerSize + payload.count
        writer.append(maximum: size) { destination in
            let frame = UnsafeMutableRawBufferPointer(start: destination, count: size)
            payload.withUnsafeBytes {
                UnsafeMutableRawBufferPointer(rebasing: frame[PeerFrame.headerSize...]).copyMemory(from: $0)
            }
            PeerFrame.seal(frame, kind: kind, isContinued: isContinued, hasTotal: hasTotal)
            return size
        }
    }
}
