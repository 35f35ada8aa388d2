public import Primitives

/// What a `group created` record says: the identity and the first members of a group, written before the replica
/// speaks.
public struct GroupDescriptor: Hashable, Sendable {
    /// A member is a node on one data directory: a node with another store is not that member.
    public struct Member: Hashable, Sendable {
        /// The node.
        public var node: NodeID
        /// Its data directory.
        public var store: StoreID

        /// A node on a data directory.
        public init(node: NodeID, store: StoreID) {
            self.node = node
            self.store = store
        }
    }

    /// Sorted by node.
    public var members: [Member]
    /// The node that should lead first.
    public var preferredLeader: NodeID

    /// Members in any order, 1 to `memberLimit` of them.
    public init(members: [Member], preferredLeader: NodeID) {
        self.members = members.sorted { $0.node < $1.node }
        self.preferredLeader = preferredLeader
    }

    private static let version: UInt8 = 1
    /// Most members of a group.
    public static let memberLimit = 7

    /// Version 1: u8 version, u16 preferred leader, u8 count, then u16 node and u64 high, u64 low of the store for each
    /// member.
    public func encoded() -> Bytes {
        var writer = ByteWriter(capacity: 8 + members.count * 18)
        writer.write(GroupDescriptor.version)
        writer.write(preferredLeader.rawValue)
        writer.write(UInt8(members.count))
        for member in members {
            writer.write(member.node.rawValue)
            writer.write(member.store.high)
            writer.write(member.store.low)
        }
        return writer.take()
    }

    /// - Throws: `DecodingFailure` for another version or a count outside of the bounds.
    public init(decoding bytes: Bytes) throws(DecodingFailure) {
        self = try bytes.withUnsafeBytes { buffer throws(DecodingFailure) in
            var reader = ByteReader(buffer)
            guard try reader.read(UInt8.self) == GroupDescriptor.version else { throw .invalid("descriptor version") }
            let preferred = NodeID(try reader.read(UInt16.self))
            let count = Int(try reader.read(UInt8.self))
            guard (1...GroupDescriptor.memberLimit).contains(count) else { throw .invalid("member count") }
            var members: [Member] = []
            for _ in 0..<count {
                let node = NodeID(try reader.read(UInt16.self))
                let store = StoreID(high: try reader.read(), low: try reader.read())
                members.append(Member(node: node, store: store))
            }
            return GroupDescriptor(members: members, preferredLeader: preferred)
        }
    }
}
