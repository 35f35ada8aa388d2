import Primitives

/// The virtual clock and everything that will happen: events in the order of their times, and of their scheduling where
/// times are equal.
final class Scheduler {
    private struct Event {
        var time: UInt64
        var sequence: UInt64
        /// Where its action is: moving an event in the heap touches no reference.
        var slot: Int
    }

    /// What happens, and to whom: an action of a process happens only while the process lives, and when its strand
    /// runs.
    private struct Action {
        var process: SimulatedProcess?
        var strand = SimulatedProcess.Strand.loop
        var run: () -> Void
    }

    /// A binary heap, the earliest first.
    private var heap: [Event] = []
    private var actions: [Action?] = []
    private var freeSlots: [Int] = []
    private var sequence: UInt64 = 0
    private(set) var now: Instant

    /// Events that have happened.
    private(set) var count: UInt64 = 0

    init(start: Instant) { now = start }

    func at(_ time: Instant, _ action: @escaping () -> Void) { add(Action(run: action), at: time) }

    /// Something that a process does.
    func at(
        _ time: Instant, _ strand: SimulatedProcess.Strand, of process: SimulatedProcess,
        _ action: @escaping () -> Void
    ) { add(Action(process: process, strand: strand, run: action), at: time) }

    private func add(_ action: Action, at time: Instant) {
        sequence += 1
        let slot: Int
        if let free = freeSlots.popLast() {
            slot = free
            actions[slot] = action
        } else {
            slot = actions.count
            actions.append(action)
        }
        heap.append(Event(time: max(time, now).nanoseconds, sequence: sequence, slot: slot))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard precedes(child, parent) else { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    func after(_ delay: Interval, _ action: @escaping () -> Void) { at(now + delay, action) }

    /// Lets the next event happen, if it is not after `limit`; else the clock moves there.
    func step(until limit: Instant) -> Bool {
        guard let first = heap.first, first.time <= limit.nanoseconds else {
            now = limit
            return false
        }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            sink()
        }
        now = Instant(nanoseconds: first.time)
        count += 1
        let action = actions[first.slot].take()
        freeSlots.append(first.slot)
        guard let action else { return true }
        if let process = action.process { process.enter(action.strand, action.run) } else { action.run() }
        return true
    }

    /// Forgets all events: what they hold is freed.
    func clear() {
        heap = []
        actions = []
        freeSlots = []
    }

    private func precedes(_ a: Int, _ b: Int) -> Bool {
        (heap[a].time, heap[a].sequence) < (heap[b].time, heap[b].sequence)
    }

    private func sink() {
        var parent = 0
        while true {
            var least = parent
            for child in 2 * parent + 1...2 * parent + 2 where child < heap.count && precedes(child, least) {
                least = child
            }
            if least == parent { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
