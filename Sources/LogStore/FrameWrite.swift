public import Primitives

/// One write that the core asks for: write `parts` at `offset`, sync the file, then hand the value to
/// `NodeLog.frameDurable`.
public struct FrameWrite<File: Sendable>: Sendable {
    /// The open file of the segment.
    public let file: File
    /// The segment's number.
    public let segment: UInt32
    /// Where `parts` go in the file.
    public let offset: Int
    /// What to write, one after the other.
    public let parts: [Bytes]
    /// Bytes of all parts.
    public let byteCount: Int
    /// What is written.
    package let content: Content

    /// What a write holds.
    package enum Content: Sendable {
        case frame
        /// A frame of relocated records only.
        case copies
        /// A segment's footer.
        case footer
    }
}
