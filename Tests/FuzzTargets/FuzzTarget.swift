import Primitives

/// A reader of bytes that others made, with what it promises about any bytes at all. A broken promise ends the process,
/// which is what a fuzzer looks for.
package struct FuzzTarget: Sendable {
    package var name: String
    /// The longest input worth trying, in bytes.
    package var maximumLength: Int
    /// Valid inputs to start from.
    package var seeds: @Sendable () -> [[UInt8]]
    package var run: @Sendable (UnsafeRawBufferPointer) -> Void

    package static let all: [FuzzTarget] = [.amqp, .peer, .log, .snapshot, .configuration]
}

/// Ends the process, with a reason, unless the promise is kept.
func promise(_ isKept: Bool, _ text: String) {
    if !isKept { fatalError("broken: \(text)") }
}

func encoded(_ body: (inout ByteWriter) -> Void) -> Bytes {
    var writer = ByteWriter()
    body(&writer)
    return writer.take()
}

/// Encodes what was decoded, decodes and encodes that again: whoever reads what we pass on reads the same.
func promiseRoundTrip<Value>(
    _ value: Value, _ text: String, encode: (Value) -> Bytes, decode: (Bytes) throws -> Value
) {
    let once = encode(value)
    guard let again = try? decode(once) else { fatalError("broken: \(text) does not decode what it encodes") }
    promise(encode(again) == once, "\(text) is another one after a round trip")
}

/// Takes an input apart; missing bytes are zeros.
struct InputReader {
    private let input: UnsafeRawBufferPointer
    private(set) var offset = 0

    init(_ input: UnsafeRawBufferPointer) { self.input = input }

    var isAtEnd: Bool { offset >= input.count }

    mutating func byte() -> UInt8 {
        guard offset < input.count else { return 0 }
        offset += 1
        return input[offset - 1]
    }

    mutating func word() -> Int { Int(byte()) | Int(byte()) << 8 }

    mutating func bytes(_ count: Int) -> Bytes {
        let end = min(input.count, offset + count)
        defer { offset = end }
        return Bytes(copying: UnsafeRawBufferPointer(rebasing: input[offset..<end]))
    }

    mutating func rest() -> Bytes { bytes(input.count - offset) }
}
