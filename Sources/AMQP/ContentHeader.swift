/// The payload of a content header frame, in place: the buffer must outlive it.
public struct ContentHeader {
    /// 60, basic; no other class of 0-9-1 carries content.
    public var classID: UInt16
    /// Octets of the body frames together. Untrusted: check it against a limit before reserving anything.
    public var bodySize: UInt64
    /// Property flags and list as received: what a delivery sends out again without decoding.
    public var properties: UnsafeRawBufferPointer

    /// Splits the payload; the properties are not looked into (see `PropertyScan`).
    ///
    /// - Throws: 502 when it is cut short, 503 for another class than basic.
    @inlinable public init(payload: UnsafeRawBufferPointer) throws(AMQPError) {
        guard payload.count >= 14 else {
            throw AMQPError(.syntaxError, "content header of \(payload.count) octets")
        }
        classID = UInt16(bigEndian: payload.loadUnaligned(as: UInt16.self))
        guard classID == 60 else { throw .commandInvalid("content header of class \(classID)") }
        bodySize = UInt64(bigEndian: payload.loadUnaligned(fromByteOffset: 4, as: UInt64.self))
        properties = UnsafeRawBufferPointer(rebasing: payload[12...])
    }
}

/// Where a channel stands between a method with content and the last octet of the body. Pure; holds no bytes.
public struct ContentProgress: Hashable, Sendable {
    @usableFromInline enum State: Hashable, Sendable {
        case none
        case header
        case body(remaining: UInt64)
    }

    @usableFromInline var state = State.none

    /// No content under way.
    @inlinable public init() {}

    /// No content is under way: a method may come.
    @inlinable public var isIdle: Bool { state == .none }

    /// A method frame came; `hasContent` when a header must follow.
    ///
    /// - Throws: 505 while a content is under way.
    @inlinable public mutating func method(hasContent: Bool) throws(AMQPError) {
        guard state == .none else { throw .unexpectedFrame("method frame inside a content") }
        if hasContent { state = .header }
    }

    /// A header frame came; true when the content is complete, because its body is empty.
    ///
    /// - Throws: 505 when none was due.
    @inlinable public mutating func header(bodySize: UInt64) throws(AMQPError) -> Bool {
        guard state == .header else { throw .unexpectedFrame("content header frame without its method") }
        state = bodySize == 0 ? .none : .body(remaining: bodySize)
        return bodySize == 0
    }

    /// A body frame of `count` octets came; true when the content is complete.
    ///
    /// - Throws: 505 when none was due, 501 when it holds more than was announced.
    @inlinable public mutating func body(count: Int) throws(AMQPError) -> Bool {
        guard case .body(let remaining) = state else { throw .unexpectedFrame("body frame without its header") }
        guard UInt64(count) <= remaining else { throw .frame("body longer than its header says") }
        state = UInt64(count) == remaining ? .none : .body(remaining: remaining - UInt64(count))
        return state == .none
    }

    /// Forgets a content under way, as when the channel closes.
    @inlinable public mutating func reset() { state = .none }
}
