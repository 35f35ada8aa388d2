import Primitives
import Replication
import Testing

@Suite struct SnapshotMessageTests {
    private let name = SnapshotName(index: LogIndex(900), term: Term(7))
    private let group = GroupID(5)

    private func roundTrip(_ message: SnapshotMessage) throws -> SnapshotMessage {
        try SnapshotMessage(decoding: encoded(message), group: group)
    }

    private func encoded(_ message: SnapshotMessage) -> Bytes {
        var writer = ByteWriter()
        message.encode(into: &writer)
        return writer.take()
    }

    @Test func offersSayWhatIsLive() throws {
        let live = [LogIndex(1)...LogIndex(1), LogIndex(3)...LogIndex(500), LogIndex(900)...LogIndex(900)]
        let offer = SnapshotOffer(name: name, leaderTerm: Term(9), byteCount: 12_345, live: live)
        guard case .offer(let found) = try roundTrip(.offer(offer)) else {
            Issue.record("not an offer")
            return
        }
        #expect(found == offer)
    }

    @Test func partsCarryEntriesAndBytes() throws {
        guard
            case .entries(name, let after, let through, let entries) = try roundTrip(
                .entries(name, after: LogIndex(4), through: LogIndex(30), [entry(10, term: 3), entry(30, term: 7)]))
        else {
            Issue.record("not entries")
            return
        }
        #expect(after == LogIndex(4) && through == LogIndex(30))
        #expect(entries.map(\.index) == [LogIndex(10), LogIndex(30)] && entries.allSatisfy(\.isIntact))
        guard case .chunk(name, offset: 77, let bytes) = try roundTrip(.chunk(name, offset: 77, Bytes("state"))) else {
            Issue.record("not a chunk")
            return
        }
        #expect(bytes == Bytes("state"))
        guard
            case .request(name, after: LogIndex(3), offset: 9) = try roundTrip(
                .request(name, after: LogIndex(3), offset: 9))
        else {
            Issue.record("not a request")
            return
        }
    }

    @Test func nothingMalformedPassesOrTraps() {
        let live = [LogIndex(1)...LogIndex(1), LogIndex(3)...LogIndex(500)]
        let messages: [SnapshotMessage] = [
            .offer(SnapshotOffer(name: name, leaderTerm: Term(9), byteCount: 12_345, live: live)),
            .entries(name, after: LogIndex(4), through: LogIndex(30), [entry(10)]),
            .request(name, after: LogIndex(3), offset: 9),
        ]
        var random = SeededRandom(seed: 1)
        for message in messages {
            let bytes = encoded(message).toArray()
            for length in 0..<bytes.count {
                let decoded = try? SnapshotMessage(decoding: Bytes(Array(bytes[..<length])), group: group)
                // A part without entries is a part.
                if case .entries(_, _, _, let entries) = decoded {
                    #expect(entries.isEmpty)
                } else {
                    #expect(decoded == nil)
                }
            }
            for _ in 0..<5_000 {
                var mutated = bytes
                for _ in 0...random.next(below: 3) {
                    mutated[Int(random.next(below: UInt64(mutated.count)))] = UInt8(truncatingIfNeeded: random.next())
                }
                guard let decoded = try? SnapshotMessage(decoding: Bytes(mutated), group: group) else { continue }
                if case .offer(let offer) = decoded {
                    #expect(offer.live.allSatisfy { $0.upperBound <= offer.name.index })
                    #expect(zip(offer.live, offer.live.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound })
                }
            }
        }
    }

    @Test func entriesOfAnotherGroupAreRefused() {
        let bytes = encoded(.entries(name, after: LogIndex(4), through: LogIndex(30), [entry(10)]))
        #expect(throws: DecodingFailure.self) { try SnapshotMessage(decoding: bytes, group: GroupID(6)) }
    }
}
