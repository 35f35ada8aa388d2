import Primitives

/// The consumers in their turn: a ring for each priority, the highest first.
///
/// A consumer that lost its credit or was suspended may still stand here; it is passed over when its turn comes.
struct ServiceQueue: Sendable {
    struct Level: Sendable {
        var priority: Int32
        /// Slots of consumers; each stands here once at most.
        var slots = Ring<UInt32>()
    }

    /// Descending by priority. An empty one stays while its consumers may come back to it.
    private(set) var levels: [Level] = []

    /// Puts a consumer last among those of its priority.
    mutating func append(_ slot: UInt32, priority: Int32) {
        var at = 0
        while at < levels.count && levels[at].priority > priority { at += 1 }
        if at == levels.count || levels[at].priority != priority { levels.insert(Level(priority: priority), at: at) }
        levels[at].slots.append(slot)
    }

    /// Takes the next in turn. `isAlone`: no other of this priority stands here.
    mutating func popFirst() -> (slot: UInt32, isAlone: Bool)? {
        for at in levels.indices {
            if let slot = levels[at].slots.popFirst() { return (slot, levels[at].slots.isEmpty) }
        }
        return nil
    }

    /// Like `popFirst`, unless a planted bug has an order of its own.
    mutating func popFirst(_ bug: QueueBug?) -> (slot: UInt32, isAlone: Bool)? {
        guard case .servesByHash(let seed) = bug, let level = levels.indices.first(where: { !levels[$0].slots.isEmpty })
        else { return popFirst() }
        let slots = (0..<levels[level].slots.count).map { levels[level].slots[$0] }
        func hash(_ slot: UInt32) -> UInt64 {
            var mix = SeededRandom(seed: seed ^ UInt64(slot))
            return mix.next()
        }
        guard let slot = slots.min(by: { hash($0) < hash($1) }) else { return nil }
        levels[level].slots = Ring()
        for other in slots where other != slot { levels[level].slots.append(other) }
        return (slot, slots.count == 1)
    }

    /// Removes the consumers that `isGone` names, and every level that is empty then.
    mutating func remove(where isGone: (UInt32) -> Bool) {
        for at in levels.indices {
            var kept = Ring<UInt32>()
            for place in 0..<levels[at].slots.count {
                let slot = levels[at].slots[place]
                if !isGone(slot) { kept.append(slot) }
            }
            levels[at].slots = kept
        }
        levels.removeAll { $0.slots.isEmpty }
    }
}
