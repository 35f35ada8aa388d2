import Primitives
import Raft
import Testing

@Suite struct MessageTests {
    static let samples: [RaftMessage] = [
        .preVote(PreVote(term: Term(3), lastIndex: LogIndex(900), lastTerm: Term(2), rank: 1)),
        .preVoteReply(VoteReply(term: Term(3), isGranted: true)),
        .vote(Vote(term: Term(300), lastIndex: LogIndex(1), lastTerm: Term(1), isTransfer: true)),
        .vote(Vote(term: Term(300), lastIndex: LogIndex(0), lastTerm: Term(0), isTransfer: false)),
        .voteReply(VoteReply(term: Term(1 << 40), isGranted: false)),
        .append(
            Append(
                term: Term(9), prevIndex: LogIndex(1 << 33), prevTerm: Term(7), commit: LogIndex(77), count: 64,
                entriesTerm: Term(8), rank: 2, readContext: 12_345)),
        .append(Append(term: Term(1), prevIndex: .zero, prevTerm: .zero, commit: .zero)),
        .appendReply(
            AppendReply(
                term: Term(9), isAccepted: true, index: LogIndex(5), hintIndex: LogIndex(6), readContext: 1)),
        .appendReply(
            AppendReply(
                term: Term(9), isAccepted: false, index: LogIndex(5), hintIndex: LogIndex(4), hintTerm: Term(2))),
        .appendReply(
            AppendReply(term: Term(9), isAccepted: true, index: LogIndex(5), hintIndex: LogIndex(5), mayVote: false)),
        .appendReply(
            AppendReply(term: Term(9), isAccepted: false, index: LogIndex(5), hintIndex: LogIndex(5), mayVote: false)),
        .timeoutNow(Term(4)),
        .leaderGone(Term(128)),
    ]

    private func encode(_ message: RaftMessage) -> Bytes {
        var writer = ByteWriter()
        message.encode(into: &writer)
        return writer.take()
    }

    private func decode(_ bytes: Bytes) throws(DecodingFailure) -> (message: RaftMessage, count: Int) {
        try bytes.withUnsafeBytes { buffer throws(DecodingFailure) in
            var reader = ByteReader(buffer)
            return (try RaftMessage(decoding: &reader), reader.offset)
        }
    }

    @Test(arguments: samples)
    func survivesTheWire(_ message: RaftMessage) throws {
        var writer = ByteWriter()
        message.encode(into: &writer)
        let length = writer.count
        // Entry bytes follow; the reader stops before them.
        writer.write([1, 2, 3])
        let decoded = try decode(writer.take())
        #expect(decoded.message == message)
        #expect(decoded.count == length)
    }

    @Test(arguments: samples)
    func everyCutIsTruncated(_ message: RaftMessage) {
        let bytes = encode(message)
        for count in 0..<bytes.count {
            #expect(throws: DecodingFailure.truncated) { try self.decode(bytes[0..<count]) }
        }
    }

    @Test func theFormatIsFixed() {
        let append = encode(
            .append(
                Append(
                    term: Term(2), prevIndex: LogIndex(300), prevTerm: Term(1), commit: LogIndex(4), count: 3,
                    entriesTerm: Term(2), rank: 255, readContext: 6)))
        #expect(append.withUnsafeBytes { Array($0) } == [5, 2, 0xac, 2, 1, 4, 3, 2, 255, 6])
        let reply = encode(
            .appendReply(
                AppendReply(
                    term: Term(2), isAccepted: false, index: LogIndex(9), hintIndex: LogIndex(8), hintTerm: Term(1))))
        #expect(reply.withUnsafeBytes { Array($0) } == [6, 2, 0, 9, 8, 1, 0])
        let uncounted = encode(
            .appendReply(
                AppendReply(
                    term: Term(2), isAccepted: true, index: LogIndex(9), hintIndex: LogIndex(9), mayVote: false)))
        #expect(uncounted.withUnsafeBytes { Array($0) } == [6, 2, 3, 9, 9, 0, 0])
        let preVote = encode(
            .preVote(PreVote(term: Term(3), lastIndex: LogIndex(7), lastTerm: Term(2), rank: 1)))
        #expect(preVote.withUnsafeBytes { Array($0) } == [1, 3, 7, 2, 1])
    }

    @Test func refusesNumbersThatDoNotFitTogether() {
        let huge = Term(RaftLimits.highestNumber + 1)
        let forged: [RaftMessage] = [
            .timeoutNow(huge),
            .vote(Vote(term: Term(3), lastIndex: LogIndex(1), lastTerm: Term(3), isTransfer: false)),
            .preVote(PreVote(term: Term(3), lastIndex: LogIndex(UInt64.max), lastTerm: Term(1), rank: 0)),
            .append(Append(term: Term(3), prevIndex: LogIndex(1), prevTerm: .zero, commit: .zero)),
            .append(Append(term: Term(3), prevIndex: .zero, prevTerm: Term(1), commit: .zero)),
            .append(Append(term: Term(3), prevIndex: LogIndex(1), prevTerm: Term(4), commit: .zero)),
            .append(
                Append(
                    term: Term(3), prevIndex: LogIndex(1), prevTerm: Term(2), commit: .zero, count: 1,
                    entriesTerm: Term(1))),
            .append(
                Append(
                    term: Term(3), prevIndex: LogIndex(1), prevTerm: Term(2), commit: .zero, count: 1,
                    entriesTerm: Term(4))),
            .append(Append(term: Term(3), prevIndex: .zero, prevTerm: .zero, commit: .zero, count: 1)),
            .append(
                Append(
                    term: Term(3), prevIndex: .zero, prevTerm: .zero, commit: .zero,
                    count: RaftLimits.decodedEntries + 1, entriesTerm: Term(1))),
        ]
        for message in forged {
            let bytes = encode(message)
            #expect(throws: DecodingFailure.self, "\(message)") { try self.decode(bytes) }
        }
        #expect(throws: DecodingFailure.invalid("raft message")) { try self.decode(Bytes([99, 1, 1, 1])) }
        #expect(throws: DecodingFailure.invalid("flag")) { try self.decode(Bytes([2, 1, 2])) }
        #expect(throws: DecodingFailure.invalid("flags")) { try self.decode(Bytes([6, 2, 4, 9, 9, 0, 0])) }
    }

    /// Whatever decodes, a core can take, from a peer that keeps to no rule.
    @Test func noDecodedMessageTrapsACore() throws {
        var random = SeededRandom(seed: 11)
        var decodedCount = 0
        for _ in 0..<200 {
            var core = RaftCore(
                id: NodeID(1), group: GroupID(0),
                configuration: RaftConfiguration(voters: [1, 2, 3].map { NodeID($0) }),
                restored: RestoredLog(mayVote: !random.oneIn(8)))
            var ready = RaftReady()
            for _ in 0..<60 {
                let bytes = (0..<14).map { position in
                    position == 0
                        ? UInt8(1 + random.next(below: 8)) : UInt8(random.next(below: random.oneIn(9) ? 256 : 4))
                }
                if let message = try? decode(Bytes(bytes)).message {
                    decodedCount += 1
                    core.receive(message, from: NodeID(UInt16(2 + random.next(below: 3))), into: &ready)
                }
                if random.oneIn(4) { core.campaign(into: &ready) }
                if random.oneIn(6) { core.leaderSuspected(into: &ready) }
                if random.oneIn(4) { _ = core.propose(count: 1, into: &ready) }
                if let state = ready.hardState { core.durable(hardState: state, into: &ready) }
                let last = core.lastIndex
                core.durable(term: core.term(at: last) ?? .zero, through: last, into: &ready)
                ready.removeAll()
                switch random.next(below: 8) {
                case 0 where core.commit > core.baseIndex:
                    core.compact(through: core.baseIndex + 1 + random.next(below: core.commit - core.baseIndex))
                case 1:
                    core.installSnapshot(
                        index: LogIndex(random.next(below: 6)), term: Term(random.next(below: 4)),
                        leaderTerm: Term(random.next(below: 5)), from: NodeID(2), into: &ready)
                case 2: core.retransmit(NodeID(2), into: &ready)
                case 3: core.snapshotFailed(NodeID(3))
                default: break
                }
                ready.removeAll()
            }
        }
        #expect(decodedCount > 2_000)
    }

    @Test func anAppendIsSplitByEntries() {
        let whole = Append(
            term: Term(5), prevIndex: LogIndex(10), prevTerm: Term(3), commit: LogIndex(9), count: 5,
            entriesTerm: Term(4), rank: 1, readContext: 2)
        let (first, rest) = whole.split(after: 2)
        #expect(first.entries == LogIndex(11)...LogIndex(12))
        #expect(rest.entries == LogIndex(13)...LogIndex(15))
        #expect(rest.prevTerm == Term(4))
        #expect(first.prevTerm == Term(3))
        #expect(Append(term: Term(1), prevIndex: .zero, prevTerm: .zero, commit: .zero).entries == nil)
    }
}
