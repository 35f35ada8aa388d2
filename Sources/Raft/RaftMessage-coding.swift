public import Primitives

/// The first byte of an encoded message. A value is never reused for something else.
private enum MessageTag: UInt8 {
    case preVote = 1
    case preVoteReply = 2
    case vote = 3
    case voteReply = 4
    case append = 5
    case appendReply = 6
    case timeoutNow = 7
    case leaderGone = 8
}

extension RaftMessage {
    /// Appends the message: a tag byte, then its fields as varints and single bytes. An append's entry bytes are
    /// written by the caller afterwards.
    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .preVote(let message):
            writer.write(MessageTag.preVote.rawValue)
            writer.writeVarint(message.term.rawValue)
            writer.writeVarint(message.lastIndex.rawValue)
            writer.writeVarint(message.lastTerm.rawValue)
            writer.write(message.rank)
        case .preVoteReply(let message):
            writer.write(MessageTag.preVoteReply.rawValue)
            message.encodeFields(into: &writer)
        case .vote(let message):
            writer.write(MessageTag.vote.rawValue)
            writer.writeVarint(message.term.rawValue)
            writer.writeVarint(message.lastIndex.rawValue)
            writer.writeVarint(message.lastTerm.rawValue)
            writer.write(UInt8(message.isTransfer ? 1 : 0))
        case .voteReply(let message):
            writer.write(MessageTag.voteReply.rawValue)
            message.encodeFields(into: &writer)
        case .append(let message):
            writer.write(MessageTag.append.rawValue)
            message.encodeFields(into: &writer)
        case .appendReply(let message):
            writer.write(MessageTag.appendReply.rawValue)
            message.encodeFields(into: &writer)
        case .timeoutNow(let term):
            writer.write(MessageTag.timeoutNow.rawValue)
            writer.writeVarint(term.rawValue)
        case .leaderGone(let term):
            writer.write(MessageTag.leaderGone.rawValue)
            writer.writeVarint(term.rawValue)
        }
    }

    /// Reads one message and leaves the reader behind it, where an append's entry bytes begin.
    ///
    /// Whatever the bytes are, a message that comes out has numbers the core can calculate with, and fields that fit
    /// together.
    /// - Throws: `DecodingFailure`.
    public init(decoding reader: inout ByteReader) throws(DecodingFailure) {
        guard let tag = MessageTag(rawValue: try reader.read()) else { throw .invalid("raft message") }
        switch tag {
        case .preVote:
            let term = try reader.readTerm()
            let lastIndex = try reader.readIndex()
            let lastTerm = try reader.readTerm()
            guard lastTerm < term else { throw .invalid("last term") }
            self = .preVote(PreVote(term: term, lastIndex: lastIndex, lastTerm: lastTerm, rank: try reader.read()))
        case .preVoteReply:
            self = .preVoteReply(try VoteReply(fieldsFrom: &reader))
        case .vote:
            let term = try reader.readTerm()
            let lastIndex = try reader.readIndex()
            let lastTerm = try reader.readTerm()
            guard lastTerm < term else { throw .invalid("last term") }
            let isTransfer = try reader.readFlag()
            self = .vote(Vote(term: term, lastIndex: lastIndex, lastTerm: lastTerm, isTransfer: isTransfer))
        case .voteReply:
            self = .voteReply(try VoteReply(fieldsFrom: &reader))
        case .append:
            self = .append(try Append(fieldsFrom: &reader))
        case .appendReply:
            self = .appendReply(try AppendReply(fieldsFrom: &reader))
        case .timeoutNow:
            self = .timeoutNow(try reader.readTerm())
        case .leaderGone:
            self = .leaderGone(try reader.readTerm())
        }
    }
}

extension VoteReply {
    fileprivate func encodeFields(into writer: inout ByteWriter) {
        writer.writeVarint(term.rawValue)
        writer.write(UInt8(isGranted ? 1 : 0))
    }

    fileprivate init(fieldsFrom reader: inout ByteReader) throws(DecodingFailure) {
        term = try reader.readTerm()
        isGranted = try reader.readFlag()
    }
}

extension Append {
    fileprivate func encodeFields(into writer: inout ByteWriter) {
        writer.writeVarint(term.rawValue)
        writer.writeVarint(prevIndex.rawValue)
        writer.writeVarint(prevTerm.rawValue)
        writer.writeVarint(commit.rawValue)
        writer.writeVarint(count)
        writer.writeVarint(entriesTerm.rawValue)
        writer.write(rank)
        writer.writeVarint(readContext)
    }

    fileprivate init(fieldsFrom reader: inout ByteReader) throws(DecodingFailure) {
        term = try reader.readTerm()
        prevIndex = try reader.readIndex()
        prevTerm = try reader.readTerm()
        commit = try reader.readIndex()
        count = try reader.readVarint()
        entriesTerm = try reader.readTerm()
        rank = try reader.read()
        readContext = try reader.readNumber("read context")
        guard count <= RaftLimits.decodedEntries else { throw .invalid("entry count") }
        guard (prevIndex == .zero) == (prevTerm == .zero), prevTerm <= term else { throw .invalid("previous term") }
        guard count == 0 ? entriesTerm == .zero : entriesTerm >= prevTerm && entriesTerm > .zero && entriesTerm <= term
        else { throw .invalid("entry term") }
    }
}

extension AppendReply {
    fileprivate func encodeFields(into writer: inout ByteWriter) {
        writer.writeVarint(term.rawValue)
        writer.write(UInt8(isAccepted ? 1 : 0) | (mayVote ? 0 : 2))
        writer.writeVarint(index.rawValue)
        writer.writeVarint(hintIndex.rawValue)
        writer.writeVarint(hintTerm.rawValue)
        writer.writeVarint(readContext)
    }

    fileprivate init(fieldsFrom reader: inout ByteReader) throws(DecodingFailure) {
        term = try reader.readTerm()
        let flags = try reader.read(UInt8.self)
        guard flags <= 3 else { throw .invalid("flags") }
        isAccepted = flags & 1 != 0
        mayVote = flags & 2 == 0
        index = try reader.readIndex()
        hintIndex = try reader.readIndex()
        hintTerm = try reader.readTerm()
        readContext = try reader.readNumber("read context")
    }
}

extension ByteReader {
    fileprivate mutating func readNumber(_ name: String) throws(DecodingFailure) -> UInt64 {
        let value = try readVarint()
        guard value <= RaftLimits.highestNumber else { throw .invalid(name) }
        return value
    }

    fileprivate mutating func readTerm() throws(DecodingFailure) -> Term { Term(try readNumber("term")) }

    fileprivate mutating func readIndex() throws(DecodingFailure) -> LogIndex { LogIndex(try readNumber("index")) }

    fileprivate mutating func readFlag() throws(DecodingFailure) -> Bool {
        let value = try read(UInt8.self)
        guard value <= 1 else { throw .invalid("flag") }
        return value == 1
    }
}
