import Primitives

extension QueueMachine.Turn {
    /// Applies a session command, or answers it again, or refuses it. `ordinal`: that of the first message, for an
    /// enqueue.
    mutating func apply(
        _ command: Command, ordinal: Int, to machine: inout QueueMachine, into effects: inout [QueueEffect]
    ) {
        if isRefused { return }
        if place == nil, command != .open, machine.bug == .opensUnknownSessions {
            place = machine.revive(id, lastApplied: sequence - 1)
        }
        guard let place else {
            if command == .open && sequence == 1 {
                sequence = 2
                if let refusal = machine.open(id, turn: &self, into: &effects) { refuse(refusal, into: &effects) }
            } else {
                refuse(.unknown, into: &effects)
            }
            return
        }
        let accepted = admit(command.count, at: place, of: &machine, into: &effects)
        if accepted == 0 { return }
        switch command {
        case .enqueue(let run):
            let first = Position(index: machine.appliedIndex, ordinal: ordinal + run.count - accepted)
            machine.ready.append(first, count: accepted)
        case .close:
            machine.close(at: place)
            self.place = nil
        default:
            machine.apply(session: command, at: place, sequence: sequence - 1, into: &effects)
        }
    }

    private mutating func refuse(_ refusal: SessionRefusal, into effects: inout [QueueEffect]) {
        isRefused = true
        effects.append(.refused(id, refusal))
    }

    /// Decides on `count` commands: how many of them, the last ones, are new. Those before have their outcomes
    /// reported again.
    private mutating func admit(
        _ count: Int, at place: Int, of machine: inout QueueMachine, into effects: inout [QueueEffect]
    ) -> Int {
        let expected = machine.sessions[place].lastApplied + 1
        let first = sequence
        guard first <= expected else {
            isRefused = true
            effects.append(.outOfSequence(id, expected: expected))
            return 0
        }
        sequence += UInt64(count)
        if first < expected {
            machine.repeatOutcomes(at: place, from: first, before: min(sequence, expected), into: &effects)
        }
        var accepted = 0
        if sequence > expected {
            accepted = Int(sequence - expected)
            machine.sessions[place].lastApplied = sequence - 1
        } else if machine.bug == .repeatsNewest && sequence == expected {
            accepted = count
        }
        machine.touch(place)
        return accepted
    }
}

extension QueueMachine {
    /// Notes that the session's progress is to be reported at the end of the entry.
    mutating func touch(_ place: Int) {
        if sessions[place].touchedBy == appliedIndex {
            touched[sessions[place].touchedPlace].through = sessions[place].lastApplied
        } else {
            sessions[place].touchedBy = appliedIndex
            sessions[place].touchedPlace = touched.count
            touched.append((sessions[place].id, sessions[place].lastApplied))
        }
    }

    func repeatOutcomes(at place: Int, from first: UInt64, before end: UInt64, into effects: inout [QueueEffect]) {
        let outcomes = sessions[place].outcomes
        var at = sessions[place].firstOutcome(after: first - 1)
        while at < outcomes.count && outcomes[at].sequence < end {
            effects.append(
                .outcome(sessions[place].id, sequence: outcomes[at].sequence, outcomes[at].outcome))
            at += 1
        }
    }

    /// Opens a session; ids of a gateway only ever increase, so that a late copy of an open can never open it again.
    mutating func open(_ id: SessionID, turn: inout Turn, into effects: inout [QueueEffect]) -> SessionRefusal? {
        guard raiseIncarnation(of: id.gateway.node, to: id.incarnation, into: &effects) else { return .stale }
        guard raiseOpened(id) else { return .stale }
        guard sessions.count < settings.sessionLimit else { return .limit }
        let place = place(of: id)
        sessions.insert(Session(id: id, lastApplied: 1), at: place)
        turn.place = place
        touch(place)
        return nil
    }

    /// Notes the highest session that a gateway opened; false when `id` is not above it.
    private mutating func raiseOpened(_ id: SessionID) -> Bool {
        var at = 0
        while at < gateways.count && gateways[at].id < id.gateway { at += 1 }
        if at < gateways.count && gateways[at].id == id.gateway {
            let highest = (gateways[at].incarnation.rawValue, gateways[at].number)
            guard (id.incarnation.rawValue, id.number) > highest else { return false }
            gateways[at].incarnation = id.incarnation
            gateways[at].number = id.number
        } else {
            gateways.insert(
                GatewayRecord(id: id.gateway, incarnation: id.incarnation, number: id.number), at: at)
        }
        return true
    }

    mutating func close(at place: Int) {
        let hadConsumers = !sessions[place].consumers.isEmpty
        release(at: place)
        sessions.remove(at: place)
        if hadConsumers { sweep() }
    }

    /// Returns what the session's consumers hold, as failed deliveries, and frees their slots.
    mutating func release(at place: Int) {
        for consumer in sessions[place].consumers {
            takeAll(from: Int(consumer.slot), counted: true)
            free(Int(consumer.slot))
        }
        sessions[place].consumers = []
    }

    /// Completes one or more `release`: the messages and the consumers' turns.
    mutating func sweep() {
        ready.insert(&returning)
        let all = consumers
        service.remove { all[Int($0)].isGone }
        if freeSlots.count == consumers.count {
            consumers = []
            freeSlots = []
        }
    }

    /// What a planted bug does with a command of a session that is not open.
    fileprivate mutating func revive(_ id: SessionID, lastApplied: UInt64) -> Int {
        let place = place(of: id)
        sessions.insert(Session(id: id, lastApplied: lastApplied), at: place)
        return place
    }

    /// A bug on purpose, for the simulator to find: closes every session, as if nobody had ever opened one. Nothing but
    /// the simulator's plant ever calls it.
    package mutating func forgetSessions() {
        for place in sessions.indices.reversed() { close(at: place) }
    }
}
