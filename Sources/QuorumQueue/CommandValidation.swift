public import Primitives

/// Who says a batch, and so what it may say.
public enum CommandOrigin: Hashable, Sendable {
    /// A node's gateway: session commands of sessions of this node.
    case gateway(NodeID)
    /// The leader of the queue: anything.
    case leader
}

extension CommandReader {
    /// Checks a batch before it is proposed, in one pass: every header well-formed and allowed for its origin; session
    /// commands behind a session header, numbered within bounds, `open` exactly at number 1; at most 4,096 commands;
    /// as many bytes of bodies as the headers say.
    /// - Returns: the number of commands.
    /// - Throws: at the first fault; the batch must not be proposed.
    public static func validate(
        headers: UnsafeRawBufferPointer, bodiesLength: Int, origin: CommandOrigin
    ) throws(DecodingFailure) -> Int {
        var reader = CommandReader(headers)
        var commands = 0
        var bodies = 0
        var sequence: UInt64?
        while let command = try reader.next() {
            commands += command.count
            if case .session(let id, let first, _) = command {
                if case .gateway(let node) = origin, id.gateway.node != node { throw .invalid("session's node") }
                sequence = first
                continue
            }
            if command.isLeaders {
                guard origin == .leader else { throw .invalid("command's origin") }
                sequence = nil
                continue
            }
            guard let current = sequence else { throw .invalid("command without a session") }
            guard (command == .open) == (current == 1) else { throw .invalid("open") }
            guard current <= CommandLimits.number - UInt64(command.count) else { throw .invalid("sequence") }
            sequence = current + UInt64(command.count)
            if case .enqueue(let run) = command {
                bodies += run.bodiesLength
                guard bodies <= bodiesLength else { throw .invalid("bodies' length") }
            }
            guard commands <= EntryHeader.commandLimit else { throw .invalid("number of commands") }
        }
        guard commands <= EntryHeader.commandLimit else { throw .invalid("number of commands") }
        guard bodies == bodiesLength else { throw .invalid("bodies' length") }
        return commands
    }

    /// Checks a batch as above, its `commandCount` and, if asked, every body's checksum.
    public static func validate(
        _ batch: CommandBatch, origin: CommandOrigin, checksums: Bool
    ) throws(DecodingFailure) {
        let count = try batch.headers.withUnsafeBytes { headers throws(DecodingFailure) in
            try validate(headers: headers, bodiesLength: batch.bodies.count, origin: origin)
        }
        guard count == batch.commandCount else { throw .invalid("number of commands") }
        guard checksums else { return }
        let table = MessageTable(headers: batch.headers, bodiesLength: batch.bodies.count)
        for ordinal in 0..<table.count {
            guard let message = table[ordinal], CRC32C.checksum(batch.bodies[message.range]) == message.checksum else {
                throw .invalid("body's checksum")
            }
        }
    }
}
