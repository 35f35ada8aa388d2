package import Primitives

/// How a learner comes along on its way to be a voter, in the eyes of its leader.
///
/// A busy group never stands still for its learner, and one with a slower disk is always some entries behind. So what
/// counts is time: what was committed when a round began, the learner must have before a second is over (thesis,
/// section 4.2.1).
package struct CatchUp: Sendable {
    /// A learner that lacks no more entries than this of what is committed is close enough, whatever its rounds take.
    private static let distance: UInt64 = 16
    private static let roundLimit = Interval.seconds(1)
    /// A learner that has got nothing for so long gives its place to others.
    private static let patience = Interval.seconds(5)

    /// The round is over when the learner has this.
    private var goal: LogIndex
    private var roundBegan: Instant
    private var counted: LogIndex
    private var grewAt: Instant

    /// - Parameters:
    ///   - counted: what the learner has durable, as far as its word counts.
    ///   - commit: what is committed.
    package init(counted: LogIndex, commit: LogIndex, now: Instant) {
        self.counted = counted
        goal = commit
        roundBegan = now
        grewAt = now
    }

    /// The learner was heard, or looked at: whether it is close enough to be made a voter.
    package mutating func isComplete(counted: LogIndex, commit: LogIndex, now: Instant) -> Bool {
        if counted > self.counted {
            self.counted = counted
            grewAt = now
        }
        // In a young group nothing at all would be near enough.
        if counted > .zero && counted.rawValue + CatchUp.distance >= commit.rawValue { return true }
        guard counted >= goal else { return false }
        let isQuick = now - roundBegan < CatchUp.roundLimit
        goal = commit
        roundBegan = now
        return isQuick
    }

    /// Whether the learner gets nowhere.
    package func isStuck(now: Instant) -> Bool { now - grewAt >= CatchUp.patience }
}
