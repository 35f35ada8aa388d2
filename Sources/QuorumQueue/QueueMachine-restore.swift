public import Primitives

extension QueueMachine {
    /// The machine that `encodeSnapshot(into:)` was called on, to the last effect of every later entry. The bytes are
    /// not trusted: what `apply(_:into:)` relies on is checked, and memory is taken only for what is there.
    /// - Throws: when the bytes are not exactly one snapshot, or state what no machine can be in.
    public init(snapshot: Bytes, settings: QueueSettings) throws(DecodingFailure) {
        self.init(settings: settings)
        try snapshot.withUnsafeBytes { buffer throws(DecodingFailure) in
            var reader = ByteReader(buffer)
            try restore(&reader)
            guard reader.isAtEnd else { throw .invalid("bytes behind the snapshot") }
        }
    }

    private mutating func restore(_ reader: inout ByteReader) throws(DecodingFailure) {
        let head = try QueueSnapshotSummary(decoding: &reader)
        version = head.version
        appliedIndex = head.appliedIndex
        time = head.time
        ignoredCount = try reader.readVarint()
        try restoreGateways(&reader)
        for _ in 0..<head.sessionCount { try restoreSession(&reader) }
        try restoreService(&reader)
        try restoreReady(&reader)
        try checkPositions()
        guard summary == head else { throw .invalid("totals") }
    }

    // MARK: Gateways and sessions

    private mutating func restoreGateways(_ reader: inout ByteReader) throws(DecodingFailure) {
        for _ in 0..<(try reader.readCount(ofSize: 6)) {
            let node = NodeRecord(id: NodeID(try reader.read()), incarnation: Incarnation(try reader.read()))
            if let last = nodes.last, last.id >= node.id { throw .invalid("order of nodes") }
            nodes.append(node)
        }
        for _ in 0..<(try reader.readCount(ofSize: 9)) {
            let id = try SessionID(decoding: &reader)
            if let last = gateways.last, last.id >= id.gateway { throw .invalid("order of gateways") }
            guard let known = nodes.first(where: { $0.id == id.gateway.node }), known.incarnation >= id.incarnation
            else { throw .invalid("gateway's incarnation") }
            gateways.append(GatewayRecord(id: id.gateway, incarnation: id.incarnation, number: id.number))
        }
    }

    private mutating func restoreSession(_ reader: inout ByteReader) throws(DecodingFailure) {
        let id = try SessionID(decoding: &reader)
        if let last = sessions.last, last.id >= id { throw .invalid("order of sessions") }
        try checkOpened(id)
        var session = Session(id: id, lastApplied: try reader.readVarint())
        // Twice the largest sequence number: no sum of it can overflow.
        guard session.lastApplied >= 1 && session.lastApplied < 1 << 63 else { throw .invalid("sequence") }
        session.lowWater = try reader.readVarint()
        guard session.lowWater <= session.lastApplied else { throw .invalid("low-water mark") }
        session.isSuspended = try reader.readFlags(below: 2) != 0
        var sequence = session.lowWater
        for _ in 0..<(try reader.readCount(ofSize: 2)) {
            let step = try reader.readVarint()
            guard step >= 1 && step <= session.lastApplied - sequence else { throw .invalid("outcome's sequence") }
            sequence += step
            session.outcomes.append(
                Session.RecordedOutcome(sequence: sequence, outcome: try Outcome(decoding: &reader)))
        }
        for _ in 0..<(try reader.readCount(ofSize: 3)) {
            let consumer = try restoreConsumer(of: session, &reader)
            if let last = session.consumers.last, last.number >= consumer.id.number {
                throw .invalid("order of consumers")
            }
            session.consumers.append(Session.Consumer(number: consumer.id.number, slot: UInt32(consumers.count)))
            try admit(consumer)
        }
        sessions.append(session)
    }

    /// A session was opened by the gateway it names, in the incarnation that the node is at.
    private func checkOpened(_ id: SessionID) throws(DecodingFailure) {
        guard let node = nodes.first(where: { $0.id == id.gateway.node }), node.incarnation == id.incarnation,
            let gateway = gateways.first(where: { $0.id == id.gateway }), gateway.incarnation == id.incarnation,
            gateway.number >= id.number
        else { throw .invalid("session's gateway") }
    }

    // MARK: Consumers

    private func restoreConsumer(
        of session: Session, _ reader: inout ByteReader
    ) throws(DecodingFailure) -> Consumer {
        let id = ConsumerID(session: session.id, number: try reader.readVarint32("consumer number"))
        var consumer = Consumer(id: id, options: ConsumerOptions(), prefetch: 1, isAttached: false)
        if id.number != 0 {
            let flags = try reader.readFlags(below: 8)
            consumer.options.autoAck = flags & 1 != 0
            consumer.options.exclusive = flags & 2 != 0
            consumer.isAttached = flags & 4 != 0
            consumer.options.prefetch = try reader.readVarint32("prefetch")
            consumer.prefetch = try reader.readVarint32("prefetch")
            guard consumer.prefetch >= 1 else { throw .invalid("prefetch") }
            consumer.options.priority = try reader.read()
            // A tag that was not UTF-8 had each of its bytes replaced by a character of three.
            consumer.options.tag = try reader.readString(limit: CommandLimits.tag * 3)
        }
        consumer.isSuspended = session.isSuspended
        consumer.nextNumber = try reader.readVarint()
        guard consumer.nextNumber >= 1 && consumer.nextNumber <= 1 << 62 else { throw .invalid("delivery number") }
        try restoreUnsettled(of: &consumer, &reader)
        guard consumer.isAttached || id.number == 0 || consumer.unsettled.count > 0 else {
            throw .invalid("consumer without a purpose")
        }
        return consumer
    }

    private func restoreUnsettled(
        of consumer: inout Consumer, _ reader: inout ByteReader
    ) throws(DecodingFailure) {
        var number: UInt64 = 1
        var index: UInt64 = 0
        for _ in 0..<(try reader.readCount(ofSize: 4)) {
            let gap = try reader.readVarint()
            guard gap <= consumer.nextNumber - number else { throw .invalid("delivery number") }
            number += gap
            let step = try reader.readVarint()
            index &+= step >> 1 ^ (0 &- (step & 1))
            let ordinal = try reader.readVarint()
            let tail = try reader.readVarint()
            let first = try position(index, ordinal, count: tail >> 1)
            guard tail >> 1 <= consumer.nextNumber - number else { throw .invalid("delivery number") }
            let redelivered = tail & 1 != 0
            consumer.unsettled.append(
                UnsettledRun(
                    number: number, first: first,
                    deliveryCount: redelivered ? try reader.readVarint32("delivery count") : 0,
                    count: UInt16(tail >> 1), redelivered: redelivered))
            number += tail >> 1
        }
    }

    /// Gives a consumer the next slot and counts it.
    private mutating func admit(_ consumer: Consumer) throws(DecodingFailure) {
        if consumer.isAttached {
            guard exclusiveSlot == nil && (!consumer.options.exclusive || attachedConsumers == 0) else {
                throw .invalid("exclusive consumer")
            }
            if consumer.options.exclusive { exclusiveSlot = consumers.count }
            attachedConsumers += 1
        }
        if consumer.id.number != 0 { knownConsumers += 1 }
        unsettledCount += consumer.unsettled.count
        consumers.append(consumer)
    }

    private mutating func restoreService(_ reader: inout ByteReader) throws(DecodingFailure) {
        var last: Int32?
        for _ in 0..<(try reader.readCount(ofSize: 7)) {
            let priority = try reader.read(Int32.self)
            if let last, last <= priority { throw .invalid("order of priorities") }
            last = priority
            let count = try reader.readCount(ofSize: 2)
            guard count >= 1 else { throw .invalid("empty priority") }
            for _ in 0..<count {
                let place = try reader.readVarint()
                let number = try reader.readVarint32("consumer number")
                guard place < UInt64(sessions.count), let slot = sessions[Int(place)].slot(of: number) else {
                    throw .invalid("consumer in turn")
                }
                let consumer = consumers[slot]
                guard consumer.isAttached && !consumer.isQueued && consumer.options.priority == priority else {
                    throw .invalid("consumer in turn")
                }
                consumers[slot].isQueued = true
                service.append(UInt32(slot), priority: priority)
            }
        }
        // One that nobody enlists would never be served again.
        guard consumers.allSatisfy({ $0.isQueued || !$0.isEligible }) else { throw .invalid("consumer out of turn") }
    }

    // MARK: Messages

    /// The position of `count` messages of one entry that was applied.
    private func position(
        _ index: UInt64, _ ordinal: UInt64, count: UInt64
    ) throws(DecodingFailure) -> Position {
        guard index >= 1 && index <= appliedIndex.rawValue else { throw .invalid("message's index") }
        let limit = UInt64(EntryHeader.commandLimit)
        guard count >= 1 && count <= limit && ordinal <= limit - count else { throw .invalid("message's ordinal") }
        return Position(index: LogIndex(index), ordinal: Int(ordinal))
    }

    private mutating func restoreReady(_ reader: inout ByteReader) throws(DecodingFailure) {
        var index: UInt64 = 0
        var returned: [ReturnedRun] = []
        for _ in 0..<(try reader.readCount(ofSize: 4)) {
            index = try reader.readIndex(from: index)
            let ordinal = try reader.readVarint()
            let count = try reader.readVarint()
            let first = try position(index, ordinal, count: count)
            returned.append(
                ReturnedRun(
                    first: first, count: UInt16(count), deliveryCount: try reader.readVarint32("delivery count")))
        }
        ready.restore(returned: returned)
        var end = Position(rawValue: 0)
        for _ in 0..<(try reader.readCount(ofSize: 4)) {
            index = try reader.readIndex(from: index)
            let ordinal = try reader.readVarint()
            let count = try reader.readVarint()
            let first = try position(index, ordinal, count: count)
            guard first >= end else { throw .invalid("order of messages") }
            let entries = try reader.readVarint32("entries")
            guard entries >= 1 && UInt64(entries) - 1 <= appliedIndex.rawValue - index else {
                throw .invalid("entries")
            }
            index += UInt64(entries) - 1
            end = first.advanced(entries: entries - 1).advanced(by: Int(count))
            // The sum of all is checked against the head, which is below 2⁶⁰; none of them may pass it.
            guard ready.fresh.count < 1 << 60 else { throw .invalid("total") }
            ready.restore(fresh: first, entries: entries, count: Int(count))
        }
        guard ready.isEmpty || service.levels.isEmpty else { throw .invalid("messages and consumers in wait") }
    }

    /// A message is ready or held once, and those ever delivered precede those that never were.
    private func checkPositions() throws(DecodingFailure) {
        var end: UInt64 = 0
        for stretch in deliveredStretches {
            guard stretch.lowerBound >= end else { throw .invalid("message in two places") }
            end = stretch.upperBound
        }
        if let first = ready.fresh.first, first.rawValue < end { throw .invalid("order of messages") }
    }
}

extension ByteReader {
    fileprivate mutating func readFlags(below limit: UInt8) throws(DecodingFailure) -> UInt8 {
        let flags = try read(UInt8.self)
        guard flags < limit else { throw .invalid("flags") }
        return flags
    }

    /// An index that is stated by its distance from the one before.
    fileprivate mutating func readIndex(from last: UInt64) throws(DecodingFailure) -> UInt64 {
        let step = try readVarint()
        guard step < Position.indexLimit else { throw .invalid("message's index") }
        return last + step
    }
}
