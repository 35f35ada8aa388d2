import Primitives

/// What lies where on the disk of a node, as far as syncs have told, and which of it was damaged.
///
/// The log survives the damage of one place, whatever it is, because the identity of every record stands twice. So the
/// atlas lets nothing be damaged whose copy is: of two frames that follow each other only one, of a segment either its
/// frames or its footer, of two copies one. Nor anything that nobody attests yet: the last frame cannot be told from a
/// torn one.
struct FaultAtlas {
    struct Frame {
        var range: Range<Int>
        var isDamaged = false
    }

    struct Segment {
        var number: UInt32
        var frames: [Frame] = []
        /// Footer and trailer.
        var footer: Range<Int>?
        var isFooterDamaged = false
        var isHeaderDamaged = false

        var hasDamagedFrames: Bool { frames.contains { $0.isDamaged } }
    }

    /// A frame of which the atlas knows.
    struct Place: Hashable {
        var segment: Int
        var frame: Int
    }

    /// Ascending by number.
    private(set) var segments: [Segment] = []

    static func name(of segment: UInt32) -> String {
        let digits = String(segment)
        return "segment-" + String(repeating: "0", count: 10 - digits.count) + digits
    }

    // MARK: What lies where

    /// A write was synced.
    mutating func synced(_ range: Range<Int>, of segment: UInt32, isFooter: Bool) {
        if segments.last.map({ $0.number < segment }) ?? true { segments.append(Segment(number: segment)) }
        guard let position = segments.lastIndex(where: { $0.number == segment }) else { return }
        if isFooter {
            segments[position].footer = range
        } else {
            segments[position].frames.append(Frame(range: range))
        }
    }

    mutating func retired(_ segment: UInt32) { segments.removeAll { $0.number == segment } }

    func place(of offset: Int, in segment: UInt32) -> Place? {
        guard let position = segments.firstIndex(where: { $0.number == segment }),
            let frame = segments[position].frames.firstIndex(where: { $0.range.contains(offset) })
        else { return nil }
        return Place(segment: position, frame: frame)
    }

    func range(of place: Place) -> Range<Int> { segments[place.segment].frames[place.frame].range }

    // MARK: What may be damaged

    /// Whether the frame may be damaged, as far as a whole frame goes.
    func mayDamage(_ place: Place) -> Bool {
        let segment = segments[place.segment]
        guard !segment.isFooterDamaged else { return false }
        // The footer has the identity of everything in the segment.
        if segment.footer != nil { return true }
        if segment.frames[place.frame].isDamaged { return place.frame + 1 < segment.frames.count }
        guard place.frame + 1 < segment.frames.count, !segment.frames[place.frame + 1].isDamaged else { return false }
        if place.frame > 0 { return !segment.frames[place.frame - 1].isDamaged }
        // The first frame attests the last one of the segment before.
        return place.segment == 0 || !segments[place.segment - 1].isFooterDamaged
    }

    /// All frames that may be damaged.
    var frames: [Place] {
        segments.indices.flatMap { position in
            segments[position].frames.indices.map { Place(segment: position, frame: $0) }.filter(mayDamage)
        }
    }

    /// Segments whose footer may be damaged: nothing else of it is, and the next frame is there.
    var footers: [Int] {
        segments.indices.dropLast().filter { position in
            let segment = segments[position]
            let next = segments[position + 1]
            return segment.footer != nil && !segment.isFooterDamaged && !segment.hasDamagedFrames
                && next.number == segment.number + 1 && next.frames.first?.isDamaged == false
        }
    }

    /// Segments all of whose frames may be damaged.
    var sealed: [Int] { segments.indices.filter { segments[$0].footer != nil && !segments[$0].isFooterDamaged } }

    mutating func damageFrame(_ place: Place) { segments[place.segment].frames[place.frame].isDamaged = true }
    mutating func damageFrames(of position: Int, in range: Range<Int>) {
        for frame in segments[position].frames.indices
        where segments[position].frames[frame].range.overlaps(range) {
            segments[position].frames[frame].isDamaged = true
        }
    }
    mutating func damageFooter(of position: Int) { segments[position].isFooterDamaged = true }
    mutating func damageHeader(of position: Int) { segments[position].isHeaderDamaged = true }
}
