import Primitives

extension QueueMachine {
    /// A digest of the whole state, the same on every replica that applied the same entries; costs time in proportion
    /// to the state.
    public func stateHash() -> UInt64 {
        var writer = ByteWriter(capacity: 256)
        encodeState(into: &writer)
        return writer.withUnsafeBytes { bytes in
            // FNV-1a (Fowler, Noll, Vo), 64 bits.
            var hash: UInt64 = 0xcbf2_9ce4_8422_2325
            for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
            return hash
        }
    }

    /// Writes the whole state; equal states give equal bytes.
    func encodeState(into writer: inout ByteWriter) {
        writer.write(version)
        writer.write(appliedIndex.rawValue)
        writer.write(time.milliseconds)
        writer.write(ignoredCount)
        encodeReady(into: &writer)
        writer.write(UInt64(sessions.count))
        for session in sessions { encode(session, into: &writer) }
        writer.write(UInt64(service.levels.count))
        for level in service.levels {
            writer.write(level.priority)
            writer.write(UInt64(level.slots.count))
            for place in 0..<level.slots.count {
                consumers[Int(level.slots[place])].id.encode(into: &writer)
            }
        }
        for gateway in gateways {
            SessionID(gateway: gateway.id, incarnation: gateway.incarnation, number: gateway.number)
                .encode(into: &writer)
        }
        for node in nodes {
            writer.write(node.id.rawValue)
            writer.write(node.incarnation.rawValue)
        }
    }

    private func encodeReady(into writer: inout ByteWriter) {
        writer.write(UInt64(ready.returned.count))
        ready.returned.forEach { run in
            writer.write(run.first.rawValue)
            writer.write(run.count)
            writer.write(run.deliveryCount)
        }
        writer.write(UInt64(ready.fresh.count))
        ready.fresh.forEach { first, count in
            writer.write(first.rawValue)
            writer.write(UInt16(count))
        }
    }

    private func encode(_ session: Session, into writer: inout ByteWriter) {
        session.id.encode(into: &writer)
        writer.write(session.lastApplied)
        writer.write(session.lowWater)
        writer.write((session.isSuspended ? 1 : 0) as UInt8)
        writer.write(UInt64(session.outcomes.count))
        for recorded in session.outcomes {
            writer.write(recorded.sequence)
            recorded.outcome.encode(into: &writer)
        }
        writer.write(UInt64(session.consumers.count))
        for known in session.consumers { encode(consumers[Int(known.slot)], into: &writer) }
    }

    private func encode(_ consumer: Consumer, into writer: inout ByteWriter) {
        writer.write(consumer.id.number)
        consumer.options.encode(into: &writer)
        writer.write(consumer.prefetch)
        writer.write(consumer.nextNumber)
        writer.write((consumer.isAttached ? 1 : 0) | (consumer.isSuspended ? 2 : 0) as UInt8)
        writer.write(UInt64(consumer.unsettled.count))
        consumer.unsettled.forEach { run in
            writer.write(run.number)
            writer.write(run.first.rawValue)
            writer.write(run.count)
            writer.write(run.deliveryCount)
            writer.write((run.redelivered ? 1 : 0) as UInt8)
        }
    }
}
