public import Primitives
public import QuorumQueue

/// Where a leader finds the bodies of what it delivers.
public protocol MessageBodySource {
    /// The bodies of all messages of the delivery, if they are in memory. Otherwise nil: the source has begun to read
    /// them, keeps them until they were asked for again, and the port is to be flushed when they are there.
    mutating func bodies(of delivery: Delivery) -> MessageBodies?
    /// Whether the bodies are nowhere any more: the messages were settled meanwhile, since the session that they were
    /// for was closed, and nobody waits for the delivery.
    func isGone(_ delivery: Delivery) -> Bool
    /// The delivery will be asked for soon: a source that reads from disk may begin.
    mutating func prefetch(_ delivery: Delivery)
}

extension MessageBodies {
    /// The bodies of a run of messages of one entry, as one slice of the entry's bodies.
    /// - Returns: nil when the run is empty or not all in the entry.
    public init?(_ ordinals: Range<Int>, of table: MessageTable, in bodies: Bytes) {
        guard let first = table[ordinals.lowerBound], let last = table[ordinals.upperBound - 1], !ordinals.isEmpty,
            last.range.upperBound <= bodies.count
        else { return nil }
        let slice = bodies[first.offset..<last.range.upperBound]
        if ordinals.count == 1 {
            self.init(slice)
        } else {
            self.init(slice, lengths: ordinals.lazy.map { table[$0]?.length ?? 0 })
        }
    }
}
