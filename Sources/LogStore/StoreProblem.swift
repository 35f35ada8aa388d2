public import Primitives

/// Something wrong in a store, as ``StoreInspection/verify()`` found it.
public struct StoreProblem: Hashable, Sendable, CustomStringConvertible {
    /// The segment's number; nil for the file `store`.
    public var segment: UInt32?
    /// Bytes from the beginning of the file; nil when the place is not known.
    public var offset: Int?
    /// The group whose record it is, if it is a record.
    public var group: GroupID?
    /// The index of the entry or snapshot, if it is one.
    public var index: LogIndex?
    /// What is wrong.
    public var what: String

    init(_ what: String, segment: UInt32? = nil, offset: Int? = nil, group: GroupID? = nil, index: LogIndex? = nil) {
        self.what = what
        self.segment = segment
        self.offset = offset
        self.group = group
        self.index = index
    }

    /// One line: the place, then what is wrong.
    public var description: String {
        let place = [
            segment.map { "segment \($0)" } ?? "store", offset.map { "offset \($0)" },
            group.map { "group \($0.rawValue)" }, index.map { "index \($0.rawValue)" },
        ]
        return place.compactMap { $0 }.joined(separator: ", ") + ": " + what
    }
}

/// What ``StoreInspection/verify()`` read and found.
public struct StoreVerification: Sendable {
    /// What is wrong, in the order in which it was met.
    public var problems: [StoreProblem] = []
    /// Torn tails: written, but never confirmed to anybody. The next start clears them; they are no problems.
    public var tornTails: [StoreProblem] = []
    /// Segment files with an intact header.
    public var segments = 0
    /// Frames met.
    public var frames = 0
    /// Records in them; each entry counts.
    public var records = 0
    /// Bytes of headers, frames, footers and the file `store` that were read and compared with their checksums.
    public var bytes = 0
}
