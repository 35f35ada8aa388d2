import Primitives

/// Makes a storm's faults by running the scripts, and looks after the nodes.
struct StormDirector: Sendable {
    private let options: StormOptions
    private let nodes: Int

    init(options: StormOptions) {
        self.options = options
        nodes = options.addresses.count
    }

    /// Gives the nodes what the faults need, before anything is measured.
    ///
    /// - Throws: `faultFailed`, `CancellationError`.
    func prepare() async throws {
        guard options.faults.contains(where: \.needsOwnDisk) else { return }
        for node in 1...nodes {
            if let why = try await run(["Chaos/slow-disk", String(node), "--prepare"]) {
                throw BenchError.faultFailed(why)
            }
        }
    }

    /// Makes a fault and takes it back. Nil when that went as it should, else why not; false for one that was left out.
    func play(_ fault: StormFault) async throws -> (wasMade: Bool, problem: String?) {
        for step in fault.steps(nodes: nodes) {
            switch step {
            case .rest(let time): try await pause(seconds: time.inSeconds)
            case .await(let words):
                guard try await waitFor(words) else { return (false, nil) }
            case .run(let commands):
                if let problem = try await runTogether(commands) { return (true, problem) }
            }
        }
        return (true, nil)
    }

    /// Nodes that have ended by themselves; they are started again.
    ///
    /// - Parameter downed: those that a fault has just ended and started.
    func lookAfterNodes(except downed: Set<Int>) async throws -> [String] {
        var problems: [String] = []
        for node in 1...nodes where !downed.contains(node) {
            guard try await run(["Cluster/node", String(node), "pid"]) != nil else { continue }
            problems.append("node \(node) has ended by itself")
            if let why = try await run(["Cluster/node", String(node), "start", "--no-wait"]) { problems.append(why) }
        }
        return problems
    }

    /// Ends all faults. Nil when that went as it should, else why not.
    @discardableResult
    func endFaults() async throws -> String? { try await run(["Chaos/heal", "--quiet"]) }

    /// Ends all faults and brings all nodes back.
    func heal() async throws -> [String] {
        var problems: [String] = []
        if let why = try await endFaults() { problems.append(why) }
        // All at once: one may need the others to serve.
        for arguments in [["start", "--no-wait"], ["wait"]] {
            for node in 1...nodes {
                if let why = try await run(["Cluster/node", String(node)] + arguments) { problems.append(why) }
            }
        }
        return problems
    }

    /// Kills all nodes and brings them back: what is on the disks is all there is.
    func restartAll() async throws -> [String] {
        let fault = StormFault(kind: .killAll, node: 1, milliseconds: 0)
        let played = try await play(fault)
        return [played.problem].compactMap(\.self) + (try await heal())
    }

    // MARK: Scripts

    /// Nil when the script ended with 0, else the script and the last it said.
    private func run(_ words: [String]) async throws -> String? {
        let answer = try await ChildCommand.run(
            ["\(options.scripts)/\(words[0])"] + words.dropFirst(), seconds: 180)
        return answer.status == 0 ? nil : "\(words.joined(separator: " ")): \(answer.lastLine)"
    }

    private func runTogether(_ commands: [[String]]) async throws -> String? {
        try await withThrowingTaskGroup(of: String?.self) { group in
            for words in commands { group.addTask { try await run(words) } }
            var problem: String?
            for try await result in group { problem = problem ?? result }
            return problem
        }
    }

    private func waitFor(_ words: [String]) async throws -> Bool {
        let deadline = Instant.now() + .seconds(30)
        while try await run(words) != nil {
            guard Instant.now() < deadline else { return false }
            try await pause(seconds: 0.2)
        }
        return true
    }
}
