package import Primitives
import Raft

/// How far a replica's log is in doubt after a crash; what `ReplicaNote` keeps of it.
package struct LogDoubt: Hashable, Sendable {
    /// The log may hold entries that came with a snapshot up to here; zero when it is whole.
    package var transferredThrough: LogIndex
    /// The log may lack entries that it had, up to here; zero when it is whole.
    package var lostThrough: LogIndex

    package static let none = LogDoubt()
    /// A note that cannot be read may have said anything.
    package static let everything = LogDoubt(
        transferredThrough: LogIndex(RaftLimits.highestNumber), lostThrough: LogIndex(RaftLimits.highestNumber))

    package init(transferredThrough: LogIndex = .zero, lostThrough: LogIndex = .zero) {
        self.transferredThrough = transferredThrough
        self.lostThrough = lostThrough
    }

    /// Once everything up to here is committed, nothing is in doubt; zero when nothing is.
    package var through: LogIndex { max(transferredThrough, lostThrough) }
}
