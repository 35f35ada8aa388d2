public import Primitives

/// What a store holds, as ``StoreInspection/contents()`` read it.
public struct StoreContents: Sendable {
    /// A segment file.
    public struct Segment: Hashable, Sendable {
        /// Its number, from 1.
        public var number: UInt32
        /// How often the file was recycled.
        public var generation: UInt32
        /// Frames in it.
        public var frames: Int
        /// Bytes of the file.
        public var bytes: Int
        /// Bytes from the beginning of the file to the end of the last frame that is known to have been synced; all of
        /// a sealed one.
        public var usedBytes: Int
        /// Whether it has an intact footer and takes no more frames.
        public var isSealed: Bool
    }

    /// The log of one group.
    public struct Group: Sendable {
        /// What a start would find.
        public var recovered: RecoveredGroup
        /// Bytes of the records that still count, without their shares of the directories.
        public var liveBytes: Int
    }

    /// The identity of the data directory.
    public var storeID: StoreID
    /// The number of the last start.
    public var incarnation: Incarnation
    /// Ascending by number; those that a start would remove are left out.
    public var segments: [Segment]
    /// Ascending by id.
    public var groups: [Group]
    /// Groups that were removed, ascending by id.
    public var removedGroups: [GroupID]
}
