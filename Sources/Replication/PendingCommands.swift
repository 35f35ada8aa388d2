package import Primitives
package import QuorumQueue

/// Command batches that wait to become an entry.
package struct PendingCommands {
    private var batches = Ring<CommandBatch>()
    package private(set) var commandCount = 0
    package private(set) var byteCount = 0

    package init() {}

    package var isEmpty: Bool { batches.isEmpty }

    package mutating func append(_ batch: CommandBatch) {
        guard batch.commandCount > 0 else { return }
        batches.append(batch)
        commandCount += batch.commandCount
        byteCount += batch.headers.count + batch.bodies.count
    }

    /// Takes as many batches as one entry may hold, at least one.
    package mutating func takeEntry() -> (headers: Bytes, bodies: Bytes)? {
        guard let first = batches.popFirst() else { return nil }
        var commands = first.commandCount
        var bytes = first.headers.count + first.bodies.count
        var taken = [first]
        while let next = batches.first {
            let size = next.headers.count + next.bodies.count
            guard
                commands + next.commandCount <= EntryHeader.commandLimit,
                bytes + size <= EntryHeader.sizeLimit
            else { break }
            taken.append(next)
            commands += next.commandCount
            bytes += size
            batches.popFirst()
        }
        commandCount -= commands
        byteCount -= bytes
        guard taken.count > 1 else { return (first.headers, first.bodies) }
        var headers = ByteWriter(capacity: taken.reduce(0) { $0 + $1.headers.count })
        var bodies = ByteWriter(capacity: taken.reduce(0) { $0 + $1.bodies.count })
        for batch in taken {
            headers.write(batch.headers)
            bodies.write(batch.bodies)
        }
        return (headers.take(), bodies.take())
    }

    package mutating func removeAll() { self = PendingCommands() }
}
