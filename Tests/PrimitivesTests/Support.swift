import Primitives

/// The bytes of a text of hexadecimal digits; spaces are ignored.
func bytes(_ hex: String) -> [UInt8] {
    let digits = hex.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

func hex(_ bytes: Bytes) -> String {
    bytes.toArray().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

/// Runs `body` on a reader over `array`; returns its value or what it threw.
func reading<R>(
    _ array: [UInt8], _ body: (inout ByteReader) throws(DecodingFailure) -> R
) -> Result<R, DecodingFailure> {
    array.withUnsafeBytes { buffer in
        var reader = ByteReader(buffer)
        do throws(DecodingFailure) {
            return .success(try body(&reader))
        } catch {
            return .failure(error)
        }
    }
}
