public import Primitives

/// Bounds of the command format.
public enum CommandLimits {
    /// Largest session number, sequence number and delivery number, so that sums cannot overflow.
    public static let number: UInt64 = 1 << 62 - 1
    /// Longest consumer tag in bytes.
    public static let tag = 1_024
}

/// Commands as they stand in an entry. Batches concatenate: the headers of several, then their bodies in the same
/// order, are the headers and bodies of one entry.
public struct CommandBatch: Hashable, Sendable {
    /// The command headers.
    public var headers: Bytes
    /// The bodies of the messages, in the order of the headers.
    public var bodies: Bytes
    /// Commands in the headers, each message counted, session headers not.
    public var commandCount: Int

    /// A batch of parts that belong together.
    public init(headers: Bytes, bodies: Bytes, commandCount: Int) {
        self.headers = headers
        self.bodies = bodies
        self.commandCount = commandCount
    }

    /// Bytes of headers and bodies.
    @inlinable public var byteCount: Int { headers.count + bodies.count }
}
