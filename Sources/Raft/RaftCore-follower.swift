import Primitives

extension RaftCore {
    mutating func onAppend(
        _ message: Append, from node: NodeID, _ configurations: [PlacedConfiguration], into ready: inout RaftReady
    ) {
        guard message.term >= term else {
            // The answer's higher term makes the old leader step down.
            reject(message, to: node, into: &ready)
            return
        }
        guard follow(node, term: message.term, into: &ready) else { return }
        successorRank = message.rank
        accept(message, from: node, configurations, into: &ready)
    }

    /// Follows `node`, which shows itself as the leader of `shown`, a term not below the current one. False, and a
    /// violation, when that term has another leader.
    mutating func follow(_ node: NodeID, term shown: Term, into ready: inout RaftReady) -> Bool {
        if shown > term || (role != .follower && role != .leader) {
            becomeFollower(shown, leader: node, into: &ready)
        }
        guard role == .follower, leader == nil || leader == node else {
            ready.violations.append(.secondLeader(node: node, term: shown))
            return false
        }
        setLeader(node, into: &ready)
        return true
    }

    /// Takes over what the leader of this term sent, as far as the logs join.
    private mutating func accept(
        _ message: Append, from node: NodeID, _ configurations: [PlacedConfiguration], into ready: inout RaftReady
    ) {
        let last = message.lastIndex
        if let limit = doubtfulAfter, message.prevIndex > limit {
            reject(message, to: node, into: &ready)
            return
        }
        if message.prevIndex >= log.baseIndex {
            guard let ownTerm = log.term(at: message.prevIndex) else {
                reject(message, to: node, into: &ready)
                return
            }
            guard ownTerm == message.prevTerm || bug == .joinsBlindly else {
                guard message.prevIndex > commit else {
                    ready.violations.append(.conflictBelowCommit(node: node, index: message.prevIndex))
                    return
                }
                reject(message, to: node, into: &ready)
                return
            }
        } else if last >= log.baseIndex && message.entriesTerm != log.baseTerm {
            // What a snapshot covers is committed, so it is skipped; of that part only the last term is still known.
            ready.violations.append(.conflictBelowCommit(node: node, index: log.baseIndex))
            return
        }
        // What is there already stays, whatever the length of this append: it may be older than one that came before.
        var index = max(message.prevIndex, log.baseIndex).next
        while index <= last, let ownTerm = log.term(at: index), ownTerm == message.entriesTerm {
            index = min(log.endOfTerm(at: index), last).next
        }
        if bug == .truncatesMatching { index = min(index, max(message.prevIndex, commit, log.baseIndex).next) }
        let hasNews = index <= last
        if hasNews {
            guard message.entriesTerm >= (log.term(at: index - 1) ?? .zero) else {
                ready.violations.append(.conflictBelowCommit(node: node, index: index))
                return
            }
            if index <= log.lastIndex {
                guard index > commit else {
                    ready.violations.append(.conflictBelowCommit(node: node, index: index))
                    return
                }
                truncate(from: index, into: &ready)
            }
            log.append(count: last - index + 1, term: message.entriesTerm)
            ready.addPersist(index...last)
            for placed in configurations where placed.index >= index && placed.index <= last {
                configurationLog.append(placed)
            }
            adoptConfiguration(into: &ready)
        }
        verified = max(verified, last)
        if let limit = doubtfulAfter { setDoubt(after: max(limit, last)) }
        leaderCommit = message.commit
        let newCommit = min(message.commit, bug == .commitsUnverified ? log.lastIndex : verified)
        if newCommit > commit {
            commit = newCommit
            ready.commit = newCommit
        }
        // New entries are acknowledged when they are durable. The first answer in a term lets the leader pipeline, and
        // the echo of a read round confirms it; neither waits for that.
        if !hasNews || message.readContext != 0 || acknowledged == nil {
            sendAccepted(message.readContext, into: &ready)
        }
    }

    /// - Precondition: `index` is above the commit index: what is committed is never dropped.
    private mutating func truncate(from index: LogIndex, into ready: inout RaftReady) {
        precondition(index > commit, "a committed entry would be dropped")
        log.truncate(from: index)
        configurationLog.truncate(from: index)
        if bug != .countsOverwrittenWrites {
            durableIndex = min(durableIndex, log.lastIndex)
            enteredIndex = min(enteredIndex, log.lastIndex)
        }
        ready.addTruncate(from: index)
    }

    private mutating func reject(_ message: Append, to node: NodeID, into ready: inout RaftReady) {
        let limit = min(message.prevIndex, doubtfulAfter ?? message.prevIndex)
        let hint = log.lastIndex(atMost: limit, termAtMost: message.prevTerm) ?? log.baseIndex
        let reply = AppendReply(
            term: term, isAccepted: false, index: message.prevIndex, hintIndex: hint,
            hintTerm: log.term(at: hint) ?? .zero, readContext: message.term == term ? message.readContext : 0,
            // A leader that counted what is in doubt now has to begin below it.
            mayVote: mayVote && doubtfulAfter == nil)
        send(.appendReply(reply), to: node, into: &ready)
    }

    /// Tells the leader how far this log is durable and matches.
    func acceptedReply(_ readContext: UInt64) -> AppendReply {
        AppendReply(
            term: term, isAccepted: true, index: min(durableIndex, verified), hintIndex: verified,
            readContext: readContext, mayVote: mayVote)
    }

    mutating func sendAccepted(_ readContext: UInt64, into ready: inout RaftReady) {
        guard let leader, role == .follower else { return }
        let reply = acceptedReply(readContext)
        acknowledged = reply.index
        send(.appendReply(reply), to: leader, into: &ready)
    }

    /// The disk got further: acknowledge what was held back.
    mutating func acknowledgeDurable(into ready: inout RaftReady) {
        guard min(durableIndex, verified) > acknowledged ?? .zero else { return }
        sendAccepted(0, into: &ready)
    }
}
