/// The kinds of frames; other octets are a frame error.
public enum FrameType: UInt8, Hashable, Sendable {
    /// A method and its arguments.
    case method = 1
    /// A content header: class, body size, properties.
    case header = 2
    /// A piece of a content body.
    case body = 3
    /// A sign of life, on channel 0, empty.
    case heartbeat = 8
}

/// A whole frame found in a buffer. The payload stays where it is.
public struct Frame: Hashable, Sendable {
    /// The kind.
    public var type: FrameType
    /// 0 is the connection itself.
    public var channel: UInt16
    /// Where the payload lies, as offsets in the buffer that was parsed.
    public var payload: Range<Int>

    /// A frame found at those offsets.
    @inlinable public init(type: FrameType, channel: UInt16, payload: Range<Int>) {
        self.type = type
        self.channel = channel
        self.payload = payload
    }
}

/// Sizes and octets of the framing layer.
public enum FrameFormat {
    /// Octets of a frame besides its payload: type, channel, size, end.
    public static let overhead = 8
    /// Octets before the payload.
    public static let headerLength = 7
    /// The last octet of every frame.
    public static let endOctet: UInt8 = 0xCE
    /// What every peer must accept, and the limit until `connection.tune-ok` (RabbitMQ's `initial_frame_max`).
    public static let minimumMaximumSize: UInt32 = 8192
    /// A heartbeat, whole.
    public static let heartbeat: [UInt8] = [FrameType.heartbeat.rawValue, 0, 0, 0, 0, 0, 0, endOctet]
}

/// Finds whole frames in place. It keeps no bytes: the caller's buffer does, and is never asked to hold more than
/// `maximumFrameSize`, since a larger size is refused as soon as the seven octets of the header are there.
public struct FrameParser: Hashable, Sendable {
    /// The negotiated `frame_max`: header, payload and end octet together. 0 is taken as no agreement: `UInt32.max`.
    public var maximumFrameSize: UInt32 {
        didSet { if maximumFrameSize == 0 { maximumFrameSize = .max } }
    }

    /// A parser with the limit that holds before tuning.
    public init(maximumFrameSize: UInt32 = FrameFormat.minimumMaximumSize) {
        self.maximumFrameSize = maximumFrameSize == 0 ? .max : maximumFrameSize
    }

    /// The frame that starts at `offset`, which then moves behind it; nil, and `offset` untouched, while it is
    /// incomplete.
    ///
    /// - Throws: 501 for an unknown type, a size beyond the limit, a wrong end octet, a heartbeat that is not empty.
    @inlinable public func next(
        _ buffer: UnsafeRawBufferPointer, at offset: inout Int
    ) throws(AMQPError) -> Frame? {
        let available = buffer.count - offset
        guard available >= FrameFormat.headerLength else {
            if available > 0 { _ = try FrameParser.type(buffer[offset]) }
            return nil
        }
        let type = try FrameParser.type(buffer[offset])
        let channel = UInt16(bigEndian: buffer.loadUnaligned(fromByteOffset: offset + 1, as: UInt16.self))
        let size = UInt32(bigEndian: buffer.loadUnaligned(fromByteOffset: offset + 3, as: UInt32.self))
        guard UInt64(size) + 8 <= UInt64(maximumFrameSize) else {
            throw .frame("frame of \(UInt64(size) + 8) octets, frame_max is \(maximumFrameSize)")
        }
        guard available >= Int(size) + FrameFormat.overhead else { return nil }
        let start = offset + FrameFormat.headerLength
        let end = start + Int(size)
        guard buffer[end] == FrameFormat.endOctet else {
            throw .frame("frame ends with octet \(buffer[end]), not \(FrameFormat.endOctet)")
        }
        if type == .heartbeat && (size != 0 || channel != 0) {
            throw .frame("heartbeat with channel \(channel) and \(size) octets")
        }
        offset = end + 1
        return Frame(type: type, channel: channel, payload: start..<end)
    }

    @inlinable static func type(_ octet: UInt8) throws(AMQPError) -> FrameType {
        guard let type = FrameType(rawValue: octet) else { throw .frame("frame of unknown type \(octet)") }
        return type
    }
}
