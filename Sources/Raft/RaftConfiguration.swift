public import Primitives

/// Who votes in a group, and who follows without a vote.
public struct RaftConfiguration: Hashable, Sendable {
    /// The voters, ascending and distinct, at most 7. The node itself may be missing: it then follows and never
    /// campaigns. None only in the eyes of a replica that was a voter's and lost its disk: it can do nothing by itself.
    public let voters: [NodeID]
    /// Get the log like voters, count for nothing and never campaign; ascending, distinct, none of them a voter.
    public let learners: [NodeID]

    /// - Precondition: at most 7 voters and 9 learners, all distinct; any order.
    public init(voters: [NodeID], learners: [NodeID] = []) {
        precondition(voters.count <= RaftLimits.voters, "a group has at most 7 voters")
        precondition(learners.count <= RaftLimits.members - RaftLimits.voters, "a group has at most 9 learners")
        self.voters = voters.sorted()
        self.learners = learners.sorted()
        let all = members
        for position in all.indices.dropFirst() {
            precondition(all[position - 1] < all[position], "a member is named twice")
        }
    }

    /// The smallest number of voters of which any two sets share a member.
    public var quorum: Int { voters.count / 2 + 1 }

    /// Voters and learners, ascending.
    public var members: [NodeID] { (voters + learners).sorted() }

    /// Whether `next` may follow: at most one voter comes or goes, so that a majority of the one shares a node with
    /// every majority of the other, and who comes was a learner, whose log is not empty. Learners change freely.
    public func isOneStep(to next: RaftConfiguration) -> Bool {
        let coming = next.voters.filter { !voters.contains($0) }
        let going = voters.filter { !next.voters.contains($0) }
        return !next.voters.isEmpty && coming.count + going.count <= 1 && coming.allSatisfy { learners.contains($0) }
            && next != self
    }

    /// The place of `node` among the voters; nil when it is none.
    package func position(of node: NodeID) -> Int? {
        for position in voters.indices where voters[position] == node { return position }
        return nil
    }
}

/// A configuration and the index of the entry that brought it; 0 for the one that the group was created with.
public struct PlacedConfiguration: Hashable, Sendable {
    /// Of the entry.
    public var index: LogIndex
    /// In force from the moment on in which a replica has the entry.
    public var configuration: RaftConfiguration

    /// A configuration in its place.
    public init(index: LogIndex, configuration: RaftConfiguration) {
        self.index = index
        self.configuration = configuration
    }
}

/// Why a leader does not propose a configuration.
public enum ConfigurationRefusal: Error, Hashable, Sendable {
    /// Not the leader, or one that is handing its leadership over.
    case notLeading
    /// Nothing of the leader's term is committed yet: an earlier leader's change might still be, and majorities of the
    /// two need not meet (the bug of July 2015 in the algorithm as it was published).
    case notCommittedInTerm
    /// The change before is not committed.
    case changeUnderWay
    /// More than one voter would come or go, or one that was no learner, or nothing would change.
    case notOneStep
}

/// The bounds of the core.
public enum RaftLimits {
    /// Voters of one group.
    public static let voters = 7
    /// Voters and learners of one group.
    public static let members = 16
    /// Entries described by one append. A caller bounds bytes by `Append.split(after:)`.
    public static let entriesPerAppend: UInt64 = 64
    /// Appends with entries on their way to one follower.
    public static let inflightAppends = 64
    /// Reads that wait for a quorum's echo; further ones fail.
    public static let pendingReads = 4_096
    /// The highest term, index or read context that a message may name, so that arithmetic on a peer's numbers never
    /// overflows.
    public static let highestNumber = CounterBound.received
    /// The largest entry count that a decoded append may state: room for later versions, and far from overflow.
    public static let decodedEntries: UInt64 = 65_536
}

/// What a node must never forget about a group: one record on disk, so that a new term clears the vote in the same
/// write.
public struct HardState: Hashable, Sendable {
    /// The newest term this node has seen.
    public var term: Term
    /// Whom it voted for in `term`.
    public var vote: NodeID?

    /// A term, and the vote in it if there is one.
    public init(term: Term = .zero, vote: NodeID? = nil) {
        self.term = term
        self.vote = vote
    }
}

/// The part a replica plays in its group.
public enum RaftRole: UInt8, Hashable, Sendable {
    /// Follows a leader, or waits for one.
    case follower
    /// Asks whether an election could succeed; nothing is written for it (thesis, section 9.6).
    case preCandidate
    /// Asks for votes in a term of its own.
    case candidate
    /// Orders the log.
    case leader
}
