public import Primitives

/// Class and method numbers as one word, in the order of the wire.
public struct MethodID: Hashable, Sendable {
    /// `classID << 16 | methodID`.
    public let rawValue: UInt32

    /// From the wire's 32-bit word.
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// From the two numbers of the specification.
    @inlinable public init(classID: UInt16, methodID: UInt16) {
        self.init(rawValue: UInt32(classID) << 16 | UInt32(methodID))
    }

    /// The class: 10 connection, 20 channel, 40 exchange, 50 queue, 60 basic, 85 confirm, 90 tx.
    @inlinable public var classID: UInt16 { UInt16(truncatingIfNeeded: rawValue >> 16) }
    /// The method within its class.
    @inlinable public var methodID: UInt16 { UInt16(truncatingIfNeeded: rawValue) }

    /// The id at the front of a method frame's payload, so that hot paths choose before they decode; nil when cut
    /// short.
    @inlinable public static func peek(_ payload: UnsafeRawBufferPointer) -> MethodID? {
        guard payload.count >= 4 else { return nil }
        return MethodID(rawValue: UInt32(bigEndian: payload.loadUnaligned(as: UInt32.self)))
    }
}

extension MethodID: CustomStringConvertible {
    /// `60.40`
    public var description: String { "\(classID).\(methodID)" }
}

/// One method's arguments.
public protocol MethodPayload: Hashable, Sendable {
    /// Class and method numbers.
    static var id: MethodID { get }
    /// As written in the specification: `basic.publish`.
    static var name: String { get }
    /// A content header and body follow.
    static var hasContent: Bool { get }
    /// Reads the arguments, after the method's id.
    init(decoding reader: inout ByteReader) throws(DecodingFailure)
    /// Appends the arguments, without the method's id.
    func encodeArguments(into writer: inout ByteWriter)
}

extension MethodPayload {
    /// Decodes the whole payload of a method frame that is known (by `MethodID.peek`) to be of this method.
    ///
    /// - Throws: 502 for arguments that do not parse or do not fill the payload, 503 for another method.
    @inlinable public init(payload: UnsafeRawBufferPointer) throws(AMQPError) {
        guard MethodID.peek(payload) == Self.id else { throw .commandInvalid("not \(Self.name)") }
        do throws(DecodingFailure) {
            var reader = ByteReader(UnsafeRawBufferPointer(rebasing: payload[4...]))
            self = try Self(decoding: &reader)
            guard reader.isAtEnd else { throw .invalid("bytes after the last argument") }
        } catch {
            throw .syntax(error, in: Self.id, name: Self.name)
        }
    }

    /// Appends one whole method frame.
    public func encodeFrame(channel: UInt16, into writer: inout ByteWriter) {
        let start = writer.beginMethodFrame(channel: channel, id: Self.id)
        encodeArguments(into: &writer)
        writer.endFrame(startedAt: start)
    }
}

extension Method {
    /// Decodes the payload of a method frame.
    ///
    /// - Throws: 502 for arguments that do not parse or do not fill the payload, 503 for a method that does not exist.
    public init(payload: UnsafeRawBufferPointer) throws(AMQPError) {
        guard let id = MethodID.peek(payload) else {
            throw AMQPError(.syntaxError, "method frame of \(payload.count) bytes")
        }
        let decoded: Method?
        do throws(DecodingFailure) {
            var reader = ByteReader(UnsafeRawBufferPointer(rebasing: payload[4...]))
            decoded = try Method.decode(id, from: &reader)
            if decoded != nil && !reader.isAtEnd { throw .invalid("bytes after the last argument") }
        } catch {
            throw .syntax(error, in: id, name: "method \(id)")
        }
        guard let decoded else {
            throw AMQPError(.commandInvalid, "unknown method \(id)", method: id)
        }
        self = decoded
    }

    /// Appends one whole method frame.
    public func encodeFrame(channel: UInt16, into writer: inout ByteWriter) {
        let start = writer.beginMethodFrame(channel: channel, id: id)
        encodeArguments(into: &writer)
        writer.endFrame(startedAt: start)
    }
}
