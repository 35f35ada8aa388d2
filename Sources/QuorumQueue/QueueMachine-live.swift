public import Primitives

extension QueueMachine {
    /// The indices of the entries that hold a message the queue still needs: ascending, disjoint, no two adjacent.
    /// Costs time in proportion to the runs of messages.
    public var liveIndices: [ClosedRange<LogIndex>] {
        var live: [ClosedRange<LogIndex>] = []
        func add(_ first: LogIndex, _ last: LogIndex) {
            if let range = live.last, first <= range.upperBound.next {
                live[live.count - 1] = range.lowerBound...max(last, range.upperBound)
            } else {
                live.append(first...last)
            }
        }
        for stretch in deliveredStretches {
            let index = Position(rawValue: stretch.lowerBound).index
            add(index, index)
        }
        ready.fresh.forEachRun { first, entries, _ in add(first.index, first.index + UInt64(entries) - 1) }
        return live
    }

    /// The positions of all messages that were ever delivered, returned or held, each within one entry; ascending.
    var deliveredStretches: [Range<UInt64>] {
        var stretches: [Range<UInt64>] = []
        func add(_ first: Position, _ count: UInt16) {
            stretches.append(first.rawValue..<first.advanced(by: Int(count)).rawValue)
        }
        ready.returned.forEach { add($0.first, $0.count) }
        for session in sessions {
            for known in session.consumers {
                consumers[Int(known.slot)].unsettled.forEach { add($0.first, $0.count) }
            }
        }
        stretches.sort { $0.lowerBound < $1.lowerBound }
        return stretches
    }
}
