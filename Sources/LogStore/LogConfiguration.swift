public import Primitives

/// The sizes of a node log. They may differ from start to start.
public struct LogConfiguration: Hashable, Sendable {
    /// Bytes of a segment that is filled with zeros beforehand; a multiple of 4,096, at least 16 KiB.
    public var segmentSize = 64 << 20
    /// Bytes of a new store's first segment, which is filled while the caller waits.
    public var firstSegmentSize = 4 << 20
    /// Segments kept ready.
    public var readySegments = 2
    /// Bytes at which a frame is closed. A submission is never divided, so one frame may be larger.
    public var frameLimit = 1 << 20
    /// Bytes at which a segment stops growing although no other was ready.
    public var growthLimit = 1 << 30

    /// Production's sizes.
    public init() {}

    /// Production's sizes, except for those given.
    public init(segmentSize: Int, firstSegmentSize: Int, readySegments: Int = 2) {
        self.segmentSize = segmentSize
        self.firstSegmentSize = firstSegmentSize
        self.readySegments = readySegments
    }

    /// After so much idleness a bare frame attests that the last one was synced.
    public static let attestationDelay = Interval.milliseconds(10)
    /// A read that the device refuses is tried so many times in all.
    static let readAttempts = 3
    /// Most bytes in one submission.
    public static let submissionLimit = 1 << 30
}
