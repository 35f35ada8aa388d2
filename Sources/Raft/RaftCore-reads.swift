import Primitives

/// A read that waits until a quorum has confirmed the leadership.
struct PendingRead: Sendable {
    /// The caller's context.
    let context: UInt64
    /// The commit index when its round began.
    var index: LogIndex
    /// The round whose echo confirms it; 0 until one begins that is later than the read.
    var round: UInt64
}

extension RaftCore {
    /// Asks for an index at which a read is linearizable (thesis, section 6.4). Answered in `readable`, or in
    /// `failedReads` when this node does not lead or stops leading. Reads that arrive while a round is under way share
    /// the next one.
    public mutating func readIndex(context: UInt64, into ready: inout RaftReady) {
        guard role == .leader, reads.count < RaftLimits.pendingReads else {
            ready.failedReads.append(context)
            return
        }
        reads.append(PendingRead(context: context, index: .zero, round: 0))
        startReadRound(into: &ready)
    }

    /// Begins a round for the reads that wait for one. Not before an entry of this term is committed: until then the
    /// commit index may be behind what an earlier leader has confirmed.
    mutating func startReadRound(into ready: inout RaftReady) {
        guard commit >= termStart, confirmedRound == readRound, let last = reads.last, last.round == 0 else { return }
        readRound += 1
        for position in reads.indices where reads[position].round == 0 {
            reads[position].round = readRound
            reads[position].index = commit
        }
        for peer in peers.indices where peers[peer].isVoter { sendEmpty(to: peer, into: &ready) }
        confirmReads(into: &ready)
    }

    /// Answers the reads of the round that a quorum has echoed.
    mutating func confirmReads(into ready: inout RaftReady) {
        guard role == .leader, readRound > confirmedRound else { return }
        var count = ownPosition == nil ? 0 : 1
        for peer in peers where peer.isVoter && peer.echoed >= readRound { count += 1 }
        guard count >= configuration.quorum || bug == .readsWithoutEcho else { return }
        confirmedRound = readRound
        var answered = 0
        while answered < reads.count, reads[answered].round != 0 {
            ready.readable.append(ReadableIndex(context: reads[answered].context, index: reads[answered].index))
            answered += 1
        }
        reads.removeFirst(answered)
        startReadRound(into: &ready)
    }

    mutating func failReads(into ready: inout RaftReady) {
        for read in reads { ready.failedReads.append(read.context) }
        reads.removeAll()
        confirmedRound = readRound
    }
}
