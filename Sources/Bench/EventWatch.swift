/// Asks the nodes for the events of one trial.
actor EventWatch {
    private let observer: any ClusterObserver
    private let leader: Int
    private let survivors: [Int]
    /// The last events before the trial.
    private var lastSequences: [Int: UInt64] = [:]
    private var leaderName = ""

    /// - Parameters: numbers from 1.
    init(observer: any ClusterObserver, leader: Int, nodes: Int) {
        self.observer = observer
        self.leader = leader
        survivors = (1...nodes).filter { $0 != leader }
    }

    /// Before the fault: what comes from here on counts.
    ///
    /// - Throws: `setupFailed`, `CancellationError`.
    func begin() async throws {
        leaderName = try await ask(leader, after: .max).node
        for node in survivors { lastSequences[node] = try await ask(node, after: .max).lastSequence }
    }

    /// Whether every queue has a leader, as all survivors see it.
    func isAllLed() async throws -> Bool {
        for node in survivors where try await ask(node, after: .max).leaderless > 0 { return false }
        return true
    }

    /// What happened since `begin`.
    func stages(of queue: String, fault: UInt64) async throws -> FailoverStages {
        var answers: [NodeEvents] = []
        for node in survivors { answers.append(try await ask(node, after: lastSequences[node] ?? 0)) }
        return FailoverStages(survivors: answers, leader: leaderName, queue: queue, fault: fault)
    }

    private func ask(_ node: Int, after sequence: UInt64) async throws -> NodeEvents {
        do {
            return try await observer.events(of: node, after: sequence)
        } catch let error as CancellationError {
            throw error
        } catch {
            throw BenchError.setupFailed("node \(node) does not tell its events: \(error)")
        }
    }
}
