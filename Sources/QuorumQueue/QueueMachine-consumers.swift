import Primitives

extension QueueMachine {
    /// Applies a new command of a living session that concerns consumers and their messages.
    mutating func apply(
        session command: Command, at place: Int, sequence: UInt64, into effects: inout [QueueEffect]
    ) {
        switch command {
        case .attach(let number, let options):
            if let refusal = attach(number, options, at: place) {
                record(.consumerRefused(refusal), at: place, sequence: sequence, into: &effects)
            }
        case .detach(let number):
            if let slot = sessions[place].slot(of: number) { detach(slot) }
        case .setPrefetch(let number, let prefetch):
            if let slot = sessions[place].slot(of: number) {
                consumers[slot].prefetch = effective(prefetch)
                enlist(slot)
            }
        case .settle(let number, let numbers), .discard(let number, let numbers):
            if let slot = sessions[place].slot(of: number) { settle(slot, numbers) }
        case .return(let number, let numbers, let counted):
            if let slot = sessions[place].slot(of: number) {
                take(numbers, from: slot, counted: counted)
                ready.insert(&returning)
                tidy(slot)
            }
        case .get:
            get(at: place, sequence: sequence, into: &effects)
        case .purge:
            let count = ready.count
            ready.removeAll()
            record(.purged(UInt64(count)), at: place, sequence: sequence, into: &effects)
        default:
            // A second open of a living session has nothing to do; the others never come here.
            break
        }
    }

    private mutating func record(
        _ outcome: Outcome, at place: Int, sequence: UInt64, into effects: inout [QueueEffect]
    ) {
        sessions[place].record(outcome, sequence: sequence, limit: settings.outcomeLimit)
        effects.append(.outcome(sessions[place].id, sequence: sequence, outcome))
    }

    private func effective(_ prefetch: UInt32) -> UInt32 { prefetch == 0 ? settings.defaultPrefetch : prefetch }

    // MARK: Coming and going

    private mutating func attach(_ number: UInt32, _ options: ConsumerOptions, at place: Int) -> ConsumerRefusal? {
        if number == 0 || sessions[place].slot(of: number) != nil { return .duplicate }
        if exclusiveSlot != nil || options.exclusive && attachedConsumers > 0 { return .exclusive }
        if knownConsumers >= settings.consumerLimit { return .limit }
        let id = ConsumerID(session: sessions[place].id, number: number)
        var consumer = Consumer(
            id: id, options: options, prefetch: effective(options.prefetch), isAttached: true)
        consumer.isSuspended = sessions[place].isSuspended
        let slot = add(consumer, at: place)
        knownConsumers += 1
        attachedConsumers += 1
        if options.exclusive { exclusiveSlot = slot }
        enlist(slot)
        return nil
    }

    private mutating func add(_ consumer: Consumer, at place: Int) -> Int {
        let slot: Int
        if let free = freeSlots.popLast() {
            slot = Int(free)
            consumers[slot] = consumer
        } else {
            slot = consumers.count
            consumers.append(consumer)
        }
        sessions[place].add(consumer: consumer.id.number, slot: slot)
        return slot
    }

    /// Ends a consumer's turn; it stays known as long as it holds messages.
    mutating func detach(_ slot: Int) {
        withdraw(slot)
        if consumers[slot].isQueued { service.remove { $0 == UInt32(slot) } }
        consumers[slot].isQueued = false
        tidy(slot)
    }

    private mutating func withdraw(_ slot: Int) {
        guard consumers[slot].isAttached else { return }
        consumers[slot].isAttached = false
        attachedConsumers -= 1
        if exclusiveSlot == slot { exclusiveSlot = nil }
    }

    /// Frees a slot whose messages are gone; its turn in the service queue, if any, and its session's list are the
    /// caller's.
    mutating func free(_ slot: Int) {
        withdraw(slot)
        let id = consumers[slot].id
        if id.number != 0 { knownConsumers -= 1 }
        consumers[slot] = Consumer(id: id, options: ConsumerOptions(), prefetch: 1, isAttached: false)
        consumers[slot].isGone = true
        freeSlots.append(UInt32(slot))
    }

    /// Puts a consumer into its turn if it can be served.
    mutating func enlist(_ slot: Int) {
        if consumers[slot].isQueued || !consumers[slot].isEligible { return }
        consumers[slot].isQueued = true
        service.append(UInt32(slot), priority: consumers[slot].options.priority)
    }

    /// After messages have left a consumer: it may be served again, or be forgotten.
    private mutating func tidy(_ slot: Int) {
        enlist(slot)
        let id = consumers[slot].id
        guard !consumers[slot].isAttached && id.number != 0 && consumers[slot].unsettled.count == 0 else { return }
        sessions[place(of: id.session)].remove(consumer: id.number)
        free(slot)
    }

    // MARK: Messages

    private mutating func settle(_ slot: Int, _ numbers: ClosedRange<UInt64>) {
        let before = consumers[slot].unsettled.count
        consumers[slot].unsettled.remove(numbers) { _ in }
        unsettledCount -= before - consumers[slot].unsettled.count
        tidy(slot)
    }

    /// Moves messages from a consumer to `returning`.
    private mutating func take(_ numbers: ClosedRange<UInt64>, from slot: Int, counted: Bool) {
        // A local array, since the closure may not reach into the machine while one of its consumers changes.
        var runs: [ReturnedRun] = []
        swap(&runs, &returning)
        var taken = 0
        consumers[slot].unsettled.remove(numbers) { run in
            let deliveryCount = counted && run.deliveryCount < .max ? run.deliveryCount + 1 : run.deliveryCount
            runs.append(ReturnedRun(first: run.first, count: run.count, deliveryCount: deliveryCount))
            taken += Int(run.count)
        }
        unsettledCount -= taken
        swap(&runs, &returning)
    }

    /// Moves everything a consumer holds to `returning`.
    mutating func takeAll(from slot: Int, counted: Bool) {
        if consumers[slot].unsettled.count == 0 { return }
        take(1...CommandLimits.number, from: slot, counted: counted)
    }

    private mutating func get(at place: Int, sequence: UInt64, into effects: inout [QueueEffect]) {
        if ready.isEmpty { return record(.getEmpty, at: place, sequence: sequence, into: &effects) }
        let slot = sessions[place].slot(of: 0) ?? addGetter(at: place)
        let outcome = Outcome.got(number: consumers[slot].nextNumber, remaining: UInt64(ready.count - 1))
        record(outcome, at: place, sequence: sequence, into: &effects)
        assign(to: slot, limit: 1, into: &effects)
    }

    private mutating func addGetter(at place: Int) -> Int {
        let id = ConsumerID(session: sessions[place].id, number: 0)
        return add(Consumer(id: id, options: ConsumerOptions(), prefetch: 1, isAttached: false), at: place)
    }

    /// A bug on purpose, for the simulator to find: what consumers hold is dealt out anew. Nothing but the simulator's
    /// plant ever calls it.
    package mutating func forgetDeliveries() {
        for slot in consumers.indices where !consumers[slot].isGone { takeAll(from: slot, counted: false) }
        ready.insert(&returning)
        for slot in consumers.indices where !consumers[slot].isGone { tidy(slot) }
        var lost: [QueueEffect] = []
        serve(into: &lost)
    }
}
