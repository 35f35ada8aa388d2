import Primitives

/// A snapshot that is whole, and its records.
struct FoundSnapshot {
    var recovered: RecoveredSnapshot
    /// The chunks in their order, and the mark.
    var controls: [ControlRecord]
}

/// The snapshot records of one group, by sequence number.
struct SnapshotReplay {
    private var marks: [RecoveredItem] = []
    private var chunks: [RecoveredItem] = []
    /// The highest index of a mark met so far.
    private(set) var highestMark = LogIndex.zero

    mutating func addMark(_ item: RecoveredItem) {
        SnapshotReplay.add(item, to: &marks)
        highestMark = max(highestMark, LogIndex(item.item.index))
    }

    mutating func addChunk(_ item: RecoveredItem) { SnapshotReplay.add(item, to: &chunks) }

    private static func add(_ item: RecoveredItem, to items: inout [RecoveredItem]) {
        if let last = items.last, last.item.sequence == item.item.sequence {
            // A copy; a damaged one does not replace anything.
            if item.damaged.isEmpty { items[items.count - 1] = item }
        } else {
            items.append(item)
        }
    }

    /// The newest snapshot of which everything is intact, and of the marks behind its index the highest, one that
    /// replaced a log before others. That one may be older: a replica that lost a snapshot, and begins anew, takes
    /// others at lower indices.
    func current(payload: (RecoveredItem) -> Bytes?) -> (snapshot: FoundSnapshot?, unusable: RecoveredItem?) {
        var snapshot: FoundSnapshot?
        for mark in marks.reversed() where snapshot == nil { snapshot = whole(mark, payload: payload) }
        let index = snapshot?.recovered.index.rawValue ?? 0
        let unusable = marks.filter { $0.item.index > index }
            .max { ($0.item.replacesLog ? 1 : 0, $0.item.index) < ($1.item.replacesLog ? 1 : 0, $1.item.index) }
        return (snapshot, unusable)
    }

    private func whole(_ item: RecoveredItem, payload: (RecoveredItem) -> Bytes?) -> FoundSnapshot? {
        guard let bytes = payload(item) else { return nil }
        do throws(DecodingFailure) {
            let mark = try SnapshotMark(
                decoding: bytes, group: item.item.group, index: LogIndex(item.item.index), term: item.item.term)
            return try assemble(mark, item, payload: payload)
        } catch {
            return nil
        }
    }

    private struct Part {
        var offset: Int
        var bytes: Bytes
        var item: RecoveredItem
    }

    /// Joins the chunks that were staged before the mark.
    private func assemble(
        _ mark: SnapshotMark, _ item: RecoveredItem, payload: (RecoveredItem) -> Bytes?
    ) throws(DecodingFailure) -> FoundSnapshot? {
        var parts: [Part] = []
        for chunk in chunks where chunk.item.sequence < item.item.sequence {
            guard chunk.item.index == item.item.index, chunk.item.term == item.item.term,
                let bytes = payload(chunk)
            else { continue }
            let (offset, part) = try SnapshotChunk.decode(bytes)
            // The first chunk begins the snapshot anew.
            if offset == 0 { parts = [] }
            parts.append(Part(offset: offset, bytes: part, item: chunk))
        }
        // Of chunks staged twice the later one counts.
        parts.reverse()
        var writer = ByteWriter(capacity: parts.reduce(0) { $0 + $1.bytes.count })
        var controls: [ControlRecord] = []
        while writer.count < mark.byteCount {
            guard let part = parts.first(where: { $0.offset == writer.count && !$0.bytes.isEmpty }) else { return nil }
            var control = ControlRecord(part.item)
            control.chunkOffset = part.offset
            controls.append(control)
            writer.write(part.bytes)
        }
        guard writer.count == mark.byteCount else { return nil }
        let recovered = RecoveredSnapshot(index: mark.index, term: mark.term, bytes: writer.take(), live: mark.live)
        return FoundSnapshot(recovered: recovered, controls: controls + [ControlRecord(item)])
    }
}
