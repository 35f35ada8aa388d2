import Primitives
import Raft

/// What is wrong with a script.
struct ScriptFailure: Error, CustomStringConvertible {
    let description: String
}

/// Runs the commands of a script on a toy cluster and gives back what happened, in words.
///
/// - `cluster <voters> [spares=N] [group=G]`, `restore <node> term=T [vote=V] [log=<count>x<term>,…] [base=I]
///   [may-vote=no] [may-lead=no]`
/// - `campaign|suspect|quorum-lost|abort <node>…`, `propose <node> [count]`, `read <node>`, `broadcast <node> [forced]`
/// - `change <node> voters=<node>,… [learners=<node>,…]`
/// - `reset|retransmit|transfer|pause|resume <node> <node>`
/// - `compact <node> <index>`: begins to write a snapshot; `snapshot-failed <node> <node>`
/// - `snapshot <to> [from=N] [keep=yes]`: delivers the oldest snapshot to a node; `lose-snapshots`;
///   `send-snapshot <from> <to>`: needed or not
/// - `disk <node> [writes]`: finishes the oldest writes, all by default
/// - `deliver|drop|repeat <to> [from=N] [count=N]`: the oldest messages to a node; `repeat` delivers and keeps them
/// - `stabilize [node…]`: disks and messages among these nodes until nothing is left; `quietly <command>` hides the
///   words
/// - `crash <node> [keep=writes]`, `restart <node>`, `inject from=A to=B append …|vote …|timeout-now …|accepted …`
/// - `status [node…]`, `log [node…]`, `network`
struct ScriptRunner {
    private var cluster = ToyCluster(voters: [NodeID(1)], isTraced: true)

    var failures: [String] { cluster.failures }

    /// Runs one command.
    mutating func run(_ line: String) throws -> [String] {
        var words = line.split(separator: " ").map(String.init)
        let isQuiet = words.first == "quietly"
        if isQuiet { words.removeFirst() }
        guard !words.isEmpty else { throw ScriptFailure(description: "an empty command") }
        cluster.trace = []
        try perform(words.removeFirst(), ScriptArguments(words))
        return isQuiet ? [] : cluster.trace ?? []
    }

    private mutating func perform(_ command: String, _ arguments: ScriptArguments) throws {
        switch command {
        case "cluster":
            let nodes = try arguments.number(at: 0)
            let group = GroupID(try arguments.number("group") ?? 0)
            let all = nodes + (try arguments.number("spares") ?? 0)
            let names = (1...all).map { NodeID(UInt16($0)) }
            cluster = ToyCluster(
                voters: Array(names.prefix(Int(nodes))), spares: Array(names.dropFirst(Int(nodes))), group: group,
                isTraced: true)
        case "restore": try restore(arguments)
        case "campaign": try each(arguments) { core, ready in core.campaign(into: &ready) }
        case "suspect": try each(arguments) { core, ready in core.leaderSuspected(into: &ready) }
        case "quorum-lost": try each(arguments) { core, ready in core.quorumLost(into: &ready) }
        case "abort": try each(arguments) { core, ready in core.abortTransfer() }
        case "propose":
            let count = arguments.plain.count > 1 ? try arguments.number(at: 1) : 1
            let before = cluster.core(try arguments.node(at: 0)).lastIndex
            cluster.propose(try arguments.node(at: 0), count: count)
            if cluster.core(try arguments.node(at: 0)).lastIndex == before { cluster.note("  refused") }
        case "change":
            let configuration = RaftConfiguration(
                voters: try arguments.nodes("voters"), learners: try arguments.nodes("learners"))
            if let refusal = cluster.change(try arguments.node(at: 0), to: configuration) {
                cluster.note("  refused: \(refusal)")
            }
        case "read": cluster.read(try arguments.node(at: 0))
        case "broadcast":
            let isForced = arguments.plain.last == "forced"
            cluster.input(try arguments.node(at: 0)) { core, ready in
                core.broadcastCommit(isForced: isForced, into: &ready)
            }
        case "reset": try pair(arguments) { core, other, ready in core.peerReset(other, into: &ready) }
        case "retransmit": try pair(arguments) { core, other, ready in core.retransmit(other, into: &ready) }
        case "transfer": try pair(arguments) { core, other, ready in core.transfer(to: other, into: &ready) }
        case "pause": try pair(arguments) { core, other, ready in core.setPaused(other, true, into: &ready) }
        case "resume": try pair(arguments) { core, other, ready in core.setPaused(other, false, into: &ready) }
        case "compact":
            cluster.compact(try arguments.node(at: 0), through: LogIndex(try arguments.number(at: 1)))
        case "snapshot-failed": try pair(arguments) { core, other, _ in core.snapshotFailed(other) }
        case "snapshot": try deliverSnapshot(arguments)
        case "send-snapshot":
            cluster.offerSnapshot(to: try arguments.node(at: 1), from: try arguments.node(at: 0))
        case "lose-snapshots": cluster.snapshots = []
        case "disk": try finishWrites(arguments)
        case "deliver": try take(arguments) { cluster, position in cluster.deliver(at: position) }
        case "repeat":
            try take(arguments, keeps: true) { cluster, position in cluster.deliver(at: position, keep: true) }
        case "drop": try take(arguments) { cluster, position in cluster.network.remove(at: position) }
        case "stabilize": try stabilize(try arguments.nodes(or: cluster.nodes))
        case "crash":
            cluster.crash(try arguments.node(at: 0), survivors: Int(try arguments.number("keep") ?? 0))
        case "restart": cluster.restart(try arguments.node(at: 0))
        case "inject": try inject(arguments)
        case "status":
            for node in try arguments.nodes(or: cluster.nodes) {
                let words = cluster.status(of: node)
                cluster.note(words)
            }
        case "log":
            for node in try arguments.nodes(or: cluster.nodes) {
                let words = cluster.logWords(of: node)
                cluster.note(words)
            }
        case "network":
            for envelope in cluster.network {
                cluster.note("  \(envelope.from) > \(envelope.to) \(envelope.message.words)")
            }
        default: throw ScriptFailure(description: "an unknown command: \(command)")
        }
    }

    private mutating func each(
        _ arguments: ScriptArguments, _ body: (inout RaftCore, inout RaftReady) -> Void
    ) throws {
        for node in try arguments.nodes(or: []) { cluster.input(node, body) }
    }

    private mutating func pair(
        _ arguments: ScriptArguments, _ body: (inout RaftCore, NodeID, inout RaftReady) -> Void
    ) throws {
        let other = try arguments.node(at: 1)
        cluster.input(try arguments.node(at: 0)) { core, ready in body(&core, other, &ready) }
    }

    private mutating func restore(_ arguments: ScriptArguments) throws {
        let node = try arguments.node(at: 0)
        var disk = arguments.named["log"] == nil ? cluster.replicas[cluster.position(of: node)].disk : ToyDisk()
        if arguments.named["may-vote"] == "no" { cluster.doubtful.append(node) }
        disk.hardState.term = Term(try arguments.number("term") ?? 0)
        disk.hardState.vote = try arguments.number("vote").map { NodeID(UInt16($0)) }
        for run in (arguments.named["log"] ?? "").split(separator: ",") {
            let parts = run.split(separator: "x").compactMap { UInt64($0) }
            guard parts.count == 2 else { throw ScriptFailure(description: "a run is <count>x<term>: \(run)") }
            for _ in 0..<parts[0] {
                // The same place and term is the same entry on all nodes.
                let value = parts[1] * 1_000 + UInt64(disk.log.count)
                disk.log.append(ToyEntry(term: Term(parts[1]), value: value))
            }
        }
        if let base = try arguments.number("base") { disk.snapshotIndex = LogIndex(base) }
        cluster.restore(
            node, disk: disk, mayVote: arguments.named["may-vote"] != "no",
            isJoined: arguments.named["joined"] != "no", mayLead: arguments.named["may-lead"] != "no")
    }

    private mutating func deliverSnapshot(_ arguments: ScriptArguments) throws {
        let target = try arguments.node(at: 0)
        let source = try arguments.number("from").map { NodeID(UInt16($0)) }
        let place = cluster.snapshots.firstIndex { $0.to == target && (source == nil || $0.from == source) }
        guard let place else { throw ScriptFailure(description: "no snapshot to \(target)") }
        cluster.deliverSnapshot(at: place, keep: arguments.named["keep"] == "yes")
    }

    private mutating func finishWrites(_ arguments: ScriptArguments) throws {
        let node = try arguments.node(at: 0)
        let waiting = cluster.replicas[cluster.position(of: node)].writes.count
        let count = arguments.plain.count > 1 ? Int(try arguments.number(at: 1)) : waiting
        for _ in 0..<min(count, waiting) { cluster.finishWrite(node) }
    }

    /// Acts on the oldest messages that match, as many as there are now; `body` removes its message unless `keeps`.
    private mutating func take(
        _ arguments: ScriptArguments, keeps: Bool = false, _ body: (inout ToyCluster, Int) -> Void
    ) throws {
        let target = try arguments.node(at: 0)
        let source = try arguments.number("from").map { NodeID(UInt16($0)) }
        let limit = try arguments.number("count").map { Int($0) } ?? Int.max
        let positions = cluster.network.indices.filter { position in
            let envelope = cluster.network[position]
            return envelope.to == target && (source == nil || envelope.from == source)
        }
        guard !positions.isEmpty else { throw ScriptFailure(description: "no message to \(target)") }
        for (order, position) in positions.prefix(limit).enumerated() {
            body(&cluster, keeps ? position : position - order)
        }
    }

    private mutating func stabilize(_ nodes: [NodeID]) throws {
        for _ in 0..<10_000 {
            var isQuiet = true
            for node in nodes where !cluster.replicas[cluster.position(of: node)].writes.isEmpty {
                cluster.finishWrite(node)
                isQuiet = false
            }
            let next = cluster.network.firstIndex { nodes.contains($0.to) && nodes.contains($0.from) }
            if let next {
                cluster.deliver(at: next)
                isQuiet = false
            }
            if isQuiet { return }
        }
        throw ScriptFailure(description: "no end of messages")
    }

    private mutating func inject(_ arguments: ScriptArguments) throws {
        guard let from = try arguments.number("from"), let to = try arguments.number("to") else {
            throw ScriptFailure(description: "inject from=A to=B …")
        }
        var entries: [ToyEntry] = []
        let message = try arguments.message()
        if case .append(let append) = message {
            for offset in 0..<append.count {
                let value = append.entriesTerm.rawValue * 1_000 + append.prevIndex.rawValue + offset
                entries.append(ToyEntry(term: append.entriesTerm, value: value))
            }
        }
        cluster.network.append(
            Envelope(from: NodeID(UInt16(from)), to: NodeID(UInt16(to)), message: message, entries: entries))
        cluster.deliver(at: cluster.network.count - 1)
    }
}
