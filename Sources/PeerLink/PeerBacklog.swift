package import Primitives

/// Messages that wait for a link behind one that is too large for a frame, by reference, and the cut into frames.
///
/// They leave strictly in order, since whoever listens relies on it: a group's appends, a session's commands and a
/// queue's events would all start over at a gap.
package struct PeerBacklog {
    /// What makes one frame.
    package struct Piece {
        package var parts: [Bytes]
        /// Bytes of the parts.
        package var count: Int
        package var isContinued: Bool
        /// The whole message's length, to be told with this frame.
        package var total: Int?
    }

    fileprivate struct Message {
        var parts: [Bytes]
        var count: Int
        /// Bytes that have left.
        var sent = 0
        /// The part that goes on, and where.
        var part = 0
        var offset = 0
    }

    private var messages = Ring<Message>()
    /// Bytes that have not left.
    package private(set) var byteCount = 0

    package init() {}

    package var isEmpty: Bool { messages.isEmpty }

    package mutating func append(_ payload: Bytes, _ parts: [Bytes], count: Int) {
        messages.append(Message(parts: [payload] + parts, count: count))
        byteCount += count
    }

    /// Takes the next frame's worth: a whole message, or a chunk.
    ///
    /// - Parameter announcesTotal: the first chunk of a message has its length.
    package mutating func next(announcesTotal: Bool) -> Piece? {
        guard var message = messages.popFirst() else { return nil }
        if message.count <= PeerFrame.wholeMessage {
            byteCount -= message.count
            return Piece(parts: message.parts, count: message.count, isContinued: false, total: nil)
        }
        let count = min(PeerFrame.chunkSize, message.count - message.sent)
        let total = announcesTotal && message.sent == 0 ? message.count : nil
        let parts = message.take(count)
        byteCount -= count
        let isContinued = message.sent < message.count
        if isContinued { messages.prepend(message) }
        return Piece(parts: parts, count: count, isContinued: isContinued, total: total)
    }
}

extension PeerBacklog.Message {
    /// The next `count` bytes.
    mutating func take(_ count: Int) -> [Bytes] {
        var taken: [Bytes] = []
        var missing = count
        while missing > 0 {
            let step = min(missing, parts[part].count - offset)
            if step > 0 { taken.append(parts[part][offset..<offset + step]) }
            missing -= step
            offset += step
            if offset == parts[part].count && part + 1 < parts.count {
                // What has left is not kept.
                parts[part] = Bytes()
                part += 1
                offset = 0
            }
        }
        sent += count
        return taken
    }
}
