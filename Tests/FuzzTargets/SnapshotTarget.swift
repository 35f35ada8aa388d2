import Primitives
import QuorumQueue
import Topology

extension FuzzTarget {
    /// A snapshot from a disk or another node: an octet for the kind, then the length (u16) of a queue's or the
    /// topology's snapshot, the snapshot, and commands that are applied on top of it; or a compressed snapshot.
    static let snapshot = FuzzTarget(name: "snapshot", maximumLength: 4_096, seeds: SnapshotInput.seeds) { input in
        var reader = InputReader(input)
        switch reader.byte() & 3 {
        case 0: SnapshotInput.queue(reader.bytes(reader.word()), commands: reader.rest())
        case 1: SnapshotInput.topology(reader.bytes(reader.word()), commands: reader.rest())
        case 2: SnapshotInput.compressed(reader.rest())
        default:
            let bytes = reader.rest()
            promise((try? LZ4Frame.decompress(LZ4Frame.compress(bytes), limit: 4_096)) == bytes, "LZ4 loses nothing")
        }
    }
}

private enum SnapshotInput {
    static func queue(_ snapshot: Bytes, commands: Bytes) {
        let summary = try? QueueSnapshotSummary(snapshot: snapshot)
        guard let machine = try? QueueMachine(snapshot: snapshot, settings: QueueSettings()) else { return }
        promise(summary == machine.summary, "the head of a snapshot tells what is in it")
        Machines.restore(machine)
        // Bodies are as long as the headers say, up to what is sensible here.
        let length = bodiesLength(commands)
        guard length <= 1 << 20 else { return }
        let bodies = Bytes([UInt8](repeating: 0, count: length))
        let count = commands.withUnsafeBytes {
            try? CommandReader.validate(headers: $0, bodiesLength: length, origin: .leader)
        }
        guard let count else { return }
        Machines.apply(CommandBatch(headers: commands, bodies: bodies, commandCount: count), to: machine)
    }

    private static func bodiesLength(_ headers: Bytes) -> Int {
        headers.withUnsafeBytes { buffer in
            var reader = CommandReader(buffer)
            var length = 0
            while let command = try? reader.next() {
                if case .enqueue(let run) = command { length += run.bodiesLength }
                if length > 1 << 20 { break }
            }
            return length
        }
    }

    static func topology(_ snapshot: Bytes, commands: Bytes) {
        guard let topology = try? Topology(snapshot: snapshot) else { return }
        Machines.restore(topology)
        guard (try? commands.withUnsafeBytes({ try TopologyRequest.validate($0) })) != nil else { return }
        Machines.apply(topologyCommands: commands, to: topology)
    }

    static func compressed(_ bytes: Bytes) {
        let limit = 64 << 10
        guard let content = try? LZ4Frame.decompress(bytes, limit: limit) else { return }
        promise(content.count <= limit, "no more is decompressed than is allowed")
        _ = try? QueueMachine(snapshot: content, settings: QueueSettings())
        _ = try? Topology(snapshot: content)
    }
}

// MARK: - Seeds

extension SnapshotInput {
    @Sendable static func seeds() -> [[UInt8]] {
        let empty = Bytes()
        var seeds: [[UInt8]] = []
        for count in 0...MachineSeeds.batches.count {
            let machine = MachineSeeds.queue(count)
            let snapshot = encoded { machine.encodeSnapshot(into: &$0) }
            let next = count < MachineSeeds.batches.count ? MachineSeeds.batches[count].headers : empty
            seeds.append([0] + framed(snapshot) + next.toArray())
            if count % 4 == 0 { seeds.append([2] + LZ4Frame.compress(snapshot).toArray()) }
        }
        for count in 0...MachineSeeds.topologyCommands.count {
            let topology = MachineSeeds.topology(count)
            let snapshot = encoded { topology.encodeSnapshot(into: &$0) }
            let next = MachineSeeds.topologyCommands.dropFirst(count).first.map { MachineSeeds.requests([$0]) } ?? empty
            seeds.append([1] + framed(snapshot) + next.toArray())
            if count % 4 == 0 { seeds.append([2] + LZ4Frame.compress(snapshot).toArray()) }
        }
        return seeds.filter { $0.count <= FuzzTarget.snapshot.maximumLength }
    }

    private static func framed(_ bytes: Bytes) -> [UInt8] {
        [UInt8(truncatingIfNeeded: bytes.count), UInt8(truncatingIfNeeded: bytes.count >> 8)] + bytes.toArray()
    }
}
