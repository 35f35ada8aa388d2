import Primitives
import Raft

/// Replicas, their disks and the network between them, driven step by step; it checks Raft's invariants after every
/// step.
struct ToyCluster {
    let group: GroupID
    /// All there are, members or not.
    let nodes: [NodeID]
    /// The configuration of the group's creation.
    let founding: RaftConfiguration
    var replicas: [ToyReplica]
    var network: [Envelope] = []
    /// Snapshots under way.
    var snapshots: [SnapshotEnvelope] = []
    /// Nodes whose disks lost records: they neither vote nor count, and copies of theirs may be gone.
    var doubtful: [NodeID] = []
    /// Broken invariants; empty in a correct run.
    var failures: [String] = []
    /// What happened, in words; recorded for scripts only.
    var trace: [String]?

    /// The log as committed by anyone so far.
    private(set) var committed: [ToyEntry] = []
    private var leaders: [Term: NodeID] = [:]
    private var votes: [NodeID: [Term: NodeID]] = [:]
    /// Outstanding reads: what was committed anywhere when the read began.
    private var readFloors: [UInt64: LogIndex] = [:]
    private(set) var answeredReads: [UInt64] = []
    private(set) var failedReads: [UInt64] = []
    private(set) var truncations = 0
    /// Configurations proposed, promotions among them, and configurations that were truncated.
    private(set) var changes = 0
    private(set) var promotions = 0
    private(set) var truncatedChanges = 0
    /// Disks of nodes that were no members, replaced by empty ones.
    var replacedDisks = 0
    /// Compactions, snapshots installed, and those of them before which entries were dropped.
    var compactions = 0
    var installs = 0
    var droppedSuffixes = 0
    private var lastValue: UInt64 = 0
    private var lastRead: UInt64 = 0
    var ready = RaftReady()

    init(voters: [NodeID], spares: [NodeID] = [], group: GroupID = GroupID(0), isTraced: Bool = false) {
        self.group = group
        nodes = voters + spares
        let founding = RaftConfiguration(voters: voters)
        self.founding = founding
        replicas = nodes.map { ToyReplica(id: $0, group: group, founding: founding, disk: ToyDisk()) }
        trace = isTraced ? [] : nil
    }

    func position(of node: NodeID) -> Int {
        guard let position = nodes.firstIndex(of: node) else { preconditionFailure("no node \(node)") }
        return position
    }

    func core(_ node: NodeID) -> RaftCore { replicas[position(of: node)].core }

    mutating func note(_ line: @autoclosure () -> String) {
        if trace != nil { trace?.append(line()) }
    }

    mutating func check(_ condition: Bool, _ text: @autoclosure () -> String) {
        if !condition { failures.append(text()) }
    }

    // MARK: Inputs

    /// Starts `node` over from `disk`.
    mutating func restore(
        _ node: NodeID, disk: ToyDisk, mayVote: Bool = true, isJoined: Bool = true, mayLead: Bool = true
    ) {
        replicas[position(of: node)] = ToyReplica(
            id: node, group: group, founding: replicas[position(of: node)].founding, disk: disk, mayVote: mayVote,
            isJoined: isJoined, mayLead: mayLead)
    }

    /// Ends the process of `node`; the first `survivors` unfinished writes reach the disk although nobody was told.
    mutating func crash(_ node: NodeID, survivors: Int = 0) {
        let position = position(of: node)
        for write in replicas[position].writes.prefix(survivors) { replicas[position].disk.apply(write) }
        replicas[position].writes = []
        replicas[position].isUp = false
    }

    mutating func restart(_ node: NodeID) {
        let isSound = !doubtful.contains(node)
        restore(node, disk: replicas[position(of: node)].disk, mayVote: isSound, mayLead: isSound)
    }

    /// Gives the core of `node` an input and works off what comes out.
    mutating func input(_ node: NodeID, _ body: (inout RaftCore, inout RaftReady) -> Void) {
        let position = position(of: node)
        guard replicas[position].isUp else { return }
        body(&replicas[position].core, &ready)
        workOff(node, attached: nil)
    }

    mutating func propose(_ node: NodeID, count: UInt64 = 1) {
        input(node) { core, ready in _ = core.propose(count: count, into: &ready) }
    }

    /// Returns why it was refused.
    @discardableResult
    mutating func change(_ node: NodeID, to configuration: RaftConfiguration) -> ConfigurationRefusal? {
        let core = core(node)
        let isReady = core.hasCommittedInTerm && core.configurationIndex <= core.commit
        var refusal: ConfigurationRefusal?
        input(node) { core, ready in
            do throws(ConfigurationRefusal) {
                _ = try core.proposeConfiguration(configuration, into: &ready)
            } catch {
                refusal = error
            }
        }
        guard refusal == nil, replicas[position(of: node)].isUp else { return refusal }
        check(isReady, "\(node) changes the configuration too early")
        changes += 1
        if core.configuration.learners.contains(where: { configuration.voters.contains($0) }) { promotions += 1 }
        return nil
    }

    mutating func read(_ node: NodeID) {
        guard replicas[position(of: node)].isUp else { return }
        lastRead += 1
        let context = lastRead
        readFloors[context] = LogIndex(UInt64(committed.count))
        input(node) { core, ready in core.readIndex(context: context, into: &ready) }
    }

    /// Delivers the message at `position` of the network.
    mutating func deliver(at position: Int, keep: Bool = false) {
        let envelope = keep ? network[position] : network.remove(at: position)
        let target = self.position(of: envelope.to)
        guard replicas[target].isUp else { return }
        if case .append = envelope.message, replicas[target].isInstalling { return }
        replicas[target].core.receive(
            envelope.message, from: envelope.from, configurations: envelope.configurations, into: &ready)
        workOff(envelope.to, attached: envelope)
    }

    /// Finishes the oldest write of `node`, and tells its core.
    mutating func finishWrite(_ node: NodeID) {
        let position = position(of: node)
        guard replicas[position].isUp, !replicas[position].writes.isEmpty else { return }
        let write = replicas[position].writes.removeFirst()
        replicas[position].disk.apply(write)
        if let hardState = write.hardState { checkVote(of: node, hardState) }
        for outgoing in write.messages { transmit(outgoing, from: node, entries: []) }
        if let hardState = write.hardState {
            replicas[position].core.durable(hardState: hardState, into: &ready)
        }
        if let first = write.first, let last = write.entries.last {
            let through = first + UInt64(write.entries.count - 1)
            replicas[position].core.durable(term: last.term, through: through, into: &ready)
        }
        workOff(node, attached: nil)
        if write.snapshot != nil { snapshotWritten(write, at: node) }
    }

    // MARK: The caller's part

    mutating func workOff(_ node: NodeID, attached: Envelope?) {
        let position = position(of: node)
        let commitBefore = replicas[position].knownCommit
        replicas[position].knownCommit = ready.commit ?? commitBefore
        describe(ready, of: node)
        var write = DiskWrite(hardState: ready.hardState, truncateFrom: ready.truncateFrom)
        if let from = ready.truncateFrom {
            truncations += 1
            let count = Int(from.rawValue) - 1
            if replicas[position].log[count...].contains(where: { $0.configuration != nil }) { truncatedChanges += 1 }
            replicas[position].log.removeLast(replicas[position].log.count - count)
        }
        if let persist = ready.persist {
            write.first = persist.lowerBound
            write.entries = makeEntries(persist, of: node, attached: attached)
            let count = UInt64(replicas[position].log.count)
            check(count + 1 == persist.lowerBound.rawValue, "\(node) persists \(persist.lowerBound) after \(count)")
            replicas[position].log += write.entries
        }
        takeSnapshot(at: node)
        write.messages = ready.sendAfterDurable
        let isWrite = write.hardState != nil || write.first != nil
        check(isWrite || write.messages.isEmpty, "\(node) waits for a write that does not exist")
        if isWrite { replicas[position].writes.append(write) }
        let sendNow = ready.sendNow
        let appends = ready.appends
        let snapshotNeeded = ready.snapshotNeeded
        checkResults(of: node)
        ready.removeAll()
        for outgoing in sendNow { transmit(outgoing, from: node, entries: []) }
        for target in snapshotNeeded { sendSnapshot(to: target, from: node) }
        for order in appends {
            checkAppend(order, of: node)
            var entries: [ToyEntry] = []
            if let range = order.append.entries {
                entries = Array(
                    replicas[position].log[Int(range.lowerBound.rawValue) - 1..<Int(range.upperBound.rawValue)])
            }
            check(entries.allSatisfy { $0.term == order.append.entriesTerm }, "\(node) mixes terms in an append")
            transmit(RaftOutgoing(to: order.to, message: .append(order.append)), from: node, entries: entries)
        }
        checkInvariants(of: node, commitBefore: commitBefore)
    }

    private mutating func makeEntries(
        _ range: ClosedRange<LogIndex>, of node: NodeID, attached: Envelope?
    ) -> [ToyEntry] {
        if let attached, case .append(let append) = attached.message {
            let skip = Int(range.lowerBound.rawValue) - Int(append.prevIndex.rawValue) - 1
            return Array(attached.entries[skip..<attached.entries.count])
        }
        let term = core(node).term
        var entries: [ToyEntry] = []
        for index in range.lowerBound.rawValue...range.upperBound.rawValue {
            if ready.noopAt?.rawValue == index {
                entries.append(ToyEntry(term: term, value: 0))
            } else {
                lastValue += 1
                let placed = core(node).configurations.last { $0.index.rawValue == index }
                entries.append(ToyEntry(term: term, value: lastValue, configuration: placed?.configuration))
            }
        }
        return entries
    }

    private mutating func transmit(_ outgoing: RaftOutgoing, from node: NodeID, entries: [ToyEntry]) {
        checkSent(outgoing.message, by: node, to: outgoing.to)
        note("  \(node) > \(outgoing.to) \(outgoing.message.words)")
        network.append(Envelope(from: node, to: outgoing.to, message: outgoing.message, entries: entries))
    }

    // MARK: Invariants

    /// Another replica goes by this node's number from now on.
    mutating func forgetVotes(of node: NodeID) { votes[node] = nil }

    /// Votes are unique per node and term, across restarts.
    private mutating func checkVote(of node: NodeID, _ hardState: HardState) {
        guard let vote = hardState.vote else { return }
        let earlier = votes[node, default: [:]].updateValue(vote, forKey: hardState.term)
        check(earlier == nil || earlier == vote, "\(node) voted twice in \(hardState.term)")
    }

    /// What a message promises is on the sender's disk when it leaves.
    private mutating func checkSent(_ message: RaftMessage, by node: NodeID, to target: NodeID) {
        let disk = replicas[position(of: node)].disk
        switch message {
        case .preVote(let message):
            check(message.term.rawValue <= disk.hardState.term.rawValue + 1, "\(node) reveals an unwritten term")
        case .preVoteReply(let message):
            check(message.isGranted || message.term <= disk.hardState.term, "\(node) reveals an unwritten term")
        case .vote(let message):
            check(
                disk.hardState == HardState(term: message.term, vote: node), "\(node) asks before its vote is durable")
            check(
                message.lastIndex.rawValue <= UInt64(disk.log.count), "\(node) asks with entries that are not durable")
        case .voteReply(let message):
            check(message.term <= disk.hardState.term, "\(node) reveals an unwritten term")
            if message.isGranted && disk.hardState.term == message.term {
                check(disk.hardState.vote == target, "\(node) grants a vote that is not durable")
            }
        case .append(let message):
            check(
                disk.hardState.term > message.term || disk.hardState == HardState(term: message.term, vote: node),
                "\(node) leads without a durable vote for itself")
        case .appendReply(let message):
            check(message.term <= disk.hardState.term, "\(node) reveals an unwritten term")
            if message.isAccepted {
                check(message.index.rawValue <= UInt64(disk.log.count), "\(node) acknowledges what is not durable")
                let log = replicas[position(of: node)].log
                let isSame =
                    message.index.rawValue <= UInt64(log.count)
                    && log.prefix(Int(message.index.rawValue)) == disk.log.prefix(Int(message.index.rawValue))
                check(isSame, "\(node) acknowledges entries that its disk has otherwise")
            }
        case .timeoutNow(let term), .leaderGone(let term):
            check(term <= disk.hardState.term, "\(node) reveals an unwritten term")
        }
    }

    private mutating func checkResults(of node: NodeID) {
        // Scripts forge messages; elsewhere nobody breaks the rules.
        if trace == nil { failures += ready.violations.map { "\(node) reports \($0)" } }
        for answer in ready.readable {
            answeredReads.append(answer.context)
            let floor = readFloors[answer.context] ?? .zero
            check(answer.index >= floor, "read \(answer.context) at \(answer.index) misses \(floor)")
        }
        failedReads += ready.failedReads
        if let leader = ready.leader {
            check(leader.leader != node || ready.role == .leader, "\(node) leads without the role")
        }
    }

    private mutating func checkInvariants(of node: NodeID, commitBefore: LogIndex) {
        let replica = replicas[position(of: node)]
        let core = replica.core
        check(core.lastIndex.rawValue == UInt64(replica.log.count), "\(node) and its caller disagree on the log")
        check(
            core.configurations == expectedConfigurations(of: replica),
            "\(node) and its caller disagree on configurations")
        check(core.lastTerm == replica.log.last?.term ?? .zero, "\(node) and its caller disagree on terms")
        check(core.commit == replica.knownCommit, "\(node) commits without saying so")
        check(core.commit >= commitBefore, "\(node) takes back a commit")
        check(core.commit <= core.lastIndex, "\(node) commits beyond its log")
        checkProgress(of: node)
        if core.role == .leader {
            let earlier = leaders.updateValue(node, forKey: core.term)
            check(earlier == nil || earlier == node, "two leaders in \(core.term)")
            if earlier == nil {
                check(replica.log.starts(with: committed), "\(node) leads in \(core.term) without a committed entry")
            }
        }
        if core.commit > commitBefore { checkCommit(of: node, replica) }
    }

    /// What the log says, from the newest one up to the base on.
    private func expectedConfigurations(of replica: ToyReplica) -> [PlacedConfiguration] {
        var placed = [PlacedConfiguration(index: .zero, configuration: replica.founding)]
        for (position, entry) in replica.log.enumerated() {
            guard let configuration = entry.configuration else { continue }
            placed.append(PlacedConfiguration(index: LogIndex(UInt64(position) + 1), configuration: configuration))
        }
        let base = placed.lastIndex { $0.index <= replica.core.baseIndex } ?? 0
        return Array(placed[base...])
    }

    /// State machine safety, and that a leader commits only what a quorum of disks has.
    private mutating func checkCommit(of node: NodeID, _ replica: ToyReplica) {
        let count = Int(replica.core.commit.rawValue)
        for position in 0..<count {
            if position < committed.count {
                check(committed[position] == replica.log[position], "\(node) commits another entry at \(position + 1)")
            } else {
                committed.append(replica.log[position])
            }
        }
        guard replica.core.role == .leader else { return }
        let entry = replica.log[count - 1]
        let configuration = replica.core.configuration
        let holders = replicas.filter {
            // What a lost disk acknowledged before the loss, it had.
            configuration.voters.contains($0.core.id)
                && (doubtful.contains($0.core.id) || $0.disk.holds(entry, at: LogIndex(UInt64(count))))
        }.count
        check(holders >= configuration.quorum, "\(node) commits \(count) that only \(holders) disks have")
        check(entry.term == replica.core.term, "\(node) commits an entry of an earlier term by counting")
    }

    /// Two logs with the same term at an index are the same up to there (Raft paper, section 5.3).
    mutating func checkLogMatching() {
        let logs = replicas.map { $0.log }
        for a in logs.indices {
            for b in logs.indices where b > a {
                let common = min(logs[a].count, logs[b].count)
                guard let last = (0..<common).last(where: { logs[a][$0].term == logs[b][$0].term }) else { continue }
                let isSame = logs[a][...last] == logs[b][...last]
                check(isSame, "logs of n\(a + 1) and n\(b + 1) differ below \(last + 1)")
            }
        }
    }
}
