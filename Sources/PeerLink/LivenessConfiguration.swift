public import Primitives

/// The detector's times.
public struct LivenessConfiguration: Hashable, Sendable {
    /// Time between two heartbeats, and between two turns of the detector.
    public var interval = Interval.milliseconds(25)
    /// The shortest silence that raises suspicion. The threshold in force adapts to what was observed.
    public var minimumSilence = Interval.milliseconds(300)
    /// The longest that the threshold grows to.
    public var maximumSilence = Interval.seconds(1)
    /// A reported age of an fdatasync that raises suspicion.
    public var diskStall = Interval.seconds(1)
    /// A reported age of a loop's last turn that raises suspicion.
    public var loopStall = Interval.seconds(1)
    /// How far past its turn the detector may come before it counts as having stood still itself.
    public var ownDelay = Interval.milliseconds(50)
    /// How long an observed gap or a false alarm raises the threshold.
    public var memory = Interval.seconds(60)

    /// The defaults.
    public init() {}
}
