import Primitives
import Raft

extension RaftMessage {
    /// The message on one line.
    var words: String {
        switch self {
        case .preVote(let m): "pre-vote \(m.term) last \(m.lastIndex)/\(m.lastTerm) rank \(m.rank)"
        case .preVoteReply(let m): "pre-vote \(m.isGranted ? "granted" : "refused") \(m.term)"
        case .vote(let m): "vote \(m.term) last \(m.lastIndex)/\(m.lastTerm)\(m.isTransfer ? " transfer" : "")"
        case .voteReply(let m): "vote \(m.isGranted ? "granted" : "refused") \(m.term)"
        case .append(let m): m.words
        case .appendReply(let m): m.words
        case .timeoutNow(let term): "timeout-now \(term)"
        case .leaderGone(let term): "leader-gone \(term)"
        }
    }
}

extension Append {
    var words: String {
        let entries = count == 0 ? "" : " entries \(count)x\(entriesTerm)"
        let place = rank == Append.noRank ? "" : " rank \(rank)"
        let read = readContext == 0 ? "" : " read \(readContext)"
        return "append \(term) prev \(prevIndex)/\(prevTerm) commit \(commit)\(entries)\(place)\(read)"
    }
}

extension AppendReply {
    var words: String {
        let read = readContext == 0 ? "" : " read \(readContext)"
        let worth = mayVote ? "" : " uncounted"
        return isAccepted
            ? "accepted \(term) durable \(index) matches \(hintIndex)\(read)\(worth)"
            : "rejected \(term) at \(index) hint \(hintIndex)/\(hintTerm)\(read)\(worth)"
    }
}

extension ToyCluster {
    /// Notes what a ready asks of the disk and the machine; messages are noted when they leave.
    mutating func describe(_ ready: RaftReady, of node: NodeID) {
        guard trace != nil else { return }
        if let role = ready.role { note("  \(node) is \(role)") }
        if let change = ready.leader {
            note("  \(node) knows \(change.leader.map { "leader \($0)" } ?? "no leader") in \(change.term)")
        }
        if let state = ready.hardState {
            note("  \(node) writes \(state.term) vote \(state.vote.map { "\($0)" } ?? "-")")
        }
        if let from = ready.truncateFrom { note("  \(node) truncates from \(from)") }
        if let range = ready.persist {
            note(
                "  \(node) writes \(range.lowerBound)...\(range.upperBound)\(ready.noopAt == nil ? "" : " with no-op")")
        }
        for outgoing in ready.sendAfterDurable { note("  \(node) holds for \(outgoing.to): \(outgoing.message.words)") }
        if let index = ready.snapshotInstalled { note("  \(node) starts over from snapshot \(index)") }
        if let from = ready.snapshotDroppedFrom { note("  \(node) drops its log from \(from)") }
        if let commit = ready.commit { note("  \(node) commits \(commit)") }
        for answer in ready.readable { note("  \(node) reads \(answer.context) at \(answer.index)") }
        for context in ready.failedReads { note("  \(node) fails read \(context)") }
        for violation in ready.violations { note("  \(node) reports \(violation)") }
    }

    /// One line on a replica.
    func status(of node: NodeID) -> String {
        let replica = replicas[position(of: node)]
        guard replica.isUp else { return "  \(node) down, disk \(replica.disk.log.count) entries" }
        let core = replica.core
        var line = "  \(node) \(core.role) \(core.term) vote \(core.vote.map { "\($0)" } ?? "-")"
        line += " leader \(core.leader.map { "\($0)" } ?? "-") commit \(core.commit) last \(core.lastIndex)"
        line += " durable \(core.durableIndex)"
        if core.baseIndex > .zero { line += " base \(core.baseIndex)/\(core.baseTerm)" }
        if core.configuration != founding {
            line += " voters \(core.configuration.voters.map { "\($0)" }.joined(separator: ","))"
            if !core.configuration.learners.isEmpty {
                line += " learners \(core.configuration.learners.map { "\($0)" }.joined(separator: ","))"
            }
        }
        for other in nodes {
            guard let progress = core.progress(of: other) else { continue }
            line += " [\(other) match \(progress.match) next \(progress.next)"
            line += "\(progress.isProbing ? " probing" : "")\(progress.isPaused ? " paused" : "")"
            line += progress.pendingSnapshot.map { " snapshot \($0)" } ?? ""
            line += "\(progress.inflight > 0 ? " inflight \(progress.inflight)" : "")]"
        }
        return line
    }

    /// The terms of the entries in memory, in runs.
    func logWords(of node: NodeID) -> String {
        var runs: [(term: Term, count: Int)] = []
        for entry in replicas[position(of: node)].log {
            if let last = runs.last, last.term == entry.term {
                runs[runs.count - 1].count += 1
            } else {
                runs.append((entry.term, 1))
            }
        }
        return "  \(node) log " + runs.map { "\($0.count)x\($0.term.rawValue)" }.joined(separator: " ")
    }
}
