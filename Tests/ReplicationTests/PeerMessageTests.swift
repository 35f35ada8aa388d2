import Primitives
import Replication
import Testing

@Suite struct PeerMessageTests {
    private struct Message: Equatable {
        var kind: PeerMessageKind
        var group: GroupID
        var content: Bytes
    }

    private func payloads(_ messages: [Message]) -> [Bytes] {
        var outbox = PeerOutbox()
        for message in messages {
            outbox.append(message.kind, group: message.group) { $0.write(message.content) }
        }
        return outbox.take()
    }

    /// The messages of a payload up to its end, or to where it is malformed.
    private func read(_ payload: Bytes) -> (messages: [Message], failure: DecodingFailure?) {
        var reader = PeerPayloadReader(payload)
        var messages: [Message] = []
        do throws(DecodingFailure) {
            while let (kind, group, content) = try reader.next() {
                messages.append(Message(kind: kind, group: group, content: content))
            }
            return (messages, nil)
        } catch {
            return (messages, error)
        }
    }

    private let some = [
        Message(kind: .raft, group: GroupID(7), content: Bytes([1, 2, 3])),
        Message(kind: .client, group: GroupID(.max), content: Bytes()),
        Message(kind: .gateway, group: .topology, content: Bytes([UInt8](repeating: 9, count: 300))),
        Message(kind: .leadershipDenial, group: .topology, content: Bytes([0])),
    ]

    @Test func roundTrip() throws {
        let payloads = payloads(some)
        #expect(payloads.count == 1)
        let result = read(try #require(payloads.first))
        #expect(result.messages == some && result.failure == nil)
    }

    @Test func theFormatIsFrozen() throws {
        let payload = try #require(payloads(Array(some.prefix(2))).first)
        #expect(
            payload.toArray() == [1, 7, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1, 2, 3, 2]
                + [UInt8](repeating: 0xff, count: 8)
                + [0, 0, 0, 0])
    }

    @Test func anOutboxIsEmptyOnceTaken() {
        var outbox = PeerOutbox()
        var isEmpty = outbox.isEmpty
        #expect(isEmpty)
        outbox.append(.raft, group: GroupID(1)) { _ in }
        isEmpty = outbox.isEmpty
        #expect(!isEmpty)
        let first = outbox.take()
        isEmpty = outbox.isEmpty
        #expect(first.count == 1 && isEmpty)
        let second = outbox.take()
        #expect(second.isEmpty)
    }

    /// What exceeds a payload goes into further ones, whole messages each, in order.
    @Test func largeTicksAreSplitBetweenMessages() {
        let messages = (1...10).map { number in
            Message(
                kind: .raft, group: GroupID(number),
                content: Bytes([UInt8](repeating: UInt8(number), count: 400_000)))
        }
        let payloads = payloads(messages)
        #expect(payloads.count == 4)
        var all: [Message] = []
        for payload in payloads {
            let result = read(payload)
            #expect(result.failure == nil)
            all += result.messages
        }
        #expect(all == messages)
    }

    @Test func truncationIsNoticed() throws {
        let payload = try #require(payloads(some).first)
        var ends: Set = [0]
        for message in some { ends.insert((ends.max() ?? 0) + 13 + message.content.count) }
        for count in 0..<payload.count {
            let result = read(payload[0..<count])
            #expect(result.messages == Array(some.prefix(result.messages.count)))
            #expect(result.failure == (ends.contains(count) ? nil : .truncated), "\(count) bytes")
        }
    }

    @Test(arguments: UInt64(1)...50) func anyBytesAreReadOrRefused(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        for _ in 0..<50 {
            var bytes = try #require(payloads(some).first).toArray()
            for _ in 0...random.next(below: 4) {
                bytes[Int(random.next(below: UInt64(bytes.count)))] = UInt8(random.next(below: 256))
            }
            let result = read(Bytes(bytes))
            let total = result.messages.reduce(0) { $0 + 13 + $1.content.count }
            #expect(total <= bytes.count)
            #expect(result.failure != nil || total == bytes.count)
        }
    }

    @Test func aLengthIsNeverTrusted() {
        let head: [UInt8] = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]
        #expect(read(Bytes(head + [1, 2, 3])).failure == .truncated)
        var unknown = head
        unknown[0] = 99
        #expect(read(Bytes(unknown)).failure == .invalid("peer message kind"))
    }
}
