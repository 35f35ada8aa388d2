import Primitives

/// Segments that reclamation has emptied: a run of numbers that follow each other in the chain of frames. What is not
/// listed and not there was lost.
struct RetiredRange: Hashable, Sendable {
    /// The lowest and highest segment numbers.
    var first: UInt32
    var last: UInt32
    /// The numbers of their first and last frames.
    var firstFrame: UInt64
    var lastFrame: UInt64
    /// The last frame header's checksum.
    var lastChecksum: UInt32
    /// The segment in which the log went on.
    var next: UInt32

    static let encodedSize = 32

    func contains(_ segment: UInt32) -> Bool { first <= segment && segment <= last }

    func encode(into writer: inout ByteWriter) {
        writer.write(first)
        writer.write(last)
        writer.write(firstFrame)
        writer.write(lastFrame)
        writer.write(lastChecksum)
        writer.write(next)
    }

    init(
        first: UInt32, last: UInt32, firstFrame: UInt64, lastFrame: UInt64, lastChecksum: UInt32, next: UInt32
    ) {
        self.first = first
        self.last = last
        self.firstFrame = firstFrame
        self.lastFrame = lastFrame
        self.lastChecksum = lastChecksum
        self.next = next
    }

    init(decoding reader: inout ByteReader) throws(DecodingFailure) {
        first = try reader.read()
        last = try reader.read()
        firstFrame = try reader.read()
        lastFrame = try reader.read()
        lastChecksum = try reader.read()
        next = try reader.read()
        guard first >= 1, first <= last, last < next, next <= CounterBound.segment,
            firstFrame >= 1, firstFrame <= lastFrame, lastFrame <= CounterBound.stored
        else { throw .invalid("retired range") }
    }
}

extension [RetiredRange] {
    /// The range that holds a segment; the ranges are ascending and disjoint.
    func range(of segment: UInt32) -> RetiredRange? {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self[middle].last < segment { low = middle + 1 } else { high = middle }
        }
        return low < count && self[low].first <= segment ? self[low] : nil
    }

    /// The first segment at or behind `segment` in the chain that is not retired.
    func existing(from segment: UInt32) -> UInt32 {
        var segment = segment
        while let range = range(of: segment) { segment = range.next }
        return segment
    }

    /// Adds a range that none holds, joined to its neighbours.
    mutating func insert(_ range: RetiredRange) {
        var position = firstIndex { $0.first > range.first } ?? count
        var range = range
        if position > 0, self[position - 1].next == range.first, self[position - 1].lastFrame + 1 == range.firstFrame {
            position -= 1
            range.first = self[position].first
            range.firstFrame = self[position].firstFrame
            remove(at: position)
        }
        if position < count, range.next == self[position].first, range.lastFrame + 1 == self[position].firstFrame {
            range.last = self[position].last
            range.lastFrame = self[position].lastFrame
            range.lastChecksum = self[position].lastChecksum
            range.next = self[position].next
            remove(at: position)
        }
        insert(range, at: position)
    }
}
