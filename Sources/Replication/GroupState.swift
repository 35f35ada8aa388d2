import Primitives
import QuorumQueue
import Topology

/// The state machine of a group as snapshots carry it: a queue's, or the cluster's metadata.
enum GroupState: Sendable {
    case queue(QueueMachine)
    case topology(Topology)

    /// Most bytes of a state that a snapshot may have, before compression.
    static let sizeLimit = 256 << 20
    /// The same, compressed: LZ4 makes what cannot be compressed a little longer.
    static let compressedLimit = sizeLimit + sizeLimit / 200

    /// The last entry applied.
    var appliedIndex: LogIndex {
        switch self {
        case .queue(let machine): machine.appliedIndex
        case .topology(let topology): topology.lastApplied
        }
    }

    /// The timestamp of the last entry, as far as the state keeps it.
    var time: WallTime {
        switch self {
        case .queue(let machine): machine.time
        case .topology: .zero
        }
    }

    /// The entries up to `appliedIndex` that the state refers to.
    var liveIndices: [ClosedRange<LogIndex>] {
        switch self {
        case .queue(let machine): machine.liveIndices
        case .topology: []
        }
    }

    /// About how many bytes it has before compression.
    var approximateSize: Int {
        switch self {
        case .queue(let machine): machine.approximateSnapshotSize
        case .topology(let topology): topology.approximateSnapshotSize
        }
    }

    /// The canonical bytes as an LZ4 frame; nil when they are more than a snapshot may have.
    func compressed() -> Bytes? {
        var writer = ByteWriter()
        switch self {
        case .queue(let machine): machine.encodeSnapshot(into: &writer)
        case .topology(let topology): topology.encodeSnapshot(into: &writer)
        }
        guard writer.count <= GroupState.sizeLimit else { return nil }
        return LZ4Frame.compress(writer.take())
    }

    /// The state of a snapshot of `group`, from this disk or another node's, that must be one at `index`.
    init(decompressing compressed: Bytes, of group: GroupID, at index: LogIndex) throws {
        let bytes = try LZ4Frame.decompress(compressed, limit: GroupState.sizeLimit)
        self =
            group == .topology
            ? .topology(try Topology(snapshot: bytes))
            : .queue(try QueueMachine(snapshot: bytes, settings: QueueSettings()))
        guard appliedIndex == index else { throw DecodingFailure.invalid("snapshot index") }
    }
}
