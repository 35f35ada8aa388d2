import Primitives

/// What a sealed segment holds, by its footer.
struct SegmentContents: Sendable {
    var segment: UInt32
    var generation: UInt32
    var length: Int
    var frames: [FrameSummary]
    /// The last frame header's checksum.
    var lastChecksum: UInt32
    /// The segment in which the log goes on.
    var next: UInt32

    /// The entry for the list of retired segments; nil when there is no frame, so that nothing is known of the chain.
    var retirement: RetiredRange? {
        guard let first = frames.first, let last = frames.last, next > segment else { return nil }
        return RetiredRange(
            first: segment, last: segment, firstFrame: first.number, lastFrame: last.number,
            lastChecksum: lastChecksum, next: next)
    }

    /// The directories' items with their places.
    func items() throws(LogStoreFailure) -> [RecoveredItem] {
        var items: [RecoveredItem] = []
        for frame in frames {
            items += try RecoveredItem.items(of: frame.directory, segment: segment, base: frame.recordsOffset)
        }
        return items
    }

    /// Reads the footer of a segment.
    static func read<D: Disk>(_ segment: UInt32, from disk: D) throws(LogStoreFailure) -> SegmentContents? {
        let name = SegmentName.name(of: segment)
        let file = try disking { () throws(DiskFailure) in try disk.open(name) }
        defer { disk.close(file) }
        let length = try disking { () throws(DiskFailure) in try disk.length(of: file) }
        var window = ScanWindow(disk: disk, file: file, fileLength: length)
        guard length >= SegmentHeader.size + SegmentFooter.trailerSize,
            let head = window.bytes(at: 0, count: SegmentHeader.size),
            let header = try head.withUnsafeBytes({ buffer throws(LogStoreFailure) in
                try SegmentHeader(decoding: buffer, file: name)
            }), header.segment == segment,
            let trailer = window.bytes(at: length - SegmentFooter.trailerSize, count: SegmentFooter.trailerEncodedSize),
            let place = try trailer.withUnsafeBytes({ buffer throws(LogStoreFailure) in
                try SegmentFooter.decodeTrailer(buffer, fileLength: length, of: header)
            }),
            place.offset >= SegmentHeader.size,
            let footer = window.bytes(at: place.offset, count: place.length),
            CRC32C.checksum(footer) == place.checksum,
            let frames = SegmentFooter.frames(of: footer, place: place)
        else { return nil }
        return SegmentContents(
            segment: segment, generation: header.generation, length: length, frames: frames,
            lastChecksum: place.lastChecksum, next: place.next)
    }
}

extension SegmentFooter {
    /// The frames of a footer that agrees with its trailer.
    static func frames(of footer: Bytes, place: Place) -> [FrameSummary]? {
        do throws(DecodingFailure) {
            let frames = try decodeFrames(footer)
            let isOrdered = zip(frames, frames.dropFirst()).allSatisfy { $0.number < $1.number }
            guard frames.count == place.count, frames.first?.number ?? 0 == place.firstNumber, isOrdered,
                frames.last?.number ?? 0 <= CounterBound.stored
            else { return nil }
            return frames
        } catch {
            return nil
        }
    }
}
