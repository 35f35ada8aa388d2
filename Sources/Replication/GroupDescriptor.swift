public import Primitives
import Raft

/// The members of a group. A `group created` record says who they were first, written before the replica speaks; each
/// configuration entry who they are from then on.
public struct GroupDescriptor: Hashable, Sendable {
    /// What a member is there for.
    public enum Role: UInt8, Hashable, Sendable {
        /// Counts in every quorum.
        case voter = 1
        /// Gets the log and counts for nothing.
        case learner = 2
    }

    /// A member is a node on one data directory: a node with another store is not that member.
    public struct Member: Hashable, Sendable {
        /// The node.
        public var node: NodeID
        /// Its data directory.
        public var store: StoreID
        /// What it is there for.
        public var role: Role

        /// A node on a data directory.
        public init(node: NodeID, store: StoreID, role: Role = .voter) {
            self.node = node
            self.store = store
            self.role = role
        }
    }

    /// Voters of one group at most, and so nodes of a cluster: each of them votes on its metadata.
    public static let voterLimit = RaftLimits.voters

    /// Sorted by node.
    public var members: [Member]
    /// The node that should lead first.
    public var preferredLeader: NodeID

    /// Members in any order, each node once, 1 to `voterLimit` of them voters.
    public init(members: [Member], preferredLeader: NodeID) {
        self.members = members.sorted { $0.node < $1.node }
        self.preferredLeader = preferredLeader
    }

    /// The member on a node; nil when it has none.
    public func member(_ node: NodeID) -> Member? {
        for member in members where member.node == node { return member }
        return nil
    }

    /// The core's view of it from a node on a store: a member on that node with another store is none that the core
    /// could be.
    func configuration(for node: NodeID, _ store: StoreID) -> RaftConfiguration {
        let known = members.filter { $0.node != node || $0.store == store }
        return RaftConfiguration(
            voters: known.filter { $0.role == .voter }.map(\.node),
            learners: known.filter { $0.role == .learner }.map(\.node))
    }
}

extension GroupDescriptor {
    /// Version 1, when all members are voters: u8 version, u16 preferred leader, u8 count, then u16 node and u64 high,
    /// u64 low of the store for each member. Version 2: behind each store a u8 role.
    public func encoded() -> Bytes {
        let hasRoles = members.contains { $0.role != .voter }
        var writer = ByteWriter(capacity: 8 + members.count * 19)
        writer.write(UInt8(hasRoles ? 2 : 1))
        writer.write(preferredLeader.rawValue)
        writer.write(UInt8(members.count))
        for member in members {
            writer.write(member.node.rawValue)
            writer.write(member.store.high)
            writer.write(member.store.low)
            if hasRoles { writer.write(member.role.rawValue) }
        }
        return writer.take()
    }

    /// - Throws: `DecodingFailure` for another version, a count outside of the bounds or a node named twice.
    public init(decoding bytes: Bytes) throws(DecodingFailure) {
        self = try bytes.withUnsafeBytes { buffer throws(DecodingFailure) in
            var reader = ByteReader(buffer)
            return try GroupDescriptor(decoding: &reader)
        }
    }

    init(decoding reader: inout ByteReader) throws(DecodingFailure) {
        let version = try reader.read(UInt8.self)
        guard (1...2).contains(version) else { throw .invalid("descriptor version") }
        let preferred = NodeID(try reader.read(UInt16.self))
        let count = Int(try reader.read(UInt8.self))
        guard (1...RaftLimits.members).contains(count) else { throw .invalid("member count") }
        var members: [Member] = []
        for _ in 0..<count {
            let node = NodeID(try reader.read(UInt16.self))
            let store = StoreID(high: try reader.read(), low: try reader.read())
            let role = try version == 1 ? Role.voter : Role(rawValue: reader.read())
            guard let role, !members.contains(where: { $0.node == node }) else { throw .invalid("member") }
            members.append(Member(node: node, store: store, role: role))
        }
        let voters = members.count { $0.role == .voter }
        guard (1...RaftLimits.voters).contains(voters), count - voters <= RaftLimits.members - RaftLimits.voters else {
            throw .invalid("voter count")
        }
        self.init(members: members, preferredLeader: preferred)
    }
}
