public import Primitives

// MARK: - Compaction

extension RaftCore {
    /// The last index that the own snapshot covers; entries begin after it. Zero without a snapshot.
    public var baseIndex: LogIndex { log.baseIndex }
    /// The term of the entry at `baseIndex`; zero without a snapshot.
    public var baseTerm: Term { log.baseTerm }

    /// A snapshot of the state machine up to `index` is durable: forget the terms of the entries it covers, whatever
    /// the role. A follower that still needs them gets the snapshot instead, once a probe behind it has failed.
    ///
    /// - Precondition: `index` is above `baseIndex` and not above `commit`.
    public mutating func compact(through index: LogIndex) {
        precondition(index > log.baseIndex && index <= commit, "a snapshot of what is not committed, or an old one")
        log.compact(through: index)
        configurationLog.compact(through: index)
        if let limit = doubtfulAfter { setDoubt(after: max(limit, index)) }
        for peer in peers.indices where peers[peer].next <= index {
            if peers[peer].pendingSnapshot == nil {
                peers[peer].probe(base: index)
            } else {
                peers[peer].next = index.next
            }
        }
    }
}

// MARK: - Leader

extension RaftCore {
    /// The snapshot for `node` cannot be sent, or was refused: look again where its log ends. Sends nothing; the next
    /// proposal, `broadcastCommit` or `retransmit` does. Without effect when `node` does not wait for a snapshot.
    public mutating func snapshotFailed(_ node: NodeID) {
        guard let peer = peerPosition(node), peers[peer].pendingSnapshot != nil else { return }
        peers[peer].probe(base: log.baseIndex)
    }

    /// Names a follower that appends cannot help, for the first time or again.
    mutating func needSnapshot(_ peer: Int, into ready: inout RaftReady) {
        peers[peer].awaitSnapshot(base: log.baseIndex)
        ready.addSnapshotNeeded(peers[peer].node)
    }

    /// An accepted answer of a follower that waits for a snapshot.
    /// - Parameter known: the last index known to match there, `>= reply.index`.
    mutating func acceptedWaiting(
        _ reply: AppendReply, known: LogIndex, pending: LogIndex, from peer: Int, into ready: inout RaftReady
    ) {
        if reply.index >= log.baseIndex {
            peers[peer].state = .replicate
            peers[peer].next = max(peers[peer].match, known).next
        } else if reply.index >= pending {
            // It has the snapshot it was sent, but the log has been compacted beyond that since.
            needSnapshot(peer, into: &ready)
        }
    }
}

// MARK: - Follower

extension RaftCore {
    /// `node` offers a snapshot, or a part of one, as leader of `term`. Treated like an append as far as terms and
    /// leadership go: a newer term is entered, and the sender of an older one is told of the newer.
    ///
    /// - Returns: whether `node` leads in the current term, so that the transfer may go on. The caller then compares
    ///   the snapshot's index with `commit`: where it is not above, `installSnapshot` at once answers that nothing is
    ///   needed.
    public mutating func receiveSnapshotOffer(
        term offered: Term, from node: NodeID, into ready: inout RaftReady
    ) -> Bool {
        guard node != id, offered.rawValue <= RaftLimits.highestNumber else { return false }
        guard offered >= term else {
            let reply = AppendReply(
                term: term, isAccepted: false, index: .zero, hintIndex: .zero, mayVote: mayVote)
            send(.appendReply(reply), to: node, into: &ready)
            return false
        }
        return follow(node, term: offered, into: &ready)
    }

    /// Whether the entries behind a snapshot at (`index`, `term`) stay when it is installed: when the log has that very
    /// entry, or everything up to `index` is known to be committed anyway.
    ///
    /// The caller asks in the step in which it hands the record that makes the snapshot current to the disk, and when
    /// the answer is false, hands over before it a truncation from `index + 1` on (needless if `lastIndex` is not above
    /// `index`).
    public func keepsSuffix(afterSnapshotAt index: LogIndex, term: Term) -> Bool {
        index <= commit || log.term(at: index) == term
    }

    /// A snapshot up to (`index`, `term`) that `node` offered as leader of `leaderTerm` (`receiveSnapshotOffer` came
    /// first, so that this term precedes it on disk) is complete and durable, and current there: go on behind it.
    /// Reported by `snapshotInstalled`, with the new commit index; ignored, but answered, when `index` is not above
    /// `commit`.
    ///
    /// - From the step of `keepsSuffix` until this call the core gets no append and is not told to campaign. Hold
    ///   appends back rather than drop them: word of a commit is not repeated while the link stands.
    /// - `placed` is the configuration in force at `index`; nil when the sender did not say, as it knew of no change.
    /// - `leaderTerm` is checked as for an append. The *snapshot* of a leader of an older term is taken nonetheless:
    ///   what it covers is committed, whoever leads now, and the disk already starts from it; only its sender is not
    ///   followed. Entries that contradict it are not committed and never will be.
    /// - A leader takes none: it has what is committed. (Then, as when `index` is not above `commit`, the disk's
    ///   snapshot may be ahead of `baseIndex` until the caller calls `compact`.)
    /// - Numbers that cannot be a snapshot's, and a second leader's snapshot, are ignored.
    /// - Precondition: `ready` holds no entries to persist; work off earlier inputs first.
    public mutating func installSnapshot(
        index: LogIndex, term snapshotTerm: Term, configuration placed: PlacedConfiguration? = nil, leaderTerm: Term,
        from node: NodeID, into ready: inout RaftReady
    ) {
        precondition(ready.persist == nil && ready.truncateFrom == nil, "entries of an earlier input wait")
        guard index > .zero, index.rawValue <= RaftLimits.highestNumber, snapshotTerm > .zero,
            snapshotTerm <= leaderTerm, placed.map({ $0.index <= index }) ?? true
        else { return }
        let isFollowed = receiveSnapshotOffer(term: leaderTerm, from: node, into: &ready)
        guard role != .leader, isFollowed || leaderTerm < term else { return }
        if index > commit { startOver(after: index, term: snapshotTerm, placed, into: &ready) }
        if isFollowed { sendAccepted(0, into: &ready) }
    }

    /// - Precondition: `index` is above the commit index, hence above the base.
    private mutating func startOver(
        after index: LogIndex, term snapshotTerm: Term, _ placed: PlacedConfiguration?, into ready: inout RaftReady
    ) {
        guard snapshotTerm >= log.baseTerm else { return }
        let keepsSuffix = keepsSuffix(afterSnapshotAt: index, term: snapshotTerm)
        configurationLog.restart(
            after: index, with: placed ?? configurationLog.configuration(at: index), keepsSuffix: keepsSuffix)
        if keepsSuffix {
            log.compact(through: index)
            durableIndex = max(durableIndex, index)
            enteredIndex = max(enteredIndex, index)
            if let limit = doubtfulAfter { setDoubt(after: max(limit, index)) }
        } else {
            if log.lastIndex > index { ready.snapshotDroppedFrom = index.next }
            log.restart(after: index, term: snapshotTerm)
            durableIndex = index
            enteredIndex = index
            doubtfulAfter = nil
        }
        adoptConfiguration(into: &ready)
        // Committed, so whoever leads in the current term has it too.
        verified = max(verified, index)
        leaderCommit = max(leaderCommit, index)
        commit = index
        ready.commit = index
        ready.snapshotInstalled = index
    }

    /// The log is known to be one that a leader had up to `index`; behind it, if there is more, it is not.
    mutating func setDoubt(after index: LogIndex) {
        doubtfulAfter = index < log.lastIndex ? index : nil
    }
}
