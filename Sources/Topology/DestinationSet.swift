/// What a router can send to.
package enum RouterDestination: Hashable, Sendable {
    case queue(QueueTarget)
    /// Slot of an exchange in the same router.
    case exchange(UInt32)
}

/// The destinations of equal bindings (same source and key), each with the number of bindings that lead to it: bindings
/// may differ in arguments or, in a fanout, in key, and still mean the same place.
struct DestinationSet: Sendable {
    /// Sorted; parallel to `queueCounts`.
    private(set) var queues: [QueueTarget] = []
    private var queueCounts: [Int32] = []
    /// Sorted; parallel to `exchangeCounts`.
    private(set) var exchanges: [UInt32] = []
    private var exchangeCounts: [Int32] = []

    var isEmpty: Bool { queues.isEmpty && exchanges.isEmpty }

    mutating func insert(_ destination: RouterDestination) {
        switch destination {
        case .queue(let target): DestinationSet.insert(target, &queues, &queueCounts)
        case .exchange(let slot): DestinationSet.insert(slot, &exchanges, &exchangeCounts)
        }
    }

    mutating func remove(_ destination: RouterDestination) {
        switch destination {
        case .queue(let target): DestinationSet.remove(target, &queues, &queueCounts)
        case .exchange(let slot): DestinationSet.remove(slot, &exchanges, &exchangeCounts)
        }
    }

    private static func insert<T: Comparable>(_ value: T, _ values: inout [T], _ counts: inout [Int32]) {
        let index = place(of: value, in: values)
        if index < values.count && values[index] == value {
            counts[index] += 1
        } else {
            values.insert(value, at: index)
            counts.insert(1, at: index)
        }
    }

    private static func remove<T: Comparable>(_ value: T, _ values: inout [T], _ counts: inout [Int32]) {
        let index = place(of: value, in: values)
        guard index < values.count, values[index] == value else { return }
        counts[index] -= 1
        if counts[index] == 0 {
            values.remove(at: index)
            counts.remove(at: index)
        }
    }

    /// The first index whose value is not less.
    private static func place<T: Comparable>(of value: T, in values: [T]) -> Int {
        var low = 0
        var high = values.count
        while low < high {
            let middle = (low + high) / 2
            if values[middle] < value { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
