import LogStore
import Primitives
import QuorumQueue
import Topology

/// The lines of `warren store dump`.
enum StoreListing {
    static func line(_ segment: StoreContents.Segment) -> String {
        "segment \(segment.number): generation \(segment.generation), \(segment.frames) frames, "
            + "\(segment.bytes) bytes, \(segment.usedBytes) in use\(segment.isSealed ? ", sealed" : "")"
    }

    static func lines(_ group: StoreContents.Group) -> [String] {
        let found = group.recovered
        let first = found.entries.first?.index ?? found.lastIndex.next
        var lines = [
            "group \(found.group.rawValue): created descriptor \(found.created == nil ? "absent" : "present"), "
                + "term \(found.term.rawValue), vote \(found.vote.map { "\($0.rawValue)" } ?? "none")",
            "  first index \(first.rawValue), last index \(found.lastIndex.rawValue), \(found.entries.count) entries, "
                + "\(found.retained.count) retained, \(group.liveBytes) live bytes",
        ]
        if !found.damaged.isEmpty || !found.missing.isEmpty {
            lines.append("  \(found.damaged.count) entries damaged, \(found.missing.count) missing")
        }
        if !found.mayVote { lines.append("  records may be missing: the group does not vote") }
        if let snapshot = found.snapshot { lines.append(line(snapshot, isTopology: found.group == .topology)) }
        return lines
    }

    private static func line(_ snapshot: RecoveredSnapshot, isTopology: Bool) -> String {
        let head =
            "  snapshot at index \(snapshot.index.rawValue), term \(snapshot.term.rawValue): "
            + "\(snapshot.bytes.count) bytes compressed, "
        do throws(LZ4Failure) {
            let state = try LZ4Frame.decompress(snapshot.bytes, limit: 1 << 30)
            return head + "\(state.count) uncompressed; " + (isTopology ? topology(state) : summary(state))
        } catch {
            return head + "not to be decompressed: \(error)"
        }
    }

    private static func summary(_ state: Bytes) -> String {
        do throws(DecodingFailure) {
            let summary = try QueueSnapshotSummary(snapshot: state)
            return "\(summary.messagesReady) messages ready, \(summary.messagesUnacknowledged) unacknowledged, "
                + "\(summary.sessionCount) sessions, \(summary.consumerCount) consumers, "
                + "machine version \(summary.version)"
        } catch {
            return "not a queue's state: \(error)"
        }
    }

    private static func topology(_ state: Bytes) -> String {
        do throws(DecodingFailure) {
            let topology = try Topology(snapshot: state)
            let hosts = topology.virtualHosts.map(\.name)
            let exchanges = hosts.reduce(0) { $0 + topology.exchanges(vhost: $1).count }
            let bindings = hosts.reduce(0) { $0 + topology.bindings(vhost: $1).count }
            return "\(hosts.count) virtual hosts, \(topology.queues.count) queues, \(exchanges) exchanges, "
                + "\(bindings) bindings, \(topology.users.count) users, \(topology.nodes.count) nodes"
        } catch {
            return "not the cluster's metadata: \(error)"
        }
    }

    static func live(_ group: RecoveredGroup) -> [String] {
        (group.snapshot?.live ?? []).map { "  live \($0.lowerBound.rawValue) to \($0.upperBound.rawValue)" }
    }

    static func entries(_ group: RecoveredGroup) -> [String] {
        let damaged = Set(group.damaged)
        let retained = group.retained.map { line($0, isDamaged: damaged.contains($0.index)) + ", retained" }
        return retained + group.entries.map { line($0, isDamaged: damaged.contains($0.index)) }
    }

    private static func line(_ entry: EntryLocation, isDamaged: Bool) -> String {
        "  entry \(entry.index.rawValue): term \(entry.term.rawValue), segment \(entry.segment), "
            + "offset \(entry.offset), \(entry.length) bytes\(isDamaged ? ", damaged" : "")"
    }
}
