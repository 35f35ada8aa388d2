public import Primitives

/// Who votes in a group.
public struct RaftConfiguration: Hashable, Sendable {
    /// The voters, ascending and distinct, 1 to 7 of them. The node itself may be missing: it then follows and never
    /// campaigns.
    public let voters: [NodeID]

    /// - Precondition: `voters` holds 1 to 7 distinct nodes; any order.
    public init(voters: [NodeID]) {
        let sorted = voters.sorted()
        precondition((1...RaftLimits.voters).contains(sorted.count), "a group has 1 to 7 voters")
        for position in sorted.indices.dropFirst() {
            precondition(sorted[position - 1] < sorted[position], "a voter is named twice")
        }
        self.voters = sorted
    }

    /// The smallest number of voters of which any two sets share a member.
    public var quorum: Int { voters.count / 2 + 1 }

    /// The place of `node` among the voters; nil when it is none.
    package func position(of node: NodeID) -> Int? {
        for position in voters.indices where voters[position] == node { return position }
        return nil
    }
}

/// The bounds of the core.
public enum RaftLimits {
    /// Voters of one group.
    public static let voters = 7
    /// Entries described by one append. A caller bounds bytes by `Append.split(after:)`.
    public static let entriesPerAppend: UInt64 = 64
    /// Appends with entries on their way to one follower.
    public static let inflightAppends = 64
    /// Reads that wait for a quorum's echo; further ones fail.
    public static let pendingReads = 4_096
    /// The highest term, index or read context that a message may name, so that arithmetic on a peer's numbers never
    /// overflows.
    public static let highestNumber: UInt64 = 1 << 62
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
