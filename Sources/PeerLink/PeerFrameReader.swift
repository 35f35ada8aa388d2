public import Primitives

/// Cuts a stream of bytes into frames, however the bytes are split over reads. Each payload is copied once.
public struct PeerFrameReader: ~Copyable, Sendable {
    /// The header of the frame that is under way.
    private struct Header {
        var length: Int
        var checksum: UInt32
        /// Checksum of the header's own bytes, to be continued over the payload.
        var seed: UInt32
        var kind: PeerFrameKind
        var isContinued: Bool
        var hasTotal: Bool

        func frame(_ payload: Bytes) -> PeerFrame {
            PeerFrame(kind: kind, isContinued: isContinued, hasTotal: hasTotal, payload: payload)
        }
    }

    /// The longest payload accepted; checked before anything is allocated for it.
    public var limit: Int
    /// Bytes of a header that was cut by the end of a read.
    private var head = ByteWriter()
    private var header: Header?
    /// What has come of the payload of `header`.
    private var payload = ByteWriter()

    /// A reader that refuses what is longer than `limit` bytes.
    public init(limit: Int) { self.limit = limit }

    /// Whether the stream ended between two frames.
    public var isAtBoundary: Bool { header == nil && head.isEmpty }

    /// The next whole frame of `input` from `offset` on, which moves behind what was used; nil when all of it was used.
    public mutating func next(
        _ input: UnsafeRawBufferPointer, at offset: inout Int
    ) throws(PeerFrameFailure) -> PeerFrame? {
        if header == nil {
            guard let parsed = try readHeader(input, at: &offset) else { return nil }
            header = parsed
        }
        guard let current = header else { return nil }
        let available = input.count - offset
        if payload.isEmpty && available >= current.length {
            let slice = UnsafeRawBufferPointer(rebasing: input[offset..<offset + current.length])
            offset += current.length
            header = nil
            guard CRC32C.checksum(slice, seed: current.seed) == current.checksum else { throw .checksum }
            return current.frame(Bytes(copying: slice))
        }
        if payload.isEmpty { payload = ByteWriter(capacity: current.length) }
        let taken = min(available, current.length - payload.count)
        payload.write(UnsafeRawBufferPointer(rebasing: input[offset..<offset + taken]))
        offset += taken
        guard payload.count == current.length else { return nil }
        header = nil
        let bytes = payload.take()
        guard CRC32C.checksum(bytes, seed: current.seed) == current.checksum else { throw .checksum }
        return current.frame(bytes)
    }

    private mutating func readHeader(
        _ input: UnsafeRawBufferPointer, at offset: inout Int
    ) throws(PeerFrameFailure) -> Header? {
        let available = input.count - offset
        if head.isEmpty && available >= PeerFrame.headerSize {
            let slice = UnsafeRawBufferPointer(rebasing: input[offset..<offset + PeerFrame.headerSize])
            offset += PeerFrame.headerSize
            return try PeerFrameReader.parse(slice, limit: limit)
        }
        let taken = min(available, PeerFrame.headerSize - head.count)
        head.write(UnsafeRawBufferPointer(rebasing: input[offset..<offset + taken]))
        offset += taken
        guard head.count == PeerFrame.headerSize else { return nil }
        let bytes = head.take()
        let limit = limit
        return try bytes.withUnsafeBytes { buffer throws(PeerFrameFailure) in
            try PeerFrameReader.parse(buffer, limit: limit)
        }
    }

    private static func parse(_ bytes: UnsafeRawBufferPointer, limit: Int) throws(PeerFrameFailure) -> Header {
        let length = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt32.self)))
        guard length <= limit else { throw .tooLong(length: length, limit: limit) }
        guard let kind = PeerFrameKind(rawValue: bytes[8]) else { throw .unknownKind(bytes[8]) }
        guard bytes[9] & 0xfc == 0, bytes[10] == 0, bytes[11] == 0 else { throw .reserved }
        let seed = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[0..<4]))
        return Header(
            length: length,
            checksum: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self)),
            seed: CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[8..<12]), seed: seed),
            kind: kind, isContinued: bytes[9] & 1 != 0, hasTotal: bytes[9] & 2 != 0)
    }
}

/// Puts the chunks of a message together.
///
/// A message whose length is known gets its memory at once, which the system commits as the chunks come in; nothing is
/// allocated for a length beyond the limit.
public struct PeerMessageAssembler: ~Copyable, Sendable {
    /// The longest message accepted, in bytes.
    public let limit: Int
    private var parts = ByteWriter()
    /// What the first chunk said; nil between messages, and for chunks of protocol 1.
    private var total: Int?

    /// A reader that refuses what is longer than `limit` bytes.
    public init(limit: Int) { self.limit = limit }

    /// The message that `frame`, a message frame, completes; nil when more chunks follow.
    public mutating func add(_ frame: consuming PeerFrame) throws(PeerFrameFailure) -> Bytes? {
        if frame.hasTotal { frame.payload = try begin(frame) }
        if let total {
            guard frame.payload.count <= total - parts.count else { throw .chunks }
        } else {
            guard frame.payload.count <= limit - parts.count else { throw .messageTooLong(limit: limit) }
            if parts.isEmpty && !frame.isContinued { return frame.payload }
        }
        parts.write(frame.payload)
        if frame.isContinued { return nil }
        guard total ?? parts.count == parts.count else { throw .chunks }
        total = nil
        return parts.take()
    }

    /// Takes note of the message's length; returns what follows it in the first chunk.
    private mutating func begin(_ frame: borrowing PeerFrame) throws(PeerFrameFailure) -> Bytes {
        let payload = frame.payload
        guard parts.isEmpty, total == nil, frame.isContinued, payload.count >= PeerMessageAssembler.totalSize else {
            throw .chunks
        }
        let total = payload.withUnsafeBytes { Int(UInt32(littleEndian: $0.loadUnaligned(as: UInt32.self))) }
        guard total <= limit else { throw .messageTooLong(limit: limit) }
        self.total = total
        parts = ByteWriter(capacity: total)
        return payload[PeerMessageAssembler.totalSize..<payload.count]
    }

    /// Bytes of the length in the first chunk.
    public static let totalSize = 4
}
