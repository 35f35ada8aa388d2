import Primitives
import Raft

/// The words after a command: plain ones in order, and `name=value`.
struct ScriptArguments {
    private(set) var plain: [String] = []
    private(set) var named: [String: String] = [:]

    init(_ words: [String]) {
        for word in words {
            let parts = word.split(separator: "=", maxSplits: 1)
            if parts.count == 2 {
                named[String(parts[0])] = String(parts[1])
            } else {
                plain.append(word)
            }
        }
    }

    func number(at position: Int) throws -> UInt64 {
        guard position < plain.count, let number = UInt64(plain[position]) else {
            throw ScriptFailure(description: "a number is missing")
        }
        return number
    }

    func number(_ name: String) throws -> UInt64? {
        guard let word = named[name] else { return nil }
        guard let number = UInt64(word) else { throw ScriptFailure(description: "\(name)=\(word) is no number") }
        return number
    }

    func node(at position: Int) throws -> NodeID { NodeID(UInt16(try number(at: position))) }

    func nodes(or all: [NodeID]) throws -> [NodeID] {
        plain.isEmpty ? all : try plain.indices.map { try node(at: $0) }
    }

    /// `name=<node>,…`; none when it is missing.
    func nodes(_ name: String) throws -> [NodeID] {
        try (named[name] ?? "").split(separator: ",").map { word in
            guard let number = UInt16(word) else { throw ScriptFailure(description: "\(name)=\(word) is no node") }
            return NodeID(number)
        }
    }

    /// `<index>/<term>`.
    private func place(_ name: String) throws -> (index: LogIndex, term: Term) {
        let parts = (named[name] ?? "0/0").split(separator: "/").compactMap { UInt64($0) }
        guard parts.count == 2 else { throw ScriptFailure(description: "\(name)=<index>/<term>") }
        return (LogIndex(parts[0]), Term(parts[1]))
    }

    /// The message that an `inject` describes.
    func message() throws -> RaftMessage {
        let term = Term(try number("term") ?? 0)
        switch plain.first {
        case "append":
            let prev = try place("prev")
            var append = Append(
                term: term, prevIndex: prev.index, prevTerm: prev.term, commit: LogIndex(try number("commit") ?? 0))
            let entries = (named["entries"] ?? "0x0").split(separator: "x").compactMap { UInt64($0) }
            guard entries.count == 2 else { throw ScriptFailure(description: "entries=<count>x<term>") }
            append.count = entries[0]
            append.entriesTerm = Term(entries[1])
            append.readContext = try number("read") ?? 0
            return .append(append)
        case "accepted":
            let index = LogIndex(try number("index") ?? 0)
            return .appendReply(AppendReply(term: term, isAccepted: true, index: index, hintIndex: index))
        case "rejected":
            let hint = try place("hint")
            let index = LogIndex(try number("index") ?? 0)
            return .appendReply(
                AppendReply(term: term, isAccepted: false, index: index, hintIndex: hint.index, hintTerm: hint.term))
        case "vote":
            let last = try place("last")
            return .vote(
                Vote(term: term, lastIndex: last.index, lastTerm: last.term, isTransfer: named["transfer"] == "yes"))
        case "pre-vote":
            let last = try place("last")
            let rank = UInt8(try number("rank") ?? UInt64(Append.noRank))
            return .preVote(PreVote(term: term, lastIndex: last.index, lastTerm: last.term, rank: rank))
        case "vote-reply": return .voteReply(VoteReply(term: term, isGranted: named["granted"] == "yes"))
        case "pre-vote-reply": return .preVoteReply(VoteReply(term: term, isGranted: named["granted"] == "yes"))
        case "timeout-now": return .timeoutNow(term)
        case "leader-gone": return .leaderGone(term)
        default: throw ScriptFailure(description: "an unknown message")
        }
    }
}
