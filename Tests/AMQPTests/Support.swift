import AMQP
import Primitives

/// Bytes from hexadecimal digits; blanks are ignored.
func bytes(_ hex: String) -> [UInt8] {
    let digits = hex.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

func hex(_ bytes: [UInt8]) -> String {
    bytes.map { byte in
        let digits = String(byte, radix: 16)
        return digits.count == 1 ? "0" + digits : digits
    }.joined()
}

/// What `body` wrote.
func written(_ body: (inout ByteWriter) -> Void) -> [UInt8] {
    var writer = ByteWriter()
    body(&writer)
    return writer.take().toArray()
}

/// A whole frame with its payload copied out.
struct OwnedFrame: Equatable {
    var type: FrameType
    var channel: UInt16
    var payload: [UInt8]
}

/// All frames of `input`, which must consist of whole frames.
func frames(_ input: [UInt8], maximumFrameSize: UInt32 = 0) throws -> [OwnedFrame] {
    let parser = FrameParser(maximumFrameSize: maximumFrameSize)
    var found: [OwnedFrame] = []
    var offset = 0
    try input.withUnsafeBytes { buffer in
        while let frame = try parser.next(buffer, at: &offset) {
            found.append(
                OwnedFrame(type: frame.type, channel: frame.channel, payload: Array(buffer[frame.payload])))
        }
    }
    guard offset == input.count else { throw DecodingFailure.truncated }
    return found
}

/// The method in a frame's payload.
func method(_ payload: [UInt8]) throws(AMQPError) -> Method {
    try Bytes(payload).withUnsafeBytes { buffer throws(AMQPError) in try Method(payload: buffer) }
}

func randomBytes(_ count: Int, _ random: inout SeededRandom) -> [UInt8] {
    (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
}
