import Broker
import Primitives
import QueueClient
import QuorumQueue
import Raft
import Replication
import Topology

/// The messages in a peer payload, decoded as the receiver does it, and applied as it would.
enum PeerMessages {
    static func check(_ kind: PeerMessageKind, group: GroupID, _ content: Bytes) {
        switch kind {
        case .raft: raft(content, group: group)
        case .client: client(content)
        case .leader:
            guard let message = try? LeaderMessage(decoding: content) else { return }
            promiseRoundTrip(message, "a leader's message") { message in
                encoded { message.encode(into: &$0) }
            } decode: {
                try LeaderMessage(decoding: $0)
            }
        case .topologyCommands: topology(content)
        case .leadershipInquiry, .leadershipDenial:
            let count = (try? Shard.decodeLeaderships(content))?.count
            promise(count.map { $0 * 16 == content.count } ?? true, "leaderships fill their message")
        case .gateway: gateway(content)
        case .snapshot: snapshot(content, group: group)
        case .repairRequest, .repair:
            let entries = try? SnapshotMessage.entries(in: Sealing.entries(content, from: 0), group: group)
            promise(entries?.allSatisfy { $0.group == group } ?? true, "entries are the group's")
        }
    }

    private static func raft(_ content: Bytes, group: GroupID) {
        let head = content.withUnsafeBytes { buffer -> Int? in
            var reader = ByteReader(buffer)
            guard let message = try? RaftMessage(decoding: &reader) else { return nil }
            promiseRoundTrip(message, "a Raft message") { message in
                encoded { message.encode(into: &$0) }
            } decode: { bytes in
                try bytes.withUnsafeBytes { buffer throws(DecodingFailure) in
                    var reader = ByteReader(buffer)
                    return try RaftMessage(decoding: &reader)
                }
            }
            return reader.offset
        }
        guard let head, let decoded = try? Shard.decodeRaft(Sealing.entries(content, from: head), group: group) else {
            return
        }
        if case .append(let append) = decoded.0 {
            promise(decoded.1.count == Int(append.count), "an append brings what it announces")
        }
    }

    /// A gateway's batch, checked as the leader checks it, is applied by a machine.
    private static func client(_ content: Bytes) {
        guard content.count >= 3 else { return }
        let node = NodeID(UInt16(content[1]) | UInt16(content[2]) << 8)
        guard let message = try? ClientMessage(decoding: content, from: node) else { return }
        promiseRoundTrip(message, "a client's message") { message in
            encoded { message.encode(into: &$0) }
        } decode: {
            try ClientMessage(decoding: $0, from: node)
        }
        if case .commands(let commands) = message { Machines.apply(commands.batch, to: QueueMachine()) }
    }

    private static func topology(_ content: Bytes) {
        guard (try? content.withUnsafeBytes({ try TopologyRequest.validate($0) })) != nil else { return }
        Machines.apply(topologyCommands: content, to: Topology())
    }

    private static func gateway(_ content: Bytes) {
        content.withUnsafeBytes { buffer in
            var reader = ByteReader(buffer)
            guard (try? reader.read(UInt8.self)) == GatewayMessage.version else { return }
            while !reader.isAtEnd, let message = try? GatewayMessage(decoding: &reader) {
                promiseRoundTrip(message, "a gateway's message") { message in
                    encoded { message.encode(into: &$0) }
                } decode: { bytes in
                    try bytes.withUnsafeBytes { buffer throws(DecodingFailure) in
                        var reader = ByteReader(buffer)
                        return try GatewayMessage(decoding: &reader)
                    }
                }
            }
        }
    }

    private static func snapshot(_ content: Bytes, group: GroupID) {
        // Entries stand behind a kind, two numbers of the name and two of the stretch.
        let sealed = content.isEmpty || content[0] != 3 ? content : Sealing.entries(content, from: 33)
        guard let message = try? SnapshotMessage(decoding: sealed, group: group) else { return }
        promiseRoundTrip(message, "a snapshot's message") { message in
            encoded { message.encode(into: &$0) }
        } decode: {
            try SnapshotMessage(decoding: $0, group: group)
        }
    }
}

/// State machines under commands that passed the checks of a leader.
enum Machines {
    static func entry(_ headers: Bytes, _ bodies: Bytes, group: GroupID, index: LogIndex) -> Entry {
        headers.withUnsafeBytes { headers in
            bodies.withUnsafeBytes { bodies in
                Entry(
                    kind: .commands, group: group, index: index, term: Term(1),
                    timestamp: WallTime(milliseconds: 1_000), headers: headers, bodies: bodies)
            }
        }
    }

    static func apply(_ batch: CommandBatch, to machine: QueueMachine) {
        var machine = machine
        var effects: [QueueEffect] = []
        let next = machine.appliedIndex.next
        machine.apply(entry(batch.headers, batch.bodies, group: GroupID(5), index: next), into: &effects)
        promise(machine.appliedIndex == next, "an entry is applied")
        let table = MessageTable(headers: batch.headers, bodiesLength: batch.bodies.count)
        for ordinal in 0..<table.count { _ = table[ordinal].map { batch.bodies[$0.range] } }
        restore(machine)
    }

    /// What applied entries led to can be taken into a snapshot and brought back.
    static func restore(_ machine: QueueMachine) {
        promiseRoundTrip(machine, "a queue's snapshot") { machine in
            encoded { machine.encodeSnapshot(into: &$0) }
        } decode: {
            try QueueMachine(snapshot: $0, settings: QueueSettings())
        }
        _ = machine.liveIndices
        _ = machine.approximateSnapshotSize
    }

    static func apply(topologyCommands headers: Bytes, to topology: Topology) {
        // What is in a log has not counted as far as to the bounds that a snapshot may not be beyond.
        let highest = max(topology.lastApplied.rawValue, topology.generation, topology.accessGeneration)
        guard highest < 1 << 55, !topology.isDeleted(GroupID(1 << 55)) else { return }
        var topology = topology
        _ = topology.apply(entry(headers, Bytes(), group: .topology, index: topology.lastApplied.next))
        restore(topology)
    }

    static func restore(_ topology: Topology) {
        promiseRoundTrip(topology, "the topology's snapshot") { topology in
            encoded { topology.encodeSnapshot(into: &$0) }
        } decode: {
            try Topology(snapshot: $0)
        }
        for host in topology.virtualHosts {
            _ = topology.queues(vhost: host.name)
            _ = topology.bindings(vhost: host.name)
        }
    }
}
