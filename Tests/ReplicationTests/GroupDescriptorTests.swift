import Primitives
import Replication
import Testing

@Suite struct GroupDescriptorTests {
    private let descriptor = GroupDescriptor(
        members: [
            .init(node: NodeID(3), store: StoreID(high: 5, low: 6)),
            .init(node: NodeID(1), store: StoreID(high: 0x0102, low: 4)),
        ], preferredLeader: NodeID(3))

    @Test func membersAreSorted() {
        #expect(descriptor.members.map(\.node) == [NodeID(1), NodeID(3)])
    }

    /// The record is on disks: this text never changes.
    @Test func theFormatIsFrozen() {
        let hex = descriptor.encoded().toArray().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        let golden =
            "01" + "0300" + "02" + "0100" + "0201000000000000" + "0400000000000000" + "0300" + "0500000000000000"
            + "0600000000000000"
        #expect(hex == golden)
    }

    @Test func roundTrip() throws {
        for (count, learners) in [(1, 0), (7, 0), (2, 1), (8, 1), (16, 9)] {
            let members = (1...count).map {
                GroupDescriptor.Member(
                    node: NodeID(UInt16($0)), store: StoreID(high: .max, low: UInt64($0)),
                    role: $0 <= learners ? .learner : .voter)
            }
            let descriptor = GroupDescriptor(members: members, preferredLeader: NodeID(UInt16(count)))
            #expect(try GroupDescriptor(decoding: descriptor.encoded()) == descriptor)
        }
    }

    @Test func theFormatWithLearnersIsFrozen() {
        var descriptor = descriptor
        descriptor.members[1].role = .learner
        let hex = descriptor.encoded().toArray().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        let golden =
            "02" + "0300" + "02" + "0100" + "0201000000000000" + "0400000000000000" + "01" + "0300"
            + "0500000000000000" + "0600000000000000" + "02"
        #expect(hex == golden)
    }

    /// Whatever comes from a disk or a peer, the core gets members that it can work with.
    @Test func impossibleMembersAreRefused() {
        let member = GroupDescriptor.Member(node: NodeID(1), store: StoreID(high: 1, low: 1))
        let learner = GroupDescriptor.Member(node: NodeID(1), store: StoreID(high: 1, low: 1), role: .learner)
        let eight = (1...8).map { GroupDescriptor.Member(node: NodeID($0), store: StoreID(high: 1, low: 1)) }
        for members in [[member, member], [learner], eight] {
            let bytes = GroupDescriptor(members: members, preferredLeader: NodeID(1)).encoded()
            #expect(throws: DecodingFailure.self) { try GroupDescriptor(decoding: bytes) }
        }
    }

    @Test func truncationIsRefused() {
        let bytes = descriptor.encoded()
        for count in 0..<bytes.count {
            #expect(throws: DecodingFailure.truncated) { try GroupDescriptor(decoding: bytes[0..<count]) }
        }
    }

    @Test func otherVersionsAndCountsAreRefused() {
        for (place, values) in [(0, [0, 2, 255]), (3, [0, 8, 255])] {
            for value in values {
                var bytes = descriptor.encoded().toArray()
                bytes[place] = UInt8(value)
                #expect(throws: DecodingFailure.self) { try GroupDescriptor(decoding: Bytes(bytes)) }
            }
        }
    }
}
