public import Primitives
public import QuorumQueue

/// The leader's side of one queue towards all gateways: attaches them, lets their batches into the log once and in
/// order, and turns the machine's effects into one stream per gateway. Pure; the host calls it in this order:
///
/// `lead` when elected; `caughtUp` when the term's first entry is applied; `receive` for each message of a client;
/// `perform` for each entry's effects; `flush` at the end of a loop tick; `stepDown` when not leader any more.
public struct LeaderPort: Sendable {
    /// The term in which the node leads; nil while it does not.
    public private(set) var term: Term?
    /// Whether the machine has all that was committed before this term.
    var isCaughtUp = false
    /// By ascending gateway: those that resumed in this term.
    var gateways: [Attachment] = []
    /// Nodes whose link was reset in this term: the log may hold a `gatewayDown` for them that is not applied yet.
    var doubted: [NodeID] = []
    /// Attached gateways whose nodes have to be raised by a `gatewayUp`.
    var raises: [(node: NodeID, incarnation: Incarnation)] = []
    /// Status requests that wait for the machine to have caught up, and answers that wait for the flush.
    var statuses: [(gateway: GatewayID, requestID: UInt64)] = []
    var answers: [(GatewayID, LeaderMessage)] = []
    /// Most waiting status requests; more are dropped, and asked again by those who still want to know.
    static let statusLimit = 4_096

    /// Not leading.
    public init() {}

    /// The node was elected; everything of earlier terms is forgotten.
    public mutating func lead(term: Term) {
        self = LeaderPort()
        self.term = term
    }

    /// Whether something waits for `flush`.
    public var needsFlush: Bool { !answers.isEmpty || gateways.contains { $0.hasNews } }

    /// Whether the last flush sent as much as it may and left the rest for another, soon.
    public var isPostponed: Bool { gateways.contains { $0.isPostponed } }

    /// What became of a client's message.
    public enum Action: Sendable {
        /// Nothing is to be done.
        case none
        /// The batch is to be proposed, in this order, and must reach the leader's log: if it cannot, `stepDown` or
        /// `lead` must be called before anything else is received, so that no later batch overtakes it.
        case propose(CommandBatch)
    }

    /// Takes a client's message and appends the answers that are due at once.
    /// - Parameter machine: the queue's, up to what is applied here.
    public mutating func receive(
        _ message: ClientMessage, machine: borrowing QueueMachine, into out: inout [(GatewayID, LeaderMessage)]
    ) -> Action {
        guard let term else {
            LeaderPort.disown(message, term: .zero, hint: nil, into: &out)
            return .none
        }
        switch message {
        case .commands(let commands):
            return take(commands, into: &out)
        case .resume(let request):
            attach(request)
            if isCaughtUp { answerResumes(term, machine) }
        case .status(let gateway, let requestID):
            if statuses.count < LeaderPort.statusLimit { statuses.append((gateway, requestID)) }
            if isCaughtUp { answerStatuses(machine) }
        }
        return .none
    }

    /// The answer of a node that does not lead the queue, be it a follower or no member at all.
    public static func disown(
        _ message: ClientMessage, term: Term, hint: NodeID?, into out: inout [(GatewayID, LeaderMessage)]
    ) {
        let epoch: UInt64
        switch message {
        case .commands(let commands): epoch = commands.epoch
        case .resume(let request): epoch = request.epoch
        case .status: epoch = 0
        }
        out.append((message.gateway, .notLeader(epoch: epoch, term: term, hint: hint)))
    }

    /// The machine has applied the first entry of the term, and so everything committed before: resumes are answered.
    public mutating func caughtUp(machine: borrowing QueueMachine) {
        guard let term, !isCaughtUp else { return }
        isCaughtUp = true
        answerResumes(term, machine)
        answerStatuses(machine)
    }

    /// The node leads no more, or lost a batch it had taken: every attached gateway is told, and has to resume.
    /// - Parameters:
    ///   - term: the newest term the node knows.
    ///   - hint: the leader, if the node knows one.
    public mutating func stepDown(term: Term, hint: NodeID?, into out: inout [(GatewayID, LeaderMessage)]) {
        for gateway in gateways where gateway.phase != .gone {
            out.append((gateway.id, .notLeader(epoch: gateway.epoch, term: term, hint: hint)))
        }
        for status in statuses { out.append((status.gateway, .notLeader(epoch: 0, term: term, hint: hint))) }
        self = LeaderPort()
    }

    /// The link to a node was lost, or the node is given up: nothing is sent to its gateways until they resume. What
    /// they had put into the log is remembered. To be called before a `gatewayDown` is proposed.
    public mutating func linkReset(_ node: NodeID) {
        guard term != nil else { return }
        raises.removeAll { $0.node == node }
        if !doubted.contains(node) { doubted.append(node) }
        for place in gateways.indices where gateways[place].id.node == node { gateways[place].leave() }
    }

    /// A node can be reached again: its gateways are asked to resume, in case that they did not notice anything.
    public mutating func nodeUp(_ node: NodeID, into out: inout [(GatewayID, LeaderMessage)]) {
        for gateway in gateways where gateway.id.node == node && gateway.phase == .gone {
            out.append((gateway.id, .resumeNeeded(epoch: gateway.epoch)))
        }
    }

    /// The leader's own commands that bring nodes back which were suspended, or may be about to be, and whose gateways
    /// have resumed. To be asked for after `receive` and `caughtUp`, and proposed like any batch; costs nothing when
    /// there are none.
    public mutating func ownCommands(machine: borrowing QueueMachine, into encoder: inout CommandEncoder) {
        guard !raises.isEmpty else { return }
        for (node, incarnation) in raises where !machine.sessions(of: node).isEmpty {
            encoder.gatewayUp(node, incarnation)
        }
        raises.removeAll()
    }
}

extension LeaderPort {
    /// The place of a gateway, or where it belongs.
    func place(of id: GatewayID) -> Int {
        var place = 0
        while place < gateways.count && gateways[place].id < id { place += 1 }
        return place
    }

    private mutating func take(
        _ commands: CommandMessage, into out: inout [(GatewayID, LeaderMessage)]
    ) -> Action {
        let place = place(of: commands.gateway)
        guard place < gateways.count, gateways[place].id == commands.gateway else {
            out.append((commands.gateway, .resumeNeeded(epoch: commands.epoch)))
            return .none
        }
        // The gateway has given an older epoch up; it is not to be told about it.
        guard commands.epoch >= gateways[place].epoch else { return .none }
        guard gateways[place].phase != .gone, commands.epoch == gateways[place].epoch,
            commands.number <= gateways[place].expectedNumber
        else {
            // A message before it was lost. Until the gateway resumes, nothing of it is taken.
            gateways[place].leave()
            out.append((commands.gateway, .resumeNeeded(epoch: commands.epoch)))
            return .none
        }
        guard commands.number == gateways[place].expectedNumber else { return .none }
        gateways[place].expectedNumber += 1
        if commands.batchID == 0 { return .propose(commands.batch) }
        guard commands.batchID > gateways[place].acceptedThrough else { return .none }
        gateways[place].acceptedThrough = commands.batchID
        return .propose(commands.batch)
    }

    private mutating func attach(_ request: ResumeRequest) {
        let place = place(of: request.gateway)
        if place == gateways.count || gateways[place].id != request.gateway {
            gateways.insert(Attachment(request), at: place)
            return
        }
        let known = gateways[place]
        guard
            (request.incarnation.rawValue, request.epoch) > (known.incarnation.rawValue, known.epoch)
        else { return }
        gateways[place] = Attachment(request)
        if known.incarnation == request.incarnation { gateways[place].acceptedThrough = known.acceptedThrough }
    }

    private mutating func answerResumes(_ term: Term, _ machine: borrowing QueueMachine) {
        for place in gateways.indices where gateways[place].phase == .waiting {
            gateways[place].answer(term, machine)
            let node = gateways[place].id.node
            // What earlier terms suspended shows in the machine, as it has caught up; what this term did, in the
            // doubts.
            guard doubted.contains(node) || machine.suspendedNodes.contains(node) else { continue }
            doubted.removeAll { $0 == node }
            raises.append((node, gateways[place].incarnation))
        }
    }

    private mutating func answerStatuses(_ machine: borrowing QueueMachine) {
        for (gateway, requestID) in statuses {
            let status = LeaderMessage.status(
                requestID: requestID, ready: UInt64(machine.messagesReady),
                unacknowledged: UInt64(machine.messagesUnacknowledged), consumers: UInt64(machine.consumerCount))
            answers.append((gateway, status))
        }
        statuses.removeAll()
    }
}
