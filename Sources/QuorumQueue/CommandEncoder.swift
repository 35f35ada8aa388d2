public import Primitives

/// Builds the command headers and the bodies of a batch. The format is that of the module's page.
///
/// The caller closes a batch when `isFull`; session commands need a `session` header of the same batch before them.
public struct CommandEncoder: ~Copyable, Sendable {
    /// Commands so far, each message counted, session headers not.
    public private(set) var commandCount = 0
    private var headers = ByteWriter()
    private var bodies = ByteWriter()
    /// Whether the last header was a session's, or a command of one.
    private var inSession = false
    /// The enqueue header that ends the headers, to which an equal message can be added.
    private var run: OpenRun?
    /// What the last batch needed, reserved at once for the next one, so that growing does not copy bodies.
    private var headersHint = 0
    private var bodiesHint = 0

    private struct OpenRun {
        var countOffset: Int
        var count: UInt16
        var length: Int
        var priority: UInt8?
        var expiration: UInt64?
    }

    /// An empty batch.
    public init() {}

    /// Bytes of headers and bodies so far.
    public var byteCount: Int { headers.count + bodies.count }
    /// Whether nothing was added; a session header alone counts as something.
    public var isEmpty: Bool { headers.isEmpty }
    /// Whether the batch has reached what one entry may hold.
    public var isFull: Bool {
        commandCount >= EntryHeader.commandLimit || byteCount >= EntryHeader.sizeLimit - 2 * CommandLimits.tag
    }

    /// The following session commands are those of `id` and carry consecutive sequence numbers from `firstSequence` (at
    /// least 1). `lowWater`: the client received every outcome up to it; 0 for none.
    public mutating func session(_ id: SessionID, firstSequence: UInt64, lowWater: UInt64) {
        precondition(firstSequence >= 1 && max(firstSequence, lowWater, id.number) <= CommandLimits.number)
        begin(.session)
        id.encode(into: &headers)
        headers.writeVarint(firstSequence)
        headers.writeVarint(lowWater)
        inSession = true
    }

    /// Opens the session; must be its command number 1.
    public mutating func open() { sessionCommand(.open) }

    /// Ends the session: its consumers go, what they hold is returned.
    public mutating func close() { sessionCommand(.close) }

    /// Adds a message of `length` bytes that `fill` writes in place.
    /// - Parameter expiration: milliseconds to live.
    @inline(__always)
    public mutating func enqueue(
        priority: UInt8? = nil, expiration: UInt64? = nil, length: Int,
        fill: (UnsafeMutableRawBufferPointer) -> Void
    ) {
        precondition(inSession && length >= 0 && length <= Int(UInt32.max))
        if bodies.isEmpty { bodies.reserve(max(bodiesHint, length)) }
        var checksum: UInt32 = 0
        bodies.append(maximum: length) { base in
            let body = UnsafeMutableRawBufferPointer(start: base, count: length)
            fill(body)
            checksum = CRC32C.checksum(UnsafeRawBufferPointer(body))
            return length
        }
        append(checksum: checksum, length: length, priority: priority, expiration: expiration)
    }

    private mutating func append(checksum: UInt32, length: Int, priority: UInt8?, expiration: UInt64?) {
        if let open = run, open.length == length, open.priority == priority, open.expiration == expiration,
            open.count < UInt16(EntryHeader.commandLimit)
        {
            run?.count = open.count + 1
            headers.overwrite(at: open.countOffset, with: open.count + 1)
        } else {
            begin(.enqueue)
            headers.write((priority == nil ? 0 : 1) | (expiration == nil ? 0 : 2) as UInt8)
            run = OpenRun(
                countOffset: headers.count, count: 1, length: length, priority: priority, expiration: expiration)
            headers.write(UInt16(1))
            headers.write(UInt32(length))
            if let priority { headers.write(priority) }
            if let expiration { headers.writeVarint(expiration) }
        }
        headers.write(checksum)
        commandCount += 1
    }

    /// Attaches a consumer whose `consumer` number, not 0, is new in the session. A tag beyond 1,024 bytes is cut.
    public mutating func attach(consumer: UInt32, options: ConsumerOptions) {
        precondition(consumer != 0)
        var options = options
        while options.tag.utf8.count > CommandLimits.tag { options.tag.removeLast() }
        sessionCommand(.attach)
        headers.writeVarint(UInt64(consumer))
        options.encode(into: &headers)
    }

    /// Ends a consumer; what it holds it keeps until settled or returned.
    public mutating func detach(consumer: UInt32) {
        precondition(consumer != 0)
        sessionCommand(.detach)
        headers.writeVarint(UInt64(consumer))
    }

    /// Sets the most unsettled messages of a consumer; 0 leaves it to the queue's settings.
    public mutating func setPrefetch(consumer: UInt32, _ prefetch: UInt32) {
        precondition(consumer != 0)
        sessionCommand(.prefetch)
        headers.writeVarint(UInt64(consumer))
        headers.writeVarint(UInt64(prefetch))
    }

    /// The messages with these delivery numbers are done; those already gone are passed over.
    public mutating func settle(consumer: UInt32, _ numbers: ClosedRange<UInt64>) {
        sessionCommand(.settle)
        write(consumer, numbers)
    }

    /// The messages with these delivery numbers go back to the queue. `counted`: it was a failed delivery.
    public mutating func `return`(consumer: UInt32, _ numbers: ClosedRange<UInt64>, counted: Bool) {
        sessionCommand(.return)
        headers.write((counted ? 1 : 0) as UInt8)
        write(consumer, numbers)
    }

    /// The messages with these delivery numbers are rejected for good.
    public mutating func discard(consumer: UInt32, _ numbers: ClosedRange<UInt64>) {
        sessionCommand(.discard)
        write(consumer, numbers)
    }

    /// Takes one message for the session's consumer 0.
    public mutating func get(autoAck: Bool) {
        sessionCommand(.get)
        headers.write((autoAck ? 1 : 0) as UInt8)
    }

    /// Drops every ready message.
    public mutating func purge() { sessionCommand(.purge) }

    /// Leader: nothing is heard of a node; its sessions get no deliveries for now.
    public mutating func gatewayDown(_ node: NodeID) {
        leaderCommand(.gatewayDown)
        headers.write(node.rawValue)
    }

    /// Leader: a node is here; its sessions of older incarnations are closed, the others go on.
    public mutating func gatewayUp(_ node: NodeID, _ incarnation: Incarnation) {
        leaderCommand(.gatewayUp)
        headers.write(node.rawValue)
        headers.write(incarnation.rawValue)
    }

    /// Leader: a node stayed away too long; its suspended sessions are closed.
    public mutating func gatewayExpired(_ node: NodeID) {
        leaderCommand(.gatewayExpired)
        headers.write(node.rawValue)
    }

    /// Leader: the consumer's gateway does not know it.
    public mutating func detachUnknown(_ consumer: ConsumerID) {
        leaderCommand(.detachUnknown)
        consumer.encode(into: &headers)
    }

    /// Leader: lets the entry's timestamp pass into the machine.
    public mutating func tick() { leaderCommand(.tick) }

    /// The batch; the encoder is empty afterwards, and the next batch starts with a session header of its own.
    public mutating func take() -> CommandBatch {
        headersHint = min(headers.count, EntryHeader.sizeLimit)
        bodiesHint = min(bodies.count, EntryHeader.sizeLimit)
        let batch = CommandBatch(headers: headers.take(), bodies: bodies.take(), commandCount: commandCount)
        commandCount = 0
        inSession = false
        run = nil
        return batch
    }

    private mutating func begin(_ tag: CommandTag) {
        if headers.isEmpty { headers.reserve(headersHint) }
        run = nil
        headers.write(tag.rawValue)
    }

    private mutating func sessionCommand(_ tag: CommandTag) {
        precondition(inSession)
        begin(tag)
        commandCount += 1
    }

    private mutating func leaderCommand(_ tag: CommandTag) {
        inSession = false
        begin(tag)
        commandCount += 1
    }

    private mutating func write(_ consumer: UInt32, _ numbers: ClosedRange<UInt64>) {
        precondition(numbers.lowerBound >= 1 && numbers.upperBound <= CommandLimits.number)
        headers.writeVarint(UInt64(consumer))
        headers.writeVarint(numbers.lowerBound)
        headers.writeVarint(numbers.upperBound - numbers.lowerBound)
    }
}
