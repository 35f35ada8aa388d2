public import Primitives

extension QueueMachine {
    /// The versions of the behaviour that this code has.
    public static let versions: ClosedRange<UInt32> = 1...1

    /// A digest of the whole state, the same on every replica that applied the same entries, whether from the log or
    /// on top of a snapshot; costs time in proportion to the snapshot.
    public func stateHash() -> UInt64 {
        var writer = ByteWriter(capacity: 256)
        encodeSnapshot(into: &writer)
        return writer.withUnsafeBytes { bytes in
            // FNV-1a (Fowler, Noll, Vo), 64 bits.
            var hash: UInt64 = 0xcbf2_9ce4_8422_2325
            for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
            return hash
        }
    }

    /// Writes the whole state, without bodies, in the format on the module's page; equal states give equal bytes,
    /// whatever led to them. Costs time and bytes in proportion to the runs of messages, not to the messages.
    public func encodeSnapshot(into writer: inout ByteWriter) {
        summary.encode(into: &writer)
        writer.writeVarint(ignoredCount)
        writer.writeVarint(UInt64(nodes.count))
        for node in nodes {
            writer.write(node.id.rawValue)
            writer.write(node.incarnation.rawValue)
        }
        writer.writeVarint(UInt64(gateways.count))
        for gateway in gateways {
            SessionID(gateway: gateway.id, incarnation: gateway.incarnation, number: gateway.number)
                .encode(into: &writer)
        }
        for session in sessions { encode(session, into: &writer) }
        encodeService(into: &writer)
        encodeReady(into: &writer)
    }

    private func encode(_ session: Session, into writer: inout ByteWriter) {
        session.id.encode(into: &writer)
        writer.writeVarint(session.lastApplied)
        writer.writeVarint(session.lowWater)
        writer.write((session.isSuspended ? 1 : 0) as UInt8)
        writer.writeVarint(UInt64(session.outcomes.count))
        var last = session.lowWater
        for recorded in session.outcomes {
            writer.writeVarint(recorded.sequence - last)
            last = recorded.sequence
            recorded.outcome.encode(into: &writer)
        }
        writer.writeVarint(UInt64(session.consumers.count))
        for known in session.consumers { encode(consumers[Int(known.slot)], into: &writer) }
    }

    /// Whether a consumer is suspended is its session's matter, and who has exclusive use follows from the options.
    private func encode(_ consumer: Consumer, into writer: inout ByteWriter) {
        writer.writeVarint(UInt64(consumer.id.number))
        if consumer.id.number != 0 {
            let options = consumer.options
            let wishes: UInt8 = (options.autoAck ? 1 : 0) | (options.exclusive ? 2 : 0)
            writer.write(wishes | (consumer.isAttached ? 4 : 0))
            writer.writeVarint(UInt64(options.prefetch))
            writer.writeVarint(UInt64(consumer.prefetch))
            writer.write(options.priority)
            writer.writeLengthPrefixed(options.tag)
        }
        writer.writeVarint(consumer.nextNumber)
        writer.writeVarint(UInt64(consumer.unsettled.runCount))
        var number: UInt64 = 1
        var index: UInt64 = 0
        consumer.unsettled.forEach { run in
            writer.writeVarint(run.number - number)
            number = run.end
            // Messages that came back may precede those before them: the difference has a sign, in zigzag.
            let step = Int64(bitPattern: run.first.index.rawValue &- index)
            writer.writeVarint(UInt64(bitPattern: step << 1 ^ step >> 63))
            index = run.first.index.rawValue
            writer.writeVarint(UInt64(run.first.ordinal))
            writer.writeVarint(UInt64(run.count) << 1 | (run.redelivered ? 1 : 0))
            if run.redelivered { writer.writeVarint(UInt64(run.deliveryCount)) }
        }
    }

    /// Slots are of this process and an empty level means nothing: consumers are named by their session's place.
    private func encodeService(into writer: inout ByteWriter) {
        var count: UInt64 = 0
        for level in service.levels where !level.slots.isEmpty { count += 1 }
        writer.writeVarint(count)
        for level in service.levels where !level.slots.isEmpty {
            writer.write(level.priority)
            writer.writeVarint(UInt64(level.slots.count))
            for turn in 0..<level.slots.count {
                let id = consumers[Int(level.slots[turn])].id
                writer.writeVarint(UInt64(place(of: id.session)))
                writer.writeVarint(UInt64(id.number))
            }
        }
    }

    private func encodeReady(into writer: inout ByteWriter) {
        var index: UInt64 = 0
        writer.writeVarint(UInt64(ready.returned.runCount))
        ready.returned.forEach { run in
            writer.writeVarint(run.first.index.rawValue - index)
            index = run.first.index.rawValue
            writer.writeVarint(UInt64(run.first.ordinal))
            writer.writeVarint(UInt64(run.count))
            writer.writeVarint(UInt64(run.deliveryCount))
        }
        // How the runs are split depends on how they came about, so they are joined before they are counted.
        var runs: UInt64 = 0
        ready.fresh.forEachRun { _, _, _ in runs += 1 }
        writer.writeVarint(runs)
        ready.fresh.forEachRun { first, entries, count in
            writer.writeVarint(first.index.rawValue - index)
            index = first.index.rawValue + UInt64(entries) - 1
            writer.writeVarint(UInt64(first.ordinal))
            writer.writeVarint(UInt64(count))
            writer.writeVarint(UInt64(entries))
        }
    }

    /// About how many bytes a snapshot has before it is compressed, within a factor of four: to decide when one pays.
    /// Costs time in proportion to sessions and consumers.
    public var approximateSnapshotSize: Int {
        var size = 48 + nodes.count * 6 + gateways.count * 11
        size += ready.returned.runCount * 7 + ready.fresh.storedRunCount * 6
        for session in sessions {
            size += 18 + session.outcomes.count * 4
            for known in session.consumers {
                let consumer = consumers[Int(known.slot)]
                size += 16 + consumer.options.tag.utf8.count + consumer.unsettled.runCount * 7
            }
        }
        return size
    }
}
