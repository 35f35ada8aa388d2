/// Damage met by a scan, other than that of records.
struct ScanFinding: Sendable {
    enum Kind: Sendable {
        /// Nothing with these numbers was found before the next frame.
        case missing(ClosedRange<UInt64>)
        /// The footer names the frame, and no intact header of it was found.
        case unreadableHeader(UInt64)
        case directoryDamaged(UInt64)
        /// The frame's copy of the directory before it.
        case repeatedDamaged(UInt64)
        case footerDamaged
        case footerDiffers(UInt64)
    }

    var kind: Kind
    var segment: UInt32
    /// Nil when the place is not known.
    var offset: Int?

    var isMissing: Bool { if case .missing = kind { true } else { false } }

    var what: String {
        switch kind {
        case .missing(let frames):
            frames.lowerBound == frames.upperBound
                ? "no readable header of frame \(frames.lowerBound)"
                : "no readable headers of frames \(frames.lowerBound) to \(frames.upperBound)"
        case .unreadableHeader(let frame): "no readable header of frame \(frame), which the footer names"
        case .directoryDamaged(let frame): "the directory of frame \(frame) is damaged"
        case .repeatedDamaged(let frame): "frame \(frame)'s copy of the directory before it is damaged"
        case .footerDamaged: "the footer is damaged"
        case .footerDiffers(let frame): "the footer does not agree with frame \(frame)"
        }
    }
}

/// A footer against the frames that were read from the same segment; both ascend by number.
struct FooterComparison {
    /// Numbers of frames that differ, or that the footer does not have.
    var differing: [UInt64] = []
    /// What the footer has and was not read.
    var unread: [FrameSummary] = []

    init(frames: [FrameSummary], read: [FrameSummary]) {
        var rest = read[...]
        for frame in frames {
            while let first = rest.first, first.number < frame.number {
                differing.append(first.number)
                rest.removeFirst()
            }
            guard let first = rest.first, first.number == frame.number else {
                unread.append(frame)
                continue
            }
            rest.removeFirst()
            // Of a frame without a readable header the place is a guess.
            let isGuessed = frame.holdsDamage || first.holdsDamage
            let isSamePlace =
                frame.recordsOffset == first.recordsOffset && frame.recordsLength == first.recordsLength
            if frame.directory != first.directory || !(isGuessed || isSamePlace) { differing.append(frame.number) }
        }
        differing += rest.map(\.number)
    }
}
